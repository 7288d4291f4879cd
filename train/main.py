"""Trains a recipe on N replicas: virtual GPUs, real ones, or logical CPUs.

python train/main.py --virtual_gpus=2 --memory_limit=1024
"""

import sys
from typing import TYPE_CHECKING

from absl import flags

from train import flags as train_flags
from train import script

if TYPE_CHECKING:
    from configs.recipe import Recipe
    from train.record import Recording
    from train.run_folder import RunFolder

FLAGS = flags.FLAGS


def main() -> int:
    """Trains what the flags ask for and writes ``report.json``; returns the exit code."""
    # Imported in the functions, so that --help and a misspelt flag answer before TensorFlow has loaded.
    from train.proof import require_known_causes
    from train.recipes import recipe_from_flags
    from train.record import leave_report
    from train.resume import require_same_recipe
    from train.run_folder import open_run_folder

    recipe = recipe_from_flags(FLAGS)
    require_known_causes(FLAGS.accept)
    folder = open_run_folder(FLAGS.output_dir, resume=FLAGS.resume)
    if FLAGS.resume:
        require_same_recipe(folder, recipe)
    return leave_report(folder, lambda recording: run(recipe, folder, recording))


def run(recipe: "Recipe", folder: "RunFolder", recording: "Recording") -> int:
    """Devices, data, program, training: each step of a run, in order."""
    from distribute import make_strategy
    from train import from_flags
    from train.checkpoint import Checkpoints
    from train.dataset_source import load_source
    from train.device_flags import make_devices
    from train.loop import make_train_function
    from train.placement import print_placement_once
    from train.proof import describe_enforcement, exit_code_of
    from train.rerun import with_command
    from train.resume import note_recipe
    from train.stop_signals import raise_if_stopped
    from train.training import SaveInterval, evaluate_on_test_split, run_training
    from train.verification import Subject, verify_loop, verify_recipe

    console = recording.console
    from_flags.configure_keras(recipe, deterministic=FLAGS.deterministic)
    recording.devices = devices = make_devices(FLAGS)
    console.print(devices.summary, highlight=False, soft_wrap=True)
    from_flags.require_batch_for_each_replica(recipe, devices)

    source = load_source(recipe.dataset, FLAGS.data_dir)
    subject = Subject(FLAGS.config, recipe, source)
    report = verify_recipe(
        subject,
        devices,
        mode=FLAGS.verify,
        accept=FLAGS.accept,
        shrink=FLAGS.shrink,
        num_rows=FLAGS.first_rows,
    )
    report = with_command(report, FLAGS, sys.argv[0])

    strategy = make_strategy(devices)
    with strategy.scope():
        program = subject.build()
    step_function = make_train_function(strategy, program)
    if FLAGS.log_device_placement:
        step_function = print_placement_once(step_function, console)

    recording.report = report = verify_loop(subject, report, step_function, program, mode=FLAGS.verify)
    recording.devices = describe_enforcement(devices, report)
    recording.print_report(verbose=FLAGS.verbose)
    if not report.ok or FLAGS.steps == 0:
        return exit_code_of(report)

    checkpoints = Checkpoints(folder.checkpoints, program)
    first_step = checkpoints.restore_latest() if FLAGS.resume else 0
    schedule = from_flags.make_schedule(FLAGS, recipe, source, first_step)
    if first_step >= schedule.num_steps:
        console.print(f"nothing to train: {first_step} of {schedule.num_steps} steps are done", highlight=False)
    note_recipe(folder, recipe)
    entry = run_training(
        recipe,
        source,
        program,
        step_function,
        schedule=schedule,
        checkpoints=checkpoints,
        save_interval=SaveInterval(*train_flags.save_interval(FLAGS.save_every)),
        console=console,
    )
    recording.add_training(entry)
    raise_if_stopped()
    recording.training |= evaluate_on_test_split(recipe, source, strategy, program)
    recording.print_summary()
    return 0


if __name__ == "__main__":
    train_flags.define_device_flags()
    train_flags.define_recipe_flags()
    train_flags.define_verification_flags(may_be_off=True)
    train_flags.define_output_flags()
    train_flags.define_checkpoint_flags()
    flags.adopt_module_key_flags(train_flags)
    script.run(main)
