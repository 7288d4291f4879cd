"""The driver and the GPU itself: not there, too old, out of step, crashed."""

from .rule import Kind, Rule

_RELOAD = "restart the machine, or: sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm"
_DRIVER = (
    "install a driver that runs the CUDA of this TensorFlow, and restart: 12.5 for TensorFlow 2.21, so driver 555 or"
    " later; https://www.tensorflow.org/install/source#gpu has the others"
)
_EXECUTION_FAILED = r"(?:CUDNN|CUBLAS)_STATUS_EXECUTION_FAILED"

GPU_RULES = (
    Rule(
        "no_gpu_visible",
        "CUDA sees no GPU, so TensorFlow uses the CPU",
        (
            r"[Ff]ailed call to cuInit: CUDA_ERROR_NO_DEVICE",
            r"CUDA_ERROR_NO_DEVICE\b",
            r"(?:CUDA error: )?Failed call to cuInit: CUDA_ERROR_NO_DEVICE",
        ),
        (
            "unset CUDA_VISIBLE_DEVICES, or set it to an index of nvidia-smi -L: empty or -1 hides every GPU",
            "in a container: docker run --gpus all; on a cluster ask the scheduler for a GPU",
            "without a GPU it means nothing: --device=cpu",
        ),
        "https://github.com/tensorflow/tensorflow/issues/16860",
        kind=Kind.NOTICE,
        follows_from=("driver_versions_differ", "driver_not_loaded"),
    ),
    Rule(
        "driver_not_loaded",
        "the NVIDIA driver's kernel module is not loaded, so CUDA sees no GPU and TensorFlow uses the CPU",
        (r"kernel driver does not appear to be running on this host",),
        (
            "sudo modprobe nvidia; if it is not found, install the driver again, which builds it for this kernel; if it"
            " is refused, Secure Boot wants it signed (mokutil --sb-state)",
            "in a container: docker run --gpus all",
            "without a GPU it means nothing: --device=cpu",
        ),
        "https://github.com/tensorflow/tensorflow/issues/255",
        kind=Kind.NOTICE,
        follows_from=("driver_missing", "driver_versions_differ", "driver_state"),
    ),
    Rule(
        "driver_missing",
        "there is no NVIDIA driver that TensorFlow could load, so it uses the CPU",
        (
            r"Could not find cuda drivers on your machine, GPU will not be used",
            r"(?:CUDA error: )?[Ff]ailed call to cuInit: UNKNOWN ERROR \(303\)",
            r"Could not load dynamic library '(?:libcuda\.so|nvcuda\.dll)",
        ),
        (
            "with a GPU: " + _DRIVER + "; in a container: docker run --gpus all",
            "without a GPU it means nothing: --device=cpu splits the CPU",
        ),
        "https://github.com/tensorflow/tensorflow/issues/44869",
        kind=Kind.NOTICE,
        follows_from=("no_gpu_visible", "driver_versions_differ", "driver_state"),
    ),
    Rule(
        "driver_too_old",
        "the NVIDIA driver is older than the CUDA libraries need",
        (
            r"CUDA driver version is insufficient for CUDA runtime version",
            r"Failed to get the number of CUDA devices: CUDA driver version is insufficient",
            r"Failed to initialize CUDA device #\d+: CUDA driver version is insufficient",
            r"'cu\w+\(.*' failed with 'CUDA_ERROR_UNSUPPORTED_PTX_VERSION'",
            r"CUDA_ERROR_UNSUPPORTED_PTX_VERSION\b",
        ),
        (_DRIVER, "nvidia-smi shows the newest CUDA that the driver runs, in its first line"),
        "https://github.com/tensorflow/tensorflow/issues/31319",
        within=(
            r"CUDA driver version is insufficient for CUDA runtime version",
            r"\bCUDA_ERROR_UNSUPPORTED_PTX_VERSION\b",
        ),
    ),
    Rule(
        "driver_versions_differ",
        "the driver's kernel module and its library are of different versions, as after an update without restart",
        (
            r"kernel version [\d.]+ does not match DSO version [\d.]+",
            r"Failed to initialize NVML: Driver/library version mismatch",
        ),
        (
            "restart the machine",
            "if that does not help, a libcuda of another version is found first: ldconfig -p | grep libcuda, and echo"
            " $LD_LIBRARY_PATH; take it away",
            "in a container: start it again, its libcuda is that of the host at its start",
        ),
        "https://github.com/tensorflow/tensorflow/issues/4349",
        within=(r"\bCUDA_ERROR_(?:SYSTEM_DRIVER_MISMATCH|COMPAT_NOT_SUPPORTED_ON_DEVICE)\b",),
    ),
    Rule(
        "driver_state",
        "the NVIDIA driver is there and could not be started, as often after the machine was suspended",
        (r"(?:CUDA error: )?[Ff]ailed call to cuInit: CUDA_ERROR_(?:UNKNOWN|NOT_INITIALIZED|INVALID_VALUE)\b",),
        (_RELOAD, "ls -l /dev/nvidia-uvm: if it is missing, nvidia-modprobe -u -c=0; in a container --gpus all"),
        "https://github.com/tensorflow/tensorflow/issues/32623",
        kind=Kind.LIKELY,
        tell_apart="if it works as root, the rights of /dev/nvidia* are wrong; if a restart mends it, it was the state",
        follows_from=("driver_versions_differ",),
    ),
    Rule(
        "gpu_busy",
        "the GPU lets no further process in: it is in exclusive mode and another process has it, or a vGPU has no"
        " licence",
        (),
        (
            "nvidia-smi shows who uses it, and its mode (Compute M.): end that process, or: sudo nvidia-smi -c DEFAULT",
            "CUDA_VISIBLE_DEVICES=1, or another GPU that is free; on a cluster ask the scheduler for one",
            "restart the machine, where nobody uses it",
        ),
        "https://github.com/tensorflow/tensorflow/issues/48558",
        within=(r"^(?:all CUDA-capable devices|CUDA-capable device\(s\)) (?:are|is|is/are) busy or unavailable",),
        kind=Kind.LIKELY,
        tell_apart="nvidia-smi names a process: exclusive mode; it names none, on a virtual machine: nvidia-smi -q"
        " shows the licence of its vGPU",
    ),
    Rule(
        "gpu_kernel_failed",
        "a kernel of cuBLAS or cuDNN failed on the GPU",
        (
            rf"{_EXECUTION_FAILED} ?in (?:external/(?:local_)?xla/xla|tensorflow(?:/compiler/xla)?)/stream_executor/",
            rf"failed to run cuBLAS routine[\w ]*: {_EXECUTION_FAILED}",
            r"cudnn \w+ launch failed",
            r"cuDNN launch failure",
        ),
        (
            "a TensorFlow whose CUDA and cuDNN know this GPU: python train/doctor.py shows versions that do not fit, as"
            " they do where the GPU is newer than TensorFlow",
            "a smaller --global_batch_size for one run: if that works, memory was short",
            "CUDA_LAUNCH_BLOCKING=1 shows the operation that failed first",
        ),
        "https://github.com/tensorflow/tensorflow/issues/24660",
        kind=Kind.LIKELY,
        tell_apart="at every start with an empty GPU: versions; only with large batches: memory; after hours: the first"
        " error of the log",
        follows_from=("gpu_crash", "gpu_out_of_memory", "gpu_architecture", "cudnn_version", "cudnn_failed"),
    ),
    Rule(
        "gpu_crash",
        "a kernel on the GPU read or wrote outside of its memory, or failed otherwise: all later errors follow from it",
        (
            r"(?:Error polling for event status: )?failed to query event: CUDA_ERROR_(?:ILLEGAL_ADDRESS|LAUNCH_FAILED)",
            r"could not synchronize on CUDA context: CUDA_ERROR_(?:ILLEGAL_ADDRESS|LAUNCH_FAILED)",
            r"CUDA_ERROR_(?:ILLEGAL_ADDRESS|LAUNCH_FAILED|MISALIGNED_ADDRESS|ILLEGAL_INSTRUCTION)\b",
        ),
        (
            "CUDA_LAUNCH_BLOCKING=1 shows the operation that failed; first suspects are custom operations and"
            " jit_compile=True: run without",
            "newest TensorFlow and driver: python train/doctor.py shows versions that do not fit",
            "run nvidia-smi -q and look for ECC errors, heat and overclocking, if it happens at random places",
        ),
        "https://github.com/tensorflow/tensorflow/issues/25866",
        within=(r"\bCUDA_ERROR_(?:ILLEGAL_ADDRESS|LAUNCH_FAILED|MISALIGNED_ADDRESS|ILLEGAL_INSTRUCTION)\b",),
        tell_apart="always at the same operation: a bug in its kernel; at random places: hardware or driver",
        kind=Kind.LIKELY,
        follows_from=("gpu_lost",),
    ),
    Rule(
        "gpu_lost",
        "the GPU itself failed: it fell off the bus or its memory is damaged",
        (
            r"NVRM: (?:Xid \([^)]*\): (?:48|63|64|74|79|94|95)\b|GPU \S+ has fallen off the bus)",
            r"Unable to determine the device handle for GPU\S* .*GPU is lost",
        ),
        ("restart the machine; if it comes back, check power, heat and seating, and have the GPU replaced",),
        "https://docs.nvidia.com/deploy/xid-errors/",
        within=(r"\bCUDA_ERROR_ECC_UNCORRECTABLE\b",),
    ),
)
