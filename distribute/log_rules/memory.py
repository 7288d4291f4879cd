"""Memory of a GPU or of the host has run out, said openly or in disguise."""

from ..allocator_dump import NO_FAILURE
from .rule import Kind, Rule

_GROW = (
    "--memory_policy=growth, or TF_FORCE_GPU_ALLOW_GROWTH=true in the environment of another program: TensorFlow takes"
    " what it needs, and leaves the rest to cuBLAS, cuDNN and other processes"
)
_LIMIT = (
    "--memory_limit=MiB, at least 512 below what nvidia-smi shows as free, since CUDA, cuBLAS and cuDNN need memory"
    " besides; in your code tf.config.set_logical_device_configuration, LogicalDeviceConfiguration(memory_limit=MiB)"
)
_OTHERS = "python train/doctor.py, or nvidia-smi, shows who else uses the GPU: end it, or wait for it"
_SMALLER = "a smaller --global_batch_size; on one GPU fewer --virtual_gpus"

_OOM_TENSOR = r"OOM when allocating (?:temporary )?tensor "
# The device of the message, or else of the node that TensorFlow 1 names in the next line.
_ON_CPU = r"(?:(?!\b_device=).)*(?:\bon \S*|\b_device=\"[^\"]*)(?i:cpu):\d"
_NOT_SERVED = r"Allocator \({name}\) ran out of memory trying to allocate "

MEMORY_RULES = (
    Rule(
        "gpu_out_of_memory",
        "out of GPU memory: an allocation failed",
        (
            rf"{_OOM_TENSOR}(?!{_ON_CPU}).*(?i:gpu)(?::\d|_)",
            _NOT_SERVED.format(name=r"(?i:gpu)\w*") + f"(?!.*(?:{NO_FAILURE}))",
            r"Failed to allocate request for [\d.]+\w* \(\d+B\) on device ordinal",
            r"cuMemAllocAsync failed to allocate \d+",
            r"CUDA_ERROR_OUT_OF_MEMORY(?:: out of memory)?\.?$",
            r"(?:cuda\w+\(\)|CUDA runtime implicit initialization)(?: on GPU:\d+)? failed\. Status: out of memory",
            r"EigenAllocator for GPU ran out of memory when allocating",
        ),
        (_SMALLER, "a larger --memory_limit, where a limit is set and the GPU has more", _GROW + "; " + _OTHERS),
        "https://github.com/tensorflow/tensorflow/issues/47820",
        within=(
            r"^(?!failed to allocate ).*\bCUDA_ERROR_OUT_OF_MEMORY\b(?!.*on host)",
            r"^Out of memory (?:while trying to allocate|allocating) \d+ bytes",
            r"^CUDNN failed to allocate the scratch space",
        ),
    ),
    Rule(
        "cublas_failed",
        "out of GPU memory, most likely: cuBLAS, which multiplies matrices, found none left to start with, because"
        " TensorFlow itself or another process had taken all of it",
        (
            r"[Ff]ailed to create cu(?:blas|BLAS)\w* handle",
            r"Blas \w*GEM[MV]\w* launch fail",
            r"CUBLAS_STATUS_(?:NOT_INITIALIZED|ALLOC_FAILED)\.?$",
            r"failed to run cuBLAS routine[\w ]*: CUBLAS_STATUS_(?:NOT_INITIALIZED|ALLOC_FAILED)",
            r"attempting to perform BLAS operation using StreamExecutor without BLAS support",
            r"No BLAS support (?:in|for) stream",
        ),
        (_GROW, _LIMIT, _OTHERS),
        "https://github.com/tensorflow/tensorflow/issues/9489",
        tell_apart="or CUDA libraries that do not fit the driver or the GPU: then it fails with an empty GPU and"
        " growth, too, and python train/doctor.py shows a version that is not ok",
        kind=Kind.LIKELY,
        follows_from=("gpu_out_of_memory", "gpu_crash", "gpu_architecture"),
        unless=r"(?:failed to run cuBLAS routine[\w ]*: )?(?:CUBLAS_STATUS_EXECUTION_FAILED|the GPU program failed)",
    ),
    Rule(
        "cudnn_failed",
        "out of GPU memory, most likely: cuDNN, which computes convolutions, could not start",
        (
            r"[Cc]ould not create cudnn handle: CUDNN_STATUS_(?:INTERNAL_ERROR|NOT_INITIALIZED|ALLOC_FAILED)",
            r"Failed to get convolution algorithm\. This is probably because cuDNN failed to initialize",
            r"CUDNN_STATUS_(?:INTERNAL_ERROR|NOT_INITIALIZED|ALLOC_FAILED)\.?$",
        ),
        (_GROW, _LIMIT, "pip install -r requirements-gpu.txt puts in the cuDNN that TensorFlow was built with"),
        "https://github.com/tensorflow/tensorflow/issues/24496",
        tell_apart="or a cuDNN of another version than TensorFlow was built with: then the log says 'Loaded runtime"
        " CuDNN library', or growth does not help, and python train/doctor.py shows which one is found",
        kind=Kind.LIKELY,
        follows_from=("gpu_out_of_memory", "cudnn_version", "gpu_crash", "driver_too_old", "cublas_failed"),
        # A call that failed later than the start.
        unless=r"in tensorflow/stream_executor/cuda/cuda_dnn\.cc\(\d+\): ",
    ),
    Rule(
        "no_convolution_algorithm",
        "out of GPU memory, most likely: none of cuDNN's algorithms for a convolution got the workspace it needs",
        (r"No algorithm (?:without workspace )?worked!",),
        (_GROW, _LIMIT, _SMALLER),
        "https://github.com/tensorflow/tensorflow/issues/43174",
        tell_apart="or a cuDNN that does not fit TensorFlow or the GPU: then a batch of 1 fails, too, and python"
        " train/doctor.py shows a version that is not ok",
        kind=Kind.LIKELY,
        follows_from=("gpu_out_of_memory", "cudnn_version", "cudnn_failed", "cublas_failed", "gpu_architecture"),
    ),
    Rule(
        "copy_to_gpu_failed",
        "out of GPU memory, most likely: a tensor could not be copied there",
        (
            r"(?:Failed copying input tensor from \S+ to \S+ in order to run \w+: )?Dst tensor is not initialized",
            r"Failed copying input tensor from \S*CPU:\d+ to \S*GPU:\d+",
        ),
        (
            "read the data in batches: tf.data.Dataset.from_generator or tf.keras.utils.PyDataset, not one large array",
            _SMALLER,
            _OTHERS,
        ),
        "https://github.com/tensorflow/tensorflow/issues/60401",
        tell_apart="nvidia-smi at that moment shows a full GPU; if it does not, the copy failed because of the first"
        " error in the log",
        kind=Kind.LIKELY,
        follows_from=("gpu_out_of_memory",),
    ),
    Rule(
        "host_out_of_memory",
        "out of host memory: an allocation on the CPU failed, and not on a GPU",
        (
            _OOM_TENSOR + _ON_CPU,
            _NOT_SERVED.format(name=r"(?:\w*cpu\w*|\w*host\w*)") + f"(?!.*(?:{NO_FAILURE}))",
            r"terminate called after throwing an instance of 'std::bad_alloc'",
            r"what\(\):\s+std::bad_alloc",
            r"failed to alloc \d+ bytes on host",
            r"[Cc]ould not allocate (?:pinned )?host memory of size",
        ),
        (
            "a smaller batch, and smaller shuffle(), prefetch() and cache() of the tf.data input",
            "a larger limit, where one is set: --memory_limit, TF_CPU_BFC_MEM_LIMIT_IN_MB, docker --memory, the"
            " control group of the job",
        ),
        "https://github.com/tensorflow/tensorflow/issues/19603",
    ),
    Rule(
        "out_of_memory",
        "out of memory, of a GPU or of the host: the message does not say which",
        (_OOM_TENSOR,),
        (_SMALLER, "nvidia-smi, and top, show which of them is full while it runs"),
        "https://github.com/tensorflow/models/issues/1993",
        follows_from=("gpu_out_of_memory", "host_out_of_memory"),
    ),
    Rule(
        "killed",
        "the process was killed from outside, most likely by the kernel because the host's memory was used up",
        (
            r"(?:zsh: |bash: |/\S+: )?(?:line \d+: +)?(?:\d+ )?[Kk]illed(?:\s+(?:python|\./|/)\S*.*)?$",
            r"OOMKilled\b",
            r"[Oo]ut of memory: Kill(?:ed)? process \d+",
            r"Memory cgroup out of memory: Kill(?:ed)? process \d+",
            r"oom-kill:constraint=",
            r"slurmstepd: error: Detected \d+ oom[-_]kill event",
        ),
        (
            "a smaller batch, and smaller shuffle(), prefetch() and cache() of the tf.data input",
            "more memory for the job or container: docker --memory, resources.limits.memory, sbatch --mem",
        ),
        "https://github.com/tensorflow/models/issues/3497",
        tell_apart="or a person or the scheduler (a time limit) ended it: dmesg | grep -i oom, kubectl describe pod or"
        " sacct tells",
        kind=Kind.LIKELY,
        follows_from=("host_out_of_memory",),
        only_last=True,
    ),
    Rule(
        "allocation_retried",
        "an allocation failed, and TensorFlow went on with a slower way that needs less: this ends no run",
        (_NOT_SERVED.format(name=r"\w+") + f".*(?:{NO_FAILURE})",),
        ("nothing, where speed is enough; else " + _SMALLER,),
        "https://github.com/tensorflow/tensorflow/issues/43546",
        kind=Kind.NOTICE,
    ),
    # TensorFlow 1 logs it as an error, and 2 as information, because it then asks for less: no failure by itself.
    Rule(
        "allocation_refused",
        "out of GPU memory for one piece: the driver refused it, since another process or TensorFlow itself holds the"
        " rest; TensorFlow asks for a smaller one, and goes on if it gets it",
        (r"failed to allocate [\d.]+\s?\w+ \(\d+ bytes\) from device: CUDA_ERROR_OUT_OF_MEMORY",),
        (_OTHERS, _GROW, "nothing, where the run goes on and is fast enough"),
        "https://github.com/tensorflow/tensorflow/issues/52123",
        kind=Kind.NOTICE,
        follows_from=("gpu_out_of_memory",),
    ),
)

OUT_OF_MEMORY = (
    "gpu_out_of_memory",
    "cublas_failed",
    "cudnn_failed",
    "no_convolution_algorithm",
    "copy_to_gpu_failed",
    "host_out_of_memory",
    "out_of_memory",
    "allocation_refused",
)
"""What a run dies of where there is no memory left, under its own name or another."""
