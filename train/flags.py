"""All command-line flags, in one place: libraries take arguments, only scripts read flags.

Imports nothing heavy, so that ``--help`` and a misspelt flag answer at once.
"""

import math
import re

from absl import flags

FLAGS = flags.FLAGS

_SAVE_EVERY = re.compile(r"([1-9]\d*)(m?)")


def define_device_flags(*, least_replicas: int = 1) -> None:
    """What to run on; without ``--virtual_gpus`` one replica for each GPU, and at least `least_replicas`."""
    flags.DEFINE_integer(
        "virtual_gpus",
        None,
        f"Number of replicas, one logical device each. Default: one per GPU, at least {least_replicas}.",
        lower_bound=1,
    )
    flags.DEFINE_integer("memory_limit", None, "Memory of each virtual GPU, in MiB.", lower_bound=1)
    flags.DEFINE_enum("device", "auto", ["auto", "gpu", "cpu"], "What to split: GPUs where there are any, or as named.")
    flags.DEFINE_enum(
        "memory_policy",
        None,
        ["default", "growth", "limit"],
        "TensorFlow's memory policy. Default: limit when a limit is given or a GPU is split, else default.",
    )


def define_isolation_flag() -> None:
    """How replicas are kept apart while they train."""
    flags.DEFINE_enum(
        "isolation",
        "logical",
        ["logical", "process"],
        "logical: all replicas in this process. process: one process for each, so that --memory_limit holds for each "
        "on a CPU too.",
    )


def define_cluster_flags() -> None:
    """How long processes of a cluster wait for each other, in seconds."""
    flags.DEFINE_float("form_timeout", 120.0, "Seconds for all processes of a cluster to come.", lower_bound=1.0)
    flags.DEFINE_float(
        "notice_timeout", 30.0, "Seconds without a sign of life after which a process is given up.", lower_bound=1.0
    )


def define_target_flags() -> None:
    """What of the user's own to check, and for how many updates."""
    flags.DEFINE_string(
        "target", None, "module:function that returns what to check: a compiled keras.Model or a distribute.Program."
    )
    flags.DEFINE_string(
        "data", None, "module:name of its data: a list of global batches, a Dataset, or a function that returns one."
    )
    for name in ("target", "data"):
        flags.register_validator(name, bool, f"--{name} is needed, as in --{name}=my_package.my_module:name")
    flags.DEFINE_integer("check_steps", 1, "Consecutive updates to compare, on the first batch.", lower_bound=1)


def define_plan_flags() -> None:
    """What to plan besides the recipe, and how to prove it."""
    flags.DEFINE_string("target", None, "Instead of a recipe: module:function that returns your own model or Program.")
    flags.DEFINE_string("data", None, "Its data, as module:name: of one batch the shapes are used.")
    flags.register_multi_flags_validator(
        ["target", "data"],
        lambda values: (values["target"] is None) == (values["data"] is None),
        "--target and --data belong together",
    )
    flags.DEFINE_boolean("check", False, "Run one replica's share under exactly the planned limit.")
    flags.DEFINE_integer("check_runs", 10, "How often.", lower_bound=1)


def define_policies_flag() -> None:
    """Which limits to try besides the other policies."""
    flags.DEFINE_list("limits", [], "MiB, a row for each: 1024,64. Default: --memory_limit, or 1024.")
    flags.register_validator(
        "limits",
        lambda limits: all(limit.isdigit() and int(limit) > 0 for limit in limits),
        "give whole numbers of MiB, such as 1024,64",
    )


def define_recipe_flags() -> None:
    """What to train; each overrides the recipe's own value."""
    flags.DEFINE_string("config", "configs.digits", "Recipe: a module, or a .py file, with get_config().")
    flags.DEFINE_integer("epochs", None, "Passes over the training examples.", lower_bound=1)
    flags.DEFINE_integer(
        "steps",
        None,
        "Total number of steps, resumed ones counted in; overrides --epochs.",
        lower_bound=0,
        upper_bound=10**12,
    )
    flags.DEFINE_integer("global_batch_size", None, "Examples in one step, over all replicas.", lower_bound=1)
    flags.DEFINE_float("learning_rate", None, "Learning rate; not scaled with the number of replicas.", lower_bound=0.0)
    flags.register_validator(
        "learning_rate", lambda rate: rate is None or math.isfinite(rate), "the learning rate must be finite"
    )
    flags.DEFINE_string("dataset", None, "digits, or an image classification set of TensorFlow Datasets.")
    flags.DEFINE_string("data_dir", None, "Where data sets are kept. Default: TFDS_DATA_DIR or ~/tensorflow_datasets.")
    flags.DEFINE_integer(
        "seed",
        None,
        "Decides initial weights, order of the examples and random shifts.",
        lower_bound=0,
        upper_bound=2**32 - 1,
    )
    flags.DEFINE_boolean("deterministic", False, "Make TensorFlow's operations repeat themselves bit for bit (slower).")
    flags.DEFINE_boolean("log_device_placement", False, "Print how many operations of one step run on each device.")


def define_speed_flags() -> None:
    """How the steps are carried out; no result depends on it but for rounding."""
    flags.DEFINE_integer(
        "steps_per_call",
        None,
        "Steps that TensorFlow makes before Python has a say: saves, signals. Default: those of a quarter of a second, "
        "at most 20; one where a run has several processes, which must decide alike.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "intra_op_threads", None, "Threads for each operation. Default: by cores and replicas.", lower_bound=0
    )
    flags.DEFINE_integer("inter_op_threads", None, "Operations at once. Default: by cores and replicas.", lower_bound=0)
    flags.DEFINE_bool(
        "xla", False, "Let XLA compile what it can on each GPU: faster steps, a longer first one. A CPU ignores it."
    )


def define_scaling_flags() -> None:
    """What to predict from, and for which links."""
    flags.DEFINE_float("step_ms", None, "Milliseconds of one replica's step. Default: measured here.", lower_bound=1e-6)
    flags.DEFINE_float(
        "gradient_mib", None, "MiB of gradients that replicas sum. Default: the recipe's.", lower_bound=0
    )
    flags.DEFINE_integer("all_reduces", 1, "How many all-reduces of their parts follow one another.", lower_bound=1)
    flags.DEFINE_list("replicas", [str(2**power) for power in range(1, 11)], "For how many replicas.")
    flags.register_validator(
        "replicas",
        lambda numbers: bool(numbers) and all(number.isdigit() and int(number) > 0 for number in numbers),
        "give whole numbers, such as 2,8,64",
    )
    flags.DEFINE_list("links", ["nvlink", "pcie", "10gbe", "100gbe", "400gbe"], "Between replicas, or between hosts.")
    flags.DEFINE_float("latency_us", None, "A link of your own: microseconds of a message.", lower_bound=0)
    flags.DEFINE_float(
        "bandwidth_gbs", None, "A link of your own: gigabytes (10^9) a second, one way.", lower_bound=1e-9
    )
    flags.DEFINE_integer("per_host", 8, "Replicas on a host, for all-reduces within and between hosts.", lower_bound=1)
    flags.DEFINE_string("inner_link", "nvlink", "Between the replicas of a host.")
    flags.DEFINE_boolean("overlap", False, "Sum gradients behind backpropagation, at best.")


def define_verification_flags(*, may_be_off: bool = False) -> None:
    """What to prove; with `may_be_off` nothing, too."""
    modes = ["all", "gradients", "memory", *(["off"] if may_be_off else [])]
    flags.DEFINE_enum("verify", "all", modes, "What to check against one device.")
    flags.DEFINE_list(
        "accept", [], "Causes that the check may find, because you know and want them, such as local_batch_statistics."
    )
    flags.DEFINE_boolean("shrink", True, "Look for the smallest case that fails; it takes half the time of the check.")
    flags.DEFINE_integer(
        "first_rows",
        None,
        "Compare so many examples of the first global batch, and nothing else: the smallest case of a failure.",
        lower_bound=1,
    )
    flags.DEFINE_boolean("verbose", False, "Show every variable's differences, not only the worst.")


def define_output_flags() -> None:
    """Where results go, and how much is told."""
    flags.DEFINE_string("output_dir", None, "Folder for everything that is written. Default: a new one under runs/.")
    define_debug_flag()


def define_debug_flag() -> None:
    """How much is told of a failure."""
    flags.DEFINE_boolean("debug", False, "Show TensorFlow's log and whole tracebacks.")


def define_compare_flags() -> None:
    """How a comparison is told, and whether it is written."""
    flags.DEFINE_boolean("verbose", False, "Show every variable and every difference of the set-up.")
    flags.DEFINE_string("output_dir", None, "Folder that comparison.json is to be written to.")
    define_debug_flag()


def define_doctor_flags() -> None:
    """What the doctor is to look at; nothing named means this machine."""
    flags.DEFINE_string("log", None, "Explain this TensorFlow log or traceback; - is standard input.")
    flags.DEFINE_string("explain", None, "Explain this one message.")
    flags.DEFINE_string("output_dir", None, "Folder that doctor.json is to be written to.")
    flags.register_multi_flags_validator(
        ["log", "explain"],
        lambda values: values["log"] is None or values["explain"] is None,
        "give --log or --explain, not both",
    )


def define_checkpoint_flags() -> None:
    """When to save, and whether to go on with what was saved; to be called after `define_output_flags`."""
    flags.DEFINE_boolean("resume", False, "Go on from the newest checkpoint in --output_dir.")
    flags.DEFINE_string("save_every", "200", "Checkpoint after so many steps, or minutes with an m: 50, 2m.")
    flags.register_validator(
        "save_every",
        lambda text: _SAVE_EVERY.fullmatch(text) is not None,
        "give a number of steps (50) or minutes (2m)",
    )
    flags.register_multi_flags_validator(
        ["resume", "output_dir"],
        lambda values: not values["resume"] or values["output_dir"],
        "--resume needs --output_dir, the folder of the run to go on with",
    )


def define_export_flag() -> None:
    """Where the trained model goes for use elsewhere; to be called after `define_recipe_flags`."""
    flags.DEFINE_string("export", None, "Write the trained model to FILE.keras, or as a SavedModel to another name.")
    flags.register_multi_flags_validator(
        ["export", "steps"],
        lambda values: not values["export"] or values["steps"] != 0,
        "--export needs training, and --steps=0 only verifies",
    )


def save_interval(text: str) -> tuple[int | None, float | None]:
    """``"50"`` as (50 steps, None), ``"2m"`` as (None, 120 seconds)."""
    match = _SAVE_EVERY.fullmatch(text)
    if match is None:
        raise ValueError(f"save interval {text!r}: give a number of steps (50) or minutes (2m)")
    number, minutes = int(match[1]), match[2]
    return (None, 60.0 * number) if minutes else (number, None)
