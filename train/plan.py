"""Plans memory before training: the smallest limit for a batch, the largest batch under a limit.

python train/plan.py --virtual_gpus=2 --memory_limit=1024
python train/plan.py --virtual_gpus=2 --check
python train/plan.py --target=my_package.my_module:build --data=my_package.my_module:batches

One replica's share runs three times on CPU, in processes of its own without a limit, each of its allocations recorded;
the recordings are then replayed through a model of TensorFlow's allocator under one limit after the other.
"""

from typing import TYPE_CHECKING

from absl import flags

from train import flags as train_flags
from train import script

if TYPE_CHECKING:
    from distribute.targets import Target
    from train.output import Output

FLAGS = flags.FLAGS


def main(output: "Output") -> int:
    """Prints the plan, writes ``plan.json``; returns the exit code, 2 where `--check` shows that it does not hold."""
    # Imported in the functions, so that --help and a misspelt flag answer before TensorFlow has loaded.
    from train.errors import InputError
    from train.planning import plan
    from train.run_folder import open_run_folder
    from train.user_code import told

    if FLAGS.device == "gpu":
        raise InputError("--device=gpu: a plan is made on a CPU, whose kernels are others: leave it out")
    folder = open_run_folder(FLAGS.output_dir, resume=False)
    what = f"--target={FLAGS.target} --data={FLAGS.data}" if FLAGS.target else f"--config={FLAGS.config}"
    try:
        with told(what):
            return plan(
                *find_targets(),
                folder,
                output,
                num_replicas=FLAGS.virtual_gpus or 1,
                limit_mib=FLAGS.memory_limit,
                check_runs=FLAGS.check_runs if FLAGS.check else 0,
            )
    finally:
        folder.remove_if_new()


def find_targets() -> "tuple[Target, Target]":
    """The program and its data: the user's own where ``--target`` names them, else those of the recipe."""
    from train.from_flags import configure_keras
    from train.recipe_data import load_subject
    from train.recipes import recipe_from_flags
    from train.user_code import look_in_working_directory
    from train.verification import memory_targets

    if FLAGS.target:
        look_in_working_directory()
        return FLAGS.target, FLAGS.data
    recipe = recipe_from_flags(FLAGS)
    configure_keras(recipe, deterministic=FLAGS.deterministic)
    return memory_targets(load_subject(FLAGS.config, recipe, FLAGS.data_dir))


if __name__ == "__main__":
    train_flags.define_device_flags()
    train_flags.define_recipe_flags()
    train_flags.define_plan_flags()
    train_flags.define_output_flags()
    script.run(main)
