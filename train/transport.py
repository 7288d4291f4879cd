"""Before anything is computed on several devices: do they get what they are sent?"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from distribute import Devices, check_transport, make_strategy
from train.errors import MachineError


def require_sound_transport(
    devices: Devices, keep: Callable[[dict[str, Any]], None], strategy: tf.distribute.Strategy | None = None
) -> None:
    """Ends a run whose devices do not; see `check_transport`.

    Args:
      devices: those of the replicas of this process.
      keep: gets the ``transport`` entry of ``report.json``, whatever was found.
      strategy: over several processes, the one that will train; None for that of `make_strategy`.

    Raises:
      MachineError: values changed on their way; the message names the way and what to do.
    """
    verdict = check_transport(strategy or make_strategy(devices), devices)
    keep(verdict.to_dict())
    if not verdict.ok:
        raise MachineError(str(verdict))
