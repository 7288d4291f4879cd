"""How logical devices were asked for: too late, or with settings that exclude each other."""

from ..package_name import LIBRARY
from .rule import Rule

DEVICE_RULES = (
    Rule(
        "devices_set_too_late",
        "devices were configured after TensorFlow had started to use them",
        (
            r"(?:Physical|Virtual|Visible) devices cannot be modified after being initialized",
            r"(?:Intra|Inter) op parallelism cannot be modified after initialization",
        ),
        (
            f"call {LIBRARY}.split_device, or tf.config.set_…, first of all: before any tensor, model, data set or"
            " strategy, imports that make such things included",
            "in a notebook: restart the kernel, then run that cell first",
        ),
        "https://github.com/tensorflow/tensorflow/issues/25138",
    ),
    Rule(
        "collectives_set_too_late",
        "a strategy for several workers was made after TensorFlow had started to compute",
        (r"Collective ops must be configured at program startup",),
        (
            "make tf.distribute.MultiWorkerMirroredStrategy() first of all: before any tensor, model, data set, or list"
            " of logical devices, imports that make such things included; and only once",
            "in a notebook: restart the kernel, then run that cell first",
        ),
        "https://github.com/tensorflow/tensorflow/issues/55178",
    ),
    Rule(
        "growth_with_limit",
        "memory growth and a memory limit were asked of one GPU, which TensorFlow cannot combine",
        (r"Cannot set memory growth on device when virtual devices configured",),
        (
            "choose one: --memory_policy=growth, or --memory_limit=MiB (--memory_policy=limit)",
            "in your own code drop set_memory_growth where set_logical_device_configuration is called",
        ),
        "https://github.com/tensorflow/tensorflow/issues/38367",
    ),
    Rule(
        "growth_differs",
        "memory growth was set for some GPUs and not for the others",
        (r"Memory growth cannot differ between GPU devices",),
        (
            "--memory_policy=growth sets it for all; in your code: for gpu in tf.config.list_physical_devices('GPU'):"
            " tf.config.experimental.set_memory_growth(gpu, True)",
            "or hide the others: tf.config.set_visible_devices(gpus[:1], 'GPU')",
        ),
        "https://github.com/zzh8829/yolov3-tf2/pull/225",
    ),
    Rule(
        "no_such_device",
        "a device was named that this process does not have",
        (
            r"Could not satisfy device specification '",
            r"Cannot assign a device for operation .*but available devices are",
            r"(?:Multiple unknown devices|\S*/device:[GC]PU:\d+ unknown device)",
            r"Unrecognized device: \[?(?:Physical|Logical)Device",
        ),
        (
            'python -c "import tensorflow as tf; print(tf.config.list_logical_devices())" shows what there is',
            "--virtual_gpus=N makes N logical devices on what there is, and names them for you",
        ),
        "https://github.com/tensorflow/tensorflow/issues/42236",
    ),
    Rule(
        "no_kernel_for_device",
        "an operation was placed on a device for which TensorFlow has no kernel of it",
        (
            r"(?:Cannot assign a device for operation .*: )?Could not satisfy explicit device specification '.*' "
            r"because no supported kernel for \w+ devices is available",
        ),
        (
            "tf.config.set_soft_device_placement(True), or allow_soft_placement=True in TensorFlow 1's ConfigProto: it"
            " then runs where it can",
            "or take the operation out of tf.device",
        ),
        "https://github.com/tensorflow/models/issues/4968",
    ),
)
