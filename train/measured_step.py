"""What `train/scaling.py` starts from: one replica's step, timed, and the bytes of its gradients."""

import itertools
import statistics
import time

from absl import flags

from distribute import DeviceError, make_strategy, split_device
from train.errors import MachineError
from train.from_flags import configure_keras
from train.loop import Means, TrainFunction, train
from train.recipe_data import load_subject
from train.recipes import recipe_from_flags

_STEPS = 30


def measure_step(values: flags.FlagValues) -> tuple[float, float]:
    """Median seconds of a step of the recipe on one device, its global batch as one replica's, and gradient bytes.

    Raises:
      MachineError: there is no such device.
    """
    recipe = recipe_from_flags(values)
    configure_keras(recipe, deterministic=values.deterministic)
    try:
        devices = split_device(1, kind=values.device)
    except DeviceError as error:
        raise MachineError(str(error)) from error
    subject = load_subject(values.config, recipe, values.data_dir)
    program = subject.build()
    times = []

    def after_call(step: int, means: Means) -> bool:
        means["loss"].numpy()
        times.append(time.perf_counter())
        return False

    train(
        TrainFunction(make_strategy(devices), program),
        subject.batches().repeat(),
        first_step=0,
        num_steps=_STEPS,
        after_call=after_call,
    )
    steps = [after - before for before, after in itertools.pairwise(times)]
    return statistics.median(steps), sum(variable.numpy().nbytes for variable in program.model.trainable_variables)
