"""What runs in the processes of ``--isolation=process`` and of a cluster: the proof in one, then the training.

The stages are those of `train.stages`, as they run without processes; here is only what a process is told and tells.
"""

import _thread
import functools
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
    import tensorflow as tf

    from distribute import Devices
    from distribute.cluster_processes.worker import Worker
    from distribute.memory_check.child_main import Channel
    from train.memory_history import MemoryHistory
    from train.stages import Outputs, Trainee
    from train.verification import Subject

FLAGS = flags.FLAGS

# The others lose TensorFlow's coordination service when the first one leaves; their last word is said by then.
_LAST_S = 3.0


def prove(channel: "Channel", index: int, argv: list[str]) -> None:
    """Verifies on logical devices of this process, which end with it; the result is the `Report`.

    On the way it tells ``transport``.
    """
    with _told(channel, argv) as worker:
        from train import from_flags, stages
        from train.device_flags import make_devices, set_speed
        from train.recipes import recipe_from_flags
        from train.terminal import Terminal
        from train.transport import require_sound_transport

        worker.phase("verification")
        recipe = recipe_from_flags(FLAGS)
        from_flags.configure_keras(recipe, deterministic=FLAGS.deterministic)
        devices = make_devices(FLAGS)
        set_speed(FLAGS, devices)
        subject = stages.load_subject(FLAGS, recipe)
        require_sound_transport(devices, lambda entry: worker.tell(("transport", entry)))
        report, _ = stages.prove(FLAGS, subject, devices, Terminal(quiet=True))
        worker.finish(report)


def train(
    channel: "Channel",
    index: int,
    argv: list[str],
    device: dict[str, Any],
    cluster: dict[str, Any],
    folder: str,
    scratch: str,
    first_index: int = 0,
    check_step: bool = False,
) -> None:
    """Trains the replicas of one process. The first one tells ``transport``, ``setup`` and ``training``.

    The result is a dict.

    Args:
      channel: to the parent.
      index: the number of this process among those on this machine.
      argv: the flags of the run.
      device: arguments of `split_device`, for this process's devices.
      cluster: arguments of `make_worker_strategy`, without the devices; `patience` as the list of its two fields. And
        `num_local_processes`, how many of the processes are on this machine.
      folder: the run's, where the first one writes.
      scratch: where the others write, since all have to take part in saving.
      first_index: the number of this machine's first process among all.
      check_step: hold a step over all processes against one device before training, and tell it as ``report``: which
        rows each process takes is seen there only. The result is None where that fails.
    """
    with _told(channel, argv) as worker:
        from train import from_flags, stages
        from train.agreement import make_agreement, require_alike
        from train.fingerprint import digests
        from train.memory_history import MemoryHistory
        from train.recipes import recipe_from_flags

        is_first = index + first_index == 0
        recipe = recipe_from_flags(FLAGS)
        from_flags.configure_keras(recipe, deterministic=FLAGS.deterministic)
        devices, strategy = _join(worker, device, **cluster)
        with StopSignals():  # again, since the strategy takes SIGTERM for itself
            memory = MemoryHistory()
            memory.start(devices, "data and links")
            _try_links(worker, strategy, devices, is_first)
            worker.phase("reading the data")
            subject = stages.load_subject(FLAGS, recipe)
            if "patience" in cluster:
                worker.phase("comparing recipe, data and code")
                require_alike(strategy, digests(subject))
            worker.phase("building the model")
            save_to = None if is_first else Path(scratch, str(index))
            trainee, outputs = _make_trainee(worker, subject, strategy, Path(folder), save_to, memory)
            with _leaving_last(is_first and "patience" in cluster):
                result = None
                if not check_step or _step_is_right(worker, subject, trainee):
                    worker.phase("training")
                    test = stages.train(FLAGS, subject, trainee, outputs)
                    memory.stop()
                    timeline = memory.to_dict()
                    result = {"test": test, "peak_mib": _peak_mib(devices.names[0]), "timeline": timeline}
                make_agreement(strategy)(0, False)  # nobody leaves while another one is under way
            worker.finish(result)


def _join(
    worker: "Worker",
    device: dict[str, Any],
    num_processes: int,
    num_local_processes: int,
    shares_device: bool,
    patience: list[float] | None = None,
) -> tuple["Devices", "tf.distribute.Strategy"]:
    """Makes the devices of this process, and the strategy over all; tells ``joined`` when all are there."""
    from distribute.devices import split_device
    from distribute.process_devices import take_limit_at_once
    from distribute.worker_strategy import Patience, make_worker_strategy
    from train.device_flags import set_speed

    worker.phase("joining the other processes")
    devices = split_device(**device)
    set_speed(FLAGS, devices, num_processes=num_local_processes)
    strategy = make_worker_strategy(
        devices,
        num_processes=num_processes,
        shares_device=shares_device,
        patience=Patience(*patience) if patience else None,
    )
    worker.tell(("joined", None))
    limit_mib = devices.memory_limit_mib
    take_limit_at_once(None if limit_mib is None else limit_mib * len(devices.names), devices.names[0])
    return devices, strategy


def _try_links(worker: "Worker", strategy: "tf.distribute.Strategy", devices: "Devices", is_first: bool) -> None:
    """Between the processes too, which `prove` had no part in; the first one tells ``transport``."""
    from train.transport import require_sound_transport

    def keep(entry: dict[str, Any]) -> None:
        if is_first:
            worker.tell(("transport", entry))

    worker.phase("trying the links between the replicas")
    require_sound_transport(devices, keep, strategy)


def _make_trainee(
    worker: "Worker",
    subject: "Subject",
    strategy: "tf.distribute.Strategy",
    folder: Path,
    save_to: Path | None,
    memory: "MemoryHistory",
) -> tuple["Trainee", "Outputs"]:
    """What this process trains, and where it leaves what it finds; with `save_to` it is not the first one."""
    from train import stages
    from train.checkpoint import Checkpoints
    from train.run_folder import RunFolder
    from train.terminal import Terminal

    is_first = save_to is None
    console = Terminal(quiet=not is_first)
    trainee = stages.make_trainee(FLAGS, subject, strategy, console)
    run_folder = RunFolder(folder)

    def tell(section: str, entry: Any) -> None:
        if is_first:
            worker.tell((section, entry))

    outputs = stages.Outputs(
        folder=run_folder,
        checkpoints=Checkpoints(run_folder.checkpoints, trainee.program, strategy=strategy, save_to=save_to),
        console=console,
        keep_setup=functools.partial(tell, "setup"),
        keep_training=functools.partial(tell, "training"),
        begin_phase=memory.begin_phase,
        is_first=is_first,
    )
    return trainee, outputs


def _step_is_right(worker: "Worker", subject: "Subject", trainee: "Trainee") -> bool:
    from distribute import Report
    from train import stages
    from train.loop_check import CLUSTER

    worker.phase("verification of the step over all processes")
    report = Report(checks=[stages.check_step(subject, trainee, CLUSTER)])
    worker.tell(("report", report))
    return report.ok


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
