"""The strategy that is checked, and what the report says about its devices."""

from typing import Any

import tensorflow as tf


def settled_devices(devices: Any, strategy: tf.distribute.Strategy | None) -> Any:
    """`devices` where they or a strategy were given, else the split of this process, which is made where there is none.

    Raises:
      RuntimeError: there is no split yet, and TensorFlow's devices are set up already.
    """
    if devices is not None or strategy is not None:
        return devices
    # Imported here: a user's own strategy needs neither module.
    from ..devices import current_devices, split_device

    return current_devices() or split_device(2)


def chosen_strategy(devices: Any, strategy: tf.distribute.Strategy | None) -> tf.distribute.Strategy:
    """The user's own strategy, or one over `devices`.

    Raises:
      ValueError: a strategy whose replicas, or their variables, are not all in this process.
    """
    if strategy is not None:
        _require_one_process(strategy)
        return strategy
    from ..strategy import make_strategy

    return make_strategy(devices)


def _require_one_process(strategy: tf.distribute.Strategy) -> None:
    known = (tf.distribute.MirroredStrategy, tf.distribute.OneDeviceStrategy)
    if not isinstance(strategy, known) and strategy is not tf.distribute.get_strategy():
        raise ValueError(
            f"strategy is a {type(strategy).__name__}: verify runs all replicas in this process, on variables of its"
            " own; give a tf.distribute.MirroredStrategy with as many replicas, or devices=split_device(N)"
        )


def described_devices(devices: Any, strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """The ``devices`` part of ``report.json``."""
    extended = strategy.extended
    alone = strategy is tf.distribute.get_strategy()
    names = ["CPU:0"] if alone else [str(name) for name in getattr(extended, "worker_devices", ())]
    names = [str(name) for name in getattr(devices, "names", names)]
    kind = "gpu" if any("GPU" in name.upper() for name in names) else "cpu"
    return {
        "kind": getattr(devices, "kind", kind),
        "placement": getattr(devices, "placement", None),
        "replicas": strategy.num_replicas_in_sync,
        "names": names,
        "memory_limit_mib": getattr(devices, "memory_limit_mib", None),
        "limit_enforced_by": getattr(devices, "limit_enforced_by", None),
    }
