"""What ``--tensorboard``, ``--gradient_histograms`` and ``--profile_steps`` write: a run's folder ``tensorboard``.

Not named tensorboard.py: `python train/main.py` puts this folder first on the path, before the package of that name.
"""

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from absl import flags

from distribute import Program
from train.errors import InputError
from train.gradient_histograms import GradientHistograms
from train.loop import TrainFunction
from train.observer import Observer
from train.run_folder import RunFolder
from train.scalar_log import ScalarLog
from train.step_profile import StepProfile

_INSTALL = "pip install -r requirements-viz.txt"


def require_packages(values: flags.FlagValues, *, in_one_process: bool) -> None:
    """Refuses what cannot be written, before anything is computed.

    Raises:
      InputError: TensorFlow writes nothing for TensorBoard without the package tensorboard; or histograms are asked for
        in a run of several processes.
    """
    if values.gradient_histograms and not in_one_process:
        raise InputError(
            "--gradient_histograms needs all replicas in one process: leave it out here, or ask on virtual devices "
            "(--isolation=logical)"
        )
    if (values.tensorboard or values.gradient_histograms) and not _is_installed("tensorboard"):
        raise InputError(f"--tensorboard and --gradient_histograms need the package tensorboard: {_INSTALL}")


def folder_of(run: RunFolder) -> Path:
    """Where TensorBoard finds the run."""
    return run.path / "tensorboard"


def how_to_look(values: flags.FlagValues, run: RunFolder) -> str:
    """What to type, for the end of a run; empty where nothing was written."""
    if not (values.tensorboard or values.gradient_histograms or values.profile_steps):
        return ""
    missing = [
        name for name in ("tensorboard", *(["xprof"] if values.profile_steps else [])) if not _is_installed(name)
    ]
    needs = f" (needs {' and '.join(missing)}: {_INSTALL})" if missing else ""
    return f"tensorboard    tensorboard --logdir={folder_of(run)}{needs}"


def make_histograms(
    values: flags.FlagValues, run: RunFolder, program: Program, function: TrainFunction
) -> GradientHistograms | None:
    """What ``--gradient_histograms`` asks for; to be made before the first call of `function`.

    Raises:
      InputError: the program has no optimizer of Keras' whose updates could be seen.
    """
    if not values.gradient_histograms:
        return None
    if program.optimizer is None:
        raise InputError("--gradient_histograms: the program has no optimizer, which is where gradients are seen")
    writer = tf.summary.create_file_writer(str(folder_of(run)), filename_suffix=".gradients")
    return GradientHistograms(writer, program.optimizer, function, every=values.gradient_histograms)


@contextlib.contextmanager
def open_observers(
    values: flags.FlagValues,
    run: RunFolder,
    strategy: tf.distribute.Strategy,
    histograms: GradientHistograms | None,
    *,
    first_step: int,
) -> Iterator[list[Observer]]:
    """All that look at this training; closed however it ends."""
    observers: list[Observer] = []
    with contextlib.ExitStack() as opened:

        def add(observer: Observer) -> None:
            observers.append(observer)
            opened.callback(observer.close)

        if values.profile_steps:
            first, last = (int(number) for number in values.profile_steps.split("-"))
            add(StepProfile(folder_of(run), first, last, done=first_step))
        if values.tensorboard:
            writer = tf.summary.create_file_writer(str(folder_of(run)), filename_suffix=".scalars")
            add(ScalarLog(writer, _device_names(strategy), first_step=first_step))
        if histograms:
            histograms.begin()
            add(histograms)
        yield observers


def _device_names(strategy: tf.distribute.Strategy) -> list[str]:
    """As `distribute.Devices` names them: ``GPU:0``."""
    if strategy.num_replicas_in_sync == 1:  # TensorFlow's default strategy, which has no devices of its own
        return ["GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"]
    specs = [tf.DeviceSpec.from_string(device) for device in strategy.extended.worker_devices]
    return [f"{spec.device_type or 'CPU'}:{spec.device_index or 0}" for spec in specs]


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
