"""All command-line flags, in one place: libraries take arguments, only scripts read flags.

Imports nothing heavy, so that ``--help`` and a misspelt flag answer at once. ``--help`` shows the first sentence of a
flag's help, in one line; the rest is for ``--helpfull`` (`train.flag_help`).
"""

import math
import re

from absl import flags

from train.flag_help import in_group

FLAGS = flags.FLAGS

_SAVE_EVERY = re.compile(r"([1-9]\d*)(m?)")


@in_group("devices")
def define_device_flags(*, least_replicas: int = 1) -> None:
    """What to run on; without ``--virtual_gpus`` one replica for each GPU, and at least `least_replicas`."""
    flags.DEFINE_integer(
        "virtual_gpus",
        None,
        f"Number of replicas (one per GPU, at least {least_replicas}). A logical device each.",
        lower_bound=1,
    )
    flags.DEFINE_integer("memory_limit", None, "Memory of each virtual GPU, in `MiB`.", lower_bound=1)
    define_device_flag()
    flags.DEFINE_enum(
        "memory_policy",
        None,
        ["default", "growth", "limit"],
        "TensorFlow's memory policy. Default: limit when a limit is given or a GPU is split, else default.",
    )


@in_group("devices")
def define_device_flag() -> None:
    """Which kind of device to take, for a script that splits none."""
    flags.DEFINE_enum("device", "auto", ["auto", "gpu", "cpu"], "What to split. auto: GPUs where there are any.")


@in_group("devices")
def define_isolation_flag() -> None:
    """How replicas are kept apart while they train."""
    flags.DEFINE_enum(
        "isolation",
        "logical",
        ["logical", "process"],
        "process: one process for each replica. So --memory_limit holds for each on a CPU too. logical: all in this "
        "process.",
    )


@in_group("cluster (TF_CONFIG, Slurm)")
def define_cluster_flags() -> None:
    """How long processes of a cluster wait for each other, in seconds."""
    flags.DEFINE_float("form_timeout", 120.0, "For all processes to come, in `SECONDS`.", lower_bound=1.0)
    flags.DEFINE_float(
        "notice_timeout",
        30.0,
        "Until one that is silent is given up, in `SECONDS`. It gave no sign of life for so long.",
        lower_bound=1.0,
    )


@in_group("your own code")
def define_target_flags() -> None:
    """What of the user's own to check, and for how many updates."""
    flags.DEFINE_string(
        "target", None, "What to check: a function, as `MODULE:NAME`. It returns a compiled keras.Model or a Program."
    )
    flags.DEFINE_string(
        "data",
        None,
        "Its data, as `MODULE:NAME`. A list of global batches, a Dataset, or a function that returns one.",
    )
    for name in ("target", "data"):
        flags.register_validator(name, bool, f"--{name} is needed, as in --{name}=my_package.my_module:name")
    flags.DEFINE_integer(
        "check_steps", 1, "Consecutive updates to compare. They begin on the first batch.", lower_bound=1
    )


@in_group("plan")
def define_plan_flags() -> None:
    """What to plan besides the recipe, and how to prove it."""
    flags.DEFINE_string(
        "target",
        None,
        "Your own instead of a recipe: `MODULE:NAME`. A function that returns a compiled keras.Model or a Program.",
    )
    flags.DEFINE_string("data", None, "Its data, as `MODULE:NAME`. The shapes of one batch are used.")
    flags.register_multi_flags_validator(
        ["target", "data"],
        lambda values: (values["target"] is None) == (values["data"] is None),
        "--target and --data belong together",
    )
    flags.DEFINE_boolean("check", False, "Run one replica's share under that very limit.")
    flags.DEFINE_integer("check_runs", 10, "How often.", lower_bound=1)


@in_group("policies")
def define_policies_flag() -> None:
    """Which limits to try besides the other policies."""
    flags.DEFINE_list("limits", [], "`MIB,MIB`: a row for each limit. Default: --memory_limit, or 1024.")
    flags.register_validator(
        "limits",
        lambda limits: all(limit.isdigit() and int(limit) > 0 for limit in limits),
        "give whole numbers of MiB, such as 1024,64",
    )


@in_group("recipe")
def define_recipe_flags() -> None:
    """What to train; each overrides the recipe's own value."""
    flags.DEFINE_string("config", "configs.digits", "`RECIPE`: a module or .py file. It holds get_config().")
    flags.DEFINE_integer("epochs", None, "Passes over the training examples.", lower_bound=1)
    flags.DEFINE_integer(
        "steps",
        None,
        "All steps, resumed ones too; 0 only verifies. Overrides --epochs.",
        lower_bound=0,
        upper_bound=10**12,
    )
    flags.DEFINE_integer("global_batch_size", None, "Examples in a step, over all replicas.", lower_bound=1)
    flags.DEFINE_float("learning_rate", None, "Not scaled with the number of replicas.", lower_bound=0.0)
    flags.register_validator(
        "learning_rate", lambda rate: rate is None or math.isfinite(rate), "the learning rate must be finite"
    )
    flags.DEFINE_string(
        "dataset", None, "`NAME`: digits, line, reviews, or a set of TensorFlow Datasets. Images or texts to classify."
    )
    flags.DEFINE_string("data_dir", None, "`FOLDER` of data sets. Default: TFDS_DATA_DIR or ~/tensorflow_datasets.")
    flags.DEFINE_integer(
        "seed",
        None,
        "Decides weights, order of examples, shifts, dropout.",
        lower_bound=0,
        upper_bound=2**32 - 1,
    )
    flags.DEFINE_boolean("deterministic", False, "The same bits in each run; slower.")
    flags.DEFINE_boolean(
        "log_device_placement",
        False,
        "What runs on which device. The number of operations of one step on each, by type.",
    )


@in_group("speed")
def define_speed_flags() -> None:
    """How the steps are carried out; no result depends on it but for rounding."""
    flags.DEFINE_integer(
        "steps_per_call",
        None,
        "Steps in one call of TensorFlow. Saves and signals wait for its end. Default: those of a quarter of a second, "
        "at most 20; one where a run has several processes, which must decide alike.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "intra_op_threads", None, "Threads for each operation. Default: by cores and replicas.", lower_bound=0
    )
    flags.DEFINE_integer("inter_op_threads", None, "Operations at once. Default: by cores and replicas.", lower_bound=0)
    flags.DEFINE_bool(
        "xla",
        False,
        "Let XLA compile what it can on each GPU. Faster steps, a longer first one. A CPU ignores it.",
    )


@in_group("prediction")
def define_scaling_flags() -> None:
    """What to predict from, and for which links."""
    flags.DEFINE_float("step_ms", None, "One replica's step, in ms. Default: measured here.", lower_bound=1e-6)
    flags.DEFINE_float(
        "gradient_mib", None, "Gradients that replicas sum, in MiB. Default: the recipe's.", lower_bound=0
    )
    flags.DEFINE_integer("all_reduces", 1, "All-reduces one after the other. Of the gradients' parts.", lower_bound=1)
    flags.DEFINE_list("replicas", [str(2**power) for power in range(1, 11)], "`N,N`: for how many replicas.")
    flags.register_validator(
        "replicas",
        lambda numbers: bool(numbers) and all(number.isdigit() and int(number) > 0 for number in numbers),
        "give whole numbers, such as 2,8,64",
    )
    flags.DEFINE_list("links", ["nvlink", "pcie", "10gbe", "100gbe", "400gbe"], "Between replicas, or between hosts.")
    flags.DEFINE_float("latency_us", None, "Your own link: microseconds of a message.", lower_bound=0)
    flags.DEFINE_float("bandwidth_gbs", None, "Your own link: 10^9 bytes a second, one way.", lower_bound=1e-9)
    flags.DEFINE_integer("per_host", 8, "Replicas on a host. They sum within and between hosts.", lower_bound=1)
    flags.DEFINE_string("inner_link", "nvlink", "Between the replicas of a host.")
    flags.DEFINE_boolean("overlap", False, "Sum gradients behind backpropagation, at best.")


@in_group("verification")
def define_verification_flags(*, may_be_off: bool = False) -> None:
    """What to prove; with `may_be_off` nothing, too."""
    modes = ["all", "gradients", "memory", *(["off"] if may_be_off else [])]
    flags.DEFINE_enum("verify", "all", modes, "What to check against one device.")
    flags.DEFINE_list("accept", [], "`CAUSE,…`: differences that you know and want. Such as local_batch_statistics.")
    flags.DEFINE_boolean(
        "shrink", True, "Look for the smallest case that fails. For at most half the time of the check."
    )
    flags.DEFINE_integer(
        "first_rows",
        None,
        "Compare so many examples of a batch alone. Those that the first global batch begins with, and nothing else: "
        "the smallest case of a failure.",
        lower_bound=1,
    )
    flags.DEFINE_boolean("verbose", False, "Show every variable, not only the worst.")


@in_group("output")
def define_output_flags() -> None:
    """Where results go, and how much is told."""
    flags.DEFINE_string("output_dir", None, "`FOLDER` to write to. Default: a new one under runs/.")
    define_telling_flags()


@in_group("output")
def define_telling_flags() -> None:
    """How much is told, and in which form; every script has these."""
    flags.DEFINE_boolean(
        "json", False, "One JSON document on standard output. Nothing else; what people read goes to standard error."
    )
    flags.DEFINE_boolean(
        "quiet", False, "Only results, warnings and errors. The two last ones on standard error; no progress."
    )
    flags.DEFINE_boolean("debug", False, "Show TensorFlow's log and whole tracebacks.")


@in_group("output")
def define_compare_flags() -> None:
    """How a comparison is told, and whether it is written."""
    flags.DEFINE_boolean("verbose", False, "Show every variable and all of the set-up.")
    flags.DEFINE_string("output_dir", None, "`FOLDER` for comparison.json.")
    define_telling_flags()


@in_group("what to look at")
def define_doctor_flags() -> None:
    """What the doctor is to look at; nothing named means this machine."""
    flags.DEFINE_string("log", None, "Explain a TensorFlow log or traceback in `FILE`. - is standard input.")
    flags.DEFINE_string("explain", None, "Explain this one message.")
    flags.register_multi_flags_validator(
        ["log", "explain"],
        lambda values: values["log"] is None or values["explain"] is None,
        "give --log or --explain, not both",
    )


@in_group("output")
def define_doctor_output_flags() -> None:
    """Whether what the doctor found is written, and how it is told."""
    flags.DEFINE_string("output_dir", None, "`FOLDER` for doctor.json.")
    define_telling_flags()


@in_group("TensorBoard")
def define_tensorboard_flags() -> None:
    """What is written for TensorBoard beside the report."""
    flags.DEFINE_boolean("tensorboard", False, "Loss, speed and memory over the steps. In OUTPUT_DIR/tensorboard.")
    flags.DEFINE_integer(
        "gradient_histograms", None, "Each gradient, every `K` steps. As it is applied.", lower_bound=1
    )
    flags.DEFINE_string(
        "profile_steps", None, "What devices do in `FIRST-LAST` step. For the Profile tab, as in 100-105."
    )
    flags.register_validator(
        "profile_steps",
        lambda text: text is None or _is_range(text),
        "two steps, the first one at least 1 and not behind the last, such as 100-105",
    )


def _is_range(text: str) -> bool:
    match = re.fullmatch(r"(\d+)-(\d+)", text)
    return match is not None and 1 <= int(match[1]) <= int(match[2])


@in_group("checkpoints")
def define_checkpoint_flags() -> None:
    """When to save, and whether to go on with what was saved; to be called after `define_output_flags`."""
    flags.DEFINE_boolean("resume", False, "Go on from the newest one in --output_dir.")
    flags.DEFINE_string("save_every", "200", "Save after so many `STEPS`, or minutes (2m).")
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


@in_group("checkpoints")
def define_export_flag() -> None:
    """Where the trained model goes for use elsewhere; to be called after `define_recipe_flags`."""
    flags.DEFINE_string(
        "export", None, "Save the trained model as `FILE.keras`. Under a name without .keras, as a SavedModel."
    )
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
