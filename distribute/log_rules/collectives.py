"""Sums over replicas: NCCL, and TensorFlow's own collectives."""

from ..package_name import LIBRARY
from .rule import Kind, Rule

_ONE_DEVICE = "tf.distribute.MirroredStrategy(cross_device_ops=tf.distribute.ReductionToOneDevice())"

COLLECTIVE_RULES = (
    Rule(
        "nccl_one_gpu_twice",
        "NCCL was given the same GPU twice, which it refuses; virtual GPUs on one GPU do that",
        (r"Duplicate GPU detected : rank \d+ and rank \d+ both on CUDA device",),
        (
            f"{LIBRARY}.make_strategy(devices) takes sums that suit virtual GPUs; in your own code: " + _ONE_DEVICE,
            "several processes: one GPU for each, by CUDA_VISIBLE_DEVICES",
        ),
        "https://github.com/NVIDIA/nccl/issues/1241",
    ),
    Rule(
        "nccl_not_built_in",
        "this TensorFlow has no NCCL, as on Windows and without CUDA",
        (r"No OpKernel was registered to support Op 'Nccl\w+'",),
        (_ONE_DEVICE, "WSL 2 or Linux, where TensorFlow has NCCL"),
        "https://github.com/tensorflow/tensorflow/issues/28430",
    ),
    Rule(
        "nccl_failed",
        "NCCL, which sums gradients over GPUs, failed",
        (
            r"NCCL: unhandled (?:system|cuda) error",
            r"NCCL: (?:invalid usage|internal error|remote process exited)",
            r"NCCL operation .* failed: ",
            r"Error invoking NCCL: ",
            r"unhandled (?:system|cuda) error(?:\. Set NCCL_DEBUG| \(run with NCCL_DEBUG)",
            r"ncclCommInitRank failed: ",
        ),
        (
            "NCCL_DEBUG=WARN shows the reason in the next run; common ones: /dev/shm too small (docker --shm-size=1g),"
            " locked memory (ulimit -l unlimited), no way between the GPUs (NCCL_P2P_DISABLE=1, NCCL_IB_DISABLE=1)",
            _ONE_DEVICE + " does without NCCL",
        ),
        "https://github.com/tensorflow/tensorflow/issues/51760",
        within=(r"^unhandled (?:system|cuda) error",),
        kind=Kind.LIKELY,
        tell_apart="the line with 'NCCL WARN' names the call that failed",
        follows_from=("nccl_one_gpu_twice", "nccl_infiniband", "gpu_crash", "gpu_out_of_memory"),
    ),
    Rule(
        "nccl_infiniband",
        "NCCL, which sums gradients over GPUs, got no resources of the InfiniBand adapter, most likely locked memory",
        (r"Call to ibv_\w+ failed",),
        (
            "ulimit -l unlimited, in the job of the scheduler, too; docker run --ulimit memlock=-1",
            "NCCL_IB_DISABLE=1 does without InfiniBand, over TCP and slower",
        ),
        "https://github.com/tensorflow/tensorflow/issues/51760",
        kind=Kind.LIKELY,
        tell_apart="ulimit -l in the job shows the limit; if it is unlimited, ibv_devinfo shows the adapter's state",
    ),
    Rule(
        "collective_shapes_differ",
        "the replicas brought tensors of different shapes to one sum",
        (
            r"Shape mismatch in the collective instance",
            r"Aborting Ring\w+ with Invalid argument: (?:\[_Derived_\])?.*Shape mismatch in the collective instance",
        ),
        (
            "a second model in the same process meets the keys of the first: one process for each, or " + _ONE_DEVICE,
            "workers with batches of different sizes: batch(…, drop_remainder=True), the same data on each",
        ),
        "https://github.com/tensorflow/tensorflow/issues/62790",
        kind=Kind.LIKELY,
        tell_apart="in one process after a first strategy or model: the keys; from the first step on, or at the end of"
        " an epoch: the batches",
    ),
)
