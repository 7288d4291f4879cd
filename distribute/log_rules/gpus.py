"""The driver and the GPU itself: not there, too old, out of step, crashed."""

from distribute.log_rules.rule import Kind, Rule

_RELOAD = "restart the machine, or: sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm"
_DRIVER = "install a driver that runs CUDA 12.5 or newer (555 or later), and restart"

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
        follows_from=("driver_versions_differ",),
    ),
    Rule(
        "driver_missing",
        "there is no NVIDIA driver that TensorFlow could load, so it uses the CPU",
        (
            r"Could not find cuda drivers on your machine, GPU will not be used",
            r"(?:CUDA error: )?[Ff]ailed call to cuInit: UNKNOWN ERROR \(303\)",
            r"Could not load dynamic library '(?:libcuda\.so|nvcuda\.dll)",
            r"kernel driver does not appear to be running on this host",
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
            r"(?:cuda\w+\(\) failed\. )?(?:Status: )?CUDA driver version is insufficient for CUDA runtime version",
            r"Failed to get the number of CUDA devices: CUDA driver version is insufficient",
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
        ("restart the machine", "in a container: start it again, its libcuda is that of the host at its start"),
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
