"""Checks your own training code on N replicas against one device: gradients, updates, state, input and memory.

python train/verify.py --target=my_package.my_module:build --data=my_package.my_module:batches
python train/verify.py --target=mine:build --data=mine:batches --virtual_gpus=4 --memory_limit=512
python train/verify.py --target=mine:build --data=mine:batches --accept=local_batch_statistics --quiet
"""

import sys
from typing import TYPE_CHECKING

from absl import flags

from train import flags as train_flags
from train import script

if TYPE_CHECKING:
    from train.output import Output
    from train.proof import Provable
    from train.record import Recording

FLAGS = flags.FLAGS

# One replica has nothing to disagree with.
LEAST_REPLICAS = 2


def main(output: "Output") -> int:
    """Verifies what the flags name and writes ``report.json``; returns the exit code."""
    # Imported in the functions, so that --help and a misspelt flag answer before TensorFlow has loaded.
    from train.proof import require_known_causes
    from train.record import leave_report
    from train.run_folder import open_run_folder

    require_known_causes(FLAGS.accept)
    return leave_report(open_run_folder(FLAGS.output_dir, resume=False), check, output)


def check(recording: "Recording") -> int:
    """Devices, the user's code, links, proof: in this order, since code that is imported may use TensorFlow."""
    from train.device_flags import make_devices
    from train.proof import describe_enforcement, exit_code_of, prove
    from train.rerun import with_command
    from train.transport import require_sound_transport
    from train.user_code import told
    from train.working import under_way

    recording.devices = devices = make_devices(FLAGS, least_replicas=LEAST_REPLICAS)
    recording.console.print(devices.summary)
    provable = find_targets()
    recording.find_targets = lambda: (FLAGS.target, FLAGS.data)
    recording.memory.start(devices, "links")  # after the user's code, which may have settings for TensorFlow
    require_sound_transport(devices, recording.keep_transport)
    recording.memory.begin_phase("verification")
    user_code = told(f"--target={FLAGS.target} --data={FLAGS.data}")
    with user_code, under_way(recording.console, "verifying") as advance:
        report = prove(
            provable,
            devices,
            mode=FLAGS.verify,
            accept=FLAGS.accept,
            shrink=FLAGS.shrink,
            steps=FLAGS.check_steps,
            num_rows=FLAGS.first_rows,
            on_progress=advance,
        )
    recording.report = report = with_command(report, FLAGS, sys.argv[0])
    recording.devices = describe_enforcement(devices, report)
    recording.print_report(verbose=FLAGS.verbose)
    return exit_code_of(report)


def find_targets() -> "Provable":
    """What ``--target`` and ``--data`` name, imported; a module is looked for in the working directory first."""
    from distribute.targets import resolve_build, resolve_data
    from train.proof import Provable
    from train.user_code import look_in_working_directory, told

    look_in_working_directory()
    with told(f"--target={FLAGS.target}"):
        build = resolve_build(FLAGS.target)
    with told(f"--data={FLAGS.data}"):
        data = resolve_data(FLAGS.data)()
    return Provable(build, data, FLAGS.target, FLAGS.data)


if __name__ == "__main__":
    train_flags.define_target_flags()
    train_flags.define_device_flags(least_replicas=LEAST_REPLICAS)
    train_flags.define_verification_flags()
    train_flags.define_output_flags()
    script.run(main)
