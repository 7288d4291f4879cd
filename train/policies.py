"""Trains the same under each of TensorFlow's memory policies and shows what each takes, and how fast it is.

python train/policies.py --virtual_gpus=2 --limits=1024,64
python train/policies.py --steps=20 --json | jq '.policies[] | {policy, process_peak_mib, outcome}'

Each policy has a process of its own, sampled 50 times a second. What this machine cannot run is a row with the reason.
"""

import os
from typing import TYPE_CHECKING, Any

from absl import flags

from train import flags as train_flags
from train import script

if TYPE_CHECKING:
    from configs.recipe import Recipe
    from train.output import Output
    from train.policy_table import Policy
    from train.run_folder import RunFolder

FLAGS = flags.FLAGS

_ENTRY = "train.policy_run:run"
_STEPS = 100
_LIMIT_MIB = 1024
_REPLICAS = 2
_TIMEOUT_S = 900.0


def main(output: "Output") -> int:
    """Runs all policies, prints the table and writes ``policies.json`` with a picture for each; returns 0.

    Raises:
      InputError, MachineError: what is to be trained cannot be loaded, under any policy.
    """
    # Imported in the functions, so that --help and a misspelt flag answer before TensorFlow has loaded.
    import tensorflow as tf

    from train.errors import InputError, MachineError
    from train.policy_table import policies, table
    from train.recipes import recipe_from_flags
    from train.run_folder import open_run_folder
    from train.working import counted

    recipe = recipe_from_flags(FLAGS)
    if FLAGS.steps is not None and FLAGS.steps < 2:
        raise InputError(f"--steps={FLAGS.steps}: speed is that of the steps after the first one: give 2 or more")
    on_gpu = FLAGS.device != "cpu" and bool(tf.config.list_physical_devices("GPU"))
    if FLAGS.device == "gpu" and not on_gpu:
        raise MachineError("--device=gpu: TensorFlow sees no GPU: leave it out to measure the policies of a CPU")
    folder = open_run_folder(FLAGS.output_dir, resume=False)
    limits = [int(limit) for limit in FLAGS.limits] or [FLAGS.memory_limit or _LIMIT_MIB]
    chosen = policies(on_gpu=on_gpu, num_replicas=FLAGS.virtual_gpus or _REPLICAS, limits_mib=limits)
    at_work = counted(output.console, "policy", chosen, len(chosen))
    try:
        rows = [row_of(policy, recipe, folder, number, on_gpu=on_gpu) for number, policy in enumerate(at_work)]
    finally:
        folder.remove_if_new()
    output.show("\n".join(table(rows)))
    path = output.save(folder, "policies.json", {"on_gpu": on_gpu, "policies": rows})
    output.console.print(f"all of it: {path}, timelines beside it")
    return 0


def row_of(policy: "Policy", recipe: "Recipe", folder: "RunFolder", number: int, *, on_gpu: bool) -> dict[str, Any]:
    """Runs one policy; what came of it as a row of the table and of ``policies.json``."""
    found = {} if policy.skipped else _run(policy, recipe, folder, number, on_gpu=on_gpu)
    phases = found.get("memory", {}).get("phases", [])
    allocator = max((max(phase["peak_mib"].values(), default=0.0) for phase in phases), default=None)
    process = max((phase["process_peak_mib"] for phase in phases), default=None)
    outside = max((phase["outside_allocators_mib"] or 0.0 for phase in phases), default=None)
    beyond = process - policy.num_replicas * policy.limit_mib if on_gpu and policy.limit_mib and process else None
    return {
        "policy": policy.name,
        "configured": policy.configured,
        "allocator_peak_mib": allocator,
        "process_peak_mib": process,
        "overhead_mib": outside,
        "beyond_limit_mib": beyond,
        "process_freed_mib": found.get("process_freed_mib"),
        "examples_per_second": found.get("examples_per_second"),
        "outcome": f"skipped: {policy.skipped}" if policy.skipped else found.get("error") or "trained",
        **found,
    }


def _run(policy: "Policy", recipe: "Recipe", folder: "RunFolder", number: int, *, on_gpu: bool) -> dict[str, Any]:
    from distribute.memory_check.child_process import ChildProcess
    from distribute.memory_check.runs import child_environment
    from train.errors import InputError, MachineError

    cap = None if on_gpu or policy.limit_mib is None else policy.num_replicas * policy.limit_mib
    environment = {**os.environ} if on_gpu else child_environment(os.environ, cap)
    names = ("global_batch_size", "learning_rate", "dataset", "seed")
    child = ChildProcess(
        _ENTRY,
        {
            "config": FLAGS.config,
            "overrides": {name: getattr(recipe, name) for name in names},
            "data_dir": FLAGS.data_dir,
            "kind": "gpu" if on_gpu else "cpu",
            "num_replicas": policy.num_replicas,
            "memory_policy": policy.memory_policy,
            # On a CPU the cap of the process is the limit: TensorFlow has none per logical device.
            "limit_mib": policy.limit_mib if on_gpu else None,
            "cap_mib": cap,
            "at_once": policy.at_once,
            "num_steps": FLAGS.steps or _STEPS,
            "deterministic": FLAGS.deterministic,
            "picture": str(folder.path / f"{number}-{policy.name}.svg"),
        },
        environment={**environment, **policy.environment},
        timeout_s=_TIMEOUT_S,
    )
    outcome = child.outcome()
    if outcome.ok:
        return outcome.result
    for refused in (InputError, MachineError):
        if refused.__name__ in outcome.error_types:
            raise refused(outcome.text)
    return {"error": outcome.message}


if __name__ == "__main__":
    train_flags.define_device_flags()
    train_flags.define_recipe_flags()
    train_flags.define_policies_flag()
    train_flags.define_output_flags()
    script.run(main)
