"""Trains a recipe on N replicas: virtual GPUs, real ones, or logical CPUs.

python train/main.py --virtual_gpus=2 --memory_limit=1024
python train/main.py --virtual_gpus=4 --steps=0                  verify alone
python train/main.py --output_dir=runs/a --resume                go on with it
python train/main.py --config=my_recipe.py --export=model.keras  your own recipe
python train/main.py --steps=0 --json --quiet | jq .causes       for programs
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from train import flags as train_flags
from train import script
from train.errors import InputError

if TYPE_CHECKING:
    from configs.recipe import Recipe
    from train.output import Output
    from train.record import Recording
    from train.run_folder import RunFolder

FLAGS = flags.FLAGS


def main(output: "Output") -> int:
    """Trains what the flags ask for and writes ``report.json``; returns the exit code."""
    # Imported in the functions, so that --help and a misspelt flag answer before TensorFlow has loaded.
    from train.cluster_member import find_member, open_member_folder, run_as_member
    from train.export import require_exportable
    from train.fingerprint import recipe_fields
    from train.for_tensorboard import require_packages
    from train.proof import require_known_causes
    from train.recipes import recipe_from_flags
    from train.record import leave_report
    from train.resume import require_same_run
    from train.run_folder import open_run_folder
    from train.stages import load_subject
    from train.verification import memory_targets

    recipe = recipe_from_flags(FLAGS)
    require_known_causes(FLAGS.accept)
    if FLAGS.export:
        require_exportable(Path(FLAGS.export))
    member = find_member(os.environ)
    require_packages(FLAGS, in_one_process=not member and FLAGS.isolation == "logical")
    if member:
        if FLAGS.isolation == "process":
            raise InputError("--isolation=process starts processes of its own: leave it out on a cluster (TF_CONFIG)")
        folder, own_folder = open_member_folder(FLAGS, member)
    else:
        folder = own_folder = open_run_folder(FLAGS.output_dir, resume=FLAGS.resume)
    if FLAGS.resume:
        require_same_run(folder, {"recipe": recipe_fields(recipe)})

    def start(recording: "Recording") -> int:
        recording.find_targets = lambda: memory_targets(load_subject(FLAGS, recipe))
        if member:
            return run_as_member(FLAGS, recipe, member, folder, recording)
        return run(recipe, folder, recording)

    return leave_report(own_folder, start, output)


def run(recipe: "Recipe", folder: "RunFolder", recording: "Recording") -> int:
    """Devices, data, proof, training: each step of a run, in order."""
    from train import from_flags
    from train.checkpoint import Checkpoints
    from train.device_flags import make_devices, set_speed
    from train.for_tensorboard import how_to_look
    from train.isolation import run_in_processes
    from train.proof import describe_enforcement, exit_code_of
    from train.rerun import with_command
    from train.stages import Outputs, load_subject, prove, train
    from train.transport import require_sound_transport

    if FLAGS.isolation == "process":
        return run_in_processes(FLAGS, recipe, folder, recording)
    console = recording.console
    from_flags.configure_keras(recipe, deterministic=FLAGS.deterministic)
    recording.devices = devices = make_devices(FLAGS)
    set_speed(FLAGS, devices)
    recording.memory.start(devices, "data and links")
    console.print(devices.summary)
    from_flags.require_batch_for_each_replica(recipe, devices)

    subject = load_subject(FLAGS, recipe)
    require_sound_transport(devices, recording.keep_transport)
    recording.memory.begin_phase("verification")
    report, trainee = prove(FLAGS, subject, devices, console, folder)
    recording.report = report = with_command(report, FLAGS, sys.argv[0])
    recording.devices = describe_enforcement(devices, report)
    recording.print_report(verbose=FLAGS.verbose)
    if not report.ok or FLAGS.steps == 0:
        return exit_code_of(report)

    outputs = Outputs(
        folder=folder,
        checkpoints=Checkpoints(folder.checkpoints, trainee.program, strategy=trainee.strategy),
        console=console,
        keep_setup=recording.keep_setup,
        keep_training=recording.add_training,
        begin_phase=recording.memory.begin_phase,
    )
    train(FLAGS, subject, trainee, outputs)
    recording.print_summary()
    if look := how_to_look(FLAGS, folder):
        console.print(look)
    return 0


def define_flags() -> None:
    """Every flag of this script; a process of ``--isolation=process`` has the same."""
    train_flags.define_device_flags()
    train_flags.define_isolation_flag()
    train_flags.define_cluster_flags()
    train_flags.define_recipe_flags()
    train_flags.define_speed_flags()
    train_flags.define_verification_flags(may_be_off=True)
    train_flags.define_output_flags()
    train_flags.define_checkpoint_flags()
    train_flags.define_export_flag()
    train_flags.define_tensorboard_flags()


if __name__ == "__main__":
    define_flags()
    script.run(main)
