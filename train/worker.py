"""What runs in the processes of ``--isolation=process``: the proof in one, then the training in one for each replica.

The stages are those of `train.stages`, as they run without processes; here is only what a process is told and tells.
"""

import _thread
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from train import main, script
from train.stop_signals import Stopped, StopSignals

if TYPE_CHECKING:
    from distribute.cluster_processes.worker import Worker
    from distribute.memory_check.child_main import Channel

FLAGS = flags.FLAGS

# The others lose TensorFlow's coordination service when the first one leaves; their last word is said by then.
_LAST_S = 3.0


def prove(channel: "Channel", index: int, argv: list[str]) -> None:
    """Verifies on logical devices of this process, which end with it; the result is the `Report`.

    On the way it tells the ``transport`` entry.
    """
    with _told(channel, argv) as worker:
        from train import from_flags, stages
        from train.device_flags import make_devices
        from train.recipes import recipe_from_flags
        from train.terminal import Terminal
        from train.transport import require_sound_transport

        worker.phase("verification")
        recipe = recipe_from_flags(FLAGS)
        from_flags.configure_keras(recipe, deterministic=FLAGS.deterministic)
        devices = make_devices(FLAGS)
        subject = stages.load_subject(FLAGS, recipe)
        require_sound_transport(devices, worker.tell)
        report, _ = stages.prove(FLAGS, subject, devices, Terminal(quiet=True))
        worker.finish(report)


def train(
    channel: "Channel",
    index: int,
    argv: list[str],
    device: dict[str, Any],
    num_processes: int,
    shares_device: bool,
    folder: str,
    scratch: str,
    first_index: int = 0,
    patience: list[float] | None = None,
) -> None:
    """Trains the replicas of one process. The first one tells ``setup`` and ``training``; the result is a dict.

    Under `patience`, on a cluster, the step over all processes is held against one device before it trains: which rows
    each one takes can be seen there only.

    Args:
      channel: to the parent.
      index: the number of this process among those on this machine.
      argv: the flags of the run.
      device: arguments of `split_device`, for this process's devices.
      num_processes: as for `make_worker_strategy`.
      shares_device: as for `make_worker_strategy`.
      folder: the run's, where the first one writes.
      scratch: where the others write, since all have to take part in saving.
      first_index: the number of this machine's first process among all.
      patience: the two fields of `Patience`; None for processes on one machine.
    """
    with _told(channel, argv) as worker:
        from distribute.devices import split_device
        from distribute.process_devices import take_limit_at_once
        from distribute.worker_strategy import Patience, make_worker_strategy
        from train import from_flags, stages
        from train.agreement import make_agreement
        from train.checkpoint import Checkpoints
        from train.recipes import recipe_from_flags
        from train.run_folder import RunFolder
        from train.terminal import Terminal

        index += first_index
        is_first = index == 0
        recipe = recipe_from_flags(FLAGS)
        from_flags.configure_keras(recipe, deterministic=FLAGS.deterministic)
        worker.phase("joining the other processes")
        devices = split_device(**device)
        strategy = make_worker_strategy(
            devices,
            num_processes=num_processes,
            shares_device=shares_device,
            patience=Patience(*patience) if patience else None,
        )
        worker.tell(("joined", None))
        take_limit_at_once(devices.memory_limit_mib, devices.names[0])
        with StopSignals():  # again, since the strategy takes SIGTERM for itself
            worker.phase("reading the data")
            subject = stages.load_subject(FLAGS, recipe)
            worker.phase("building the model")
            run_folder = RunFolder(Path(folder))
            console = Terminal(quiet=not is_first)
            trainee = stages.make_trainee(FLAGS, subject, strategy, console)
            outputs = stages.Outputs(
                folder=run_folder,
                checkpoints=Checkpoints(
                    run_folder.checkpoints,
                    trainee.program,
                    strategy=strategy,
                    save_to=None if is_first else Path(scratch, str(index)),
                ),
                console=console,
                keep_setup=(lambda entry: worker.tell(("setup", entry))) if is_first else lambda entry: None,
                keep_training=(lambda entry: worker.tell(("training", entry))) if is_first else lambda entry: None,
                is_first=is_first,
            )
            if patience and FLAGS.verify in ("all", "gradients"):
                worker.phase("verification of the step over all processes")
                report = stages.check_step_of_cluster(subject, trainee)
                worker.tell(("report", report))
                if not report.ok:
                    worker.finish(None)
            worker.phase("training")
            with _leaving_last(is_first and patience is not None):
                test = stages.train(FLAGS, subject, trainee, outputs)
                make_agreement(strategy)(0, False)  # nobody leaves while another one is under way
            worker.finish({"test": test, "peak_mib": _peak_mib(devices.names[0])})


@contextmanager
def _leaving_last(waits: bool) -> Iterator[None]:
    """Lets the others say their last word, at the end or after a signal: they fail when the first one is gone."""
    try:
        yield
    except Stopped:
        time.sleep(_LAST_S if waits else 0)
        raise
    time.sleep(_LAST_S if waits else 0)


@contextmanager
def _told(channel: "Channel", argv: list[str]) -> Iterator["Worker"]:
    """Sets this process up as `train.script` does the parent: flags, signals, a quiet TensorFlow."""
    main.define_flags()
    FLAGS(argv)
    with StopSignals():
        script.set_up()
        from distribute.cluster_processes.worker import Worker  # imports TensorFlow, so not before it is quiet

        # The parent's signal comes as a message: TensorFlow takes SIGTERM away, and a message waits for its reader.
        yield Worker(channel, on_stop=lambda number: _thread.interrupt_main(signal.Signals(number)))


def _peak_mib(device: str) -> float | None:
    """The highest bytes in use on the device so far; None where its allocator does not count."""
    import tensorflow as tf

    try:
        return tf.config.experimental.get_memory_info(device)["peak"] / 2**20
    except (ValueError, KeyError):
        return None
