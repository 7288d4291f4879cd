"""`verify`: proves by measurement that N replicas compute what one device computes, or says what differs."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from .causes import CAUSES
from .equivalence_check import global_state
from .equivalence_check.chosen_strategy import chosen_strategy, described_devices, settled_devices
from .equivalence_check.inputs import read_inputs
from .equivalence_check.tolerances import TOLERANCES
from .equivalence_check.verification import Verification
from .report import Report


def verify(
    build: Callable[[], Any],
    data: Any,
    *,
    devices: Any = None,
    steps: int = 1,
    dtypes: Sequence[str] = ("float64", "float32"),
    strategy: tf.distribute.Strategy | None = None,
    accept: Sequence[str] = (),
    shrink: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Checks a training step on N replicas against a single device.

    Runs the program three ways from the same initial values (the whole global batch on one device; its shards on N
    replicas; the shards one after the other on one device) and compares gradients as applied, updates, state, what
    a checkpoint would hold, metrics, and the examples that were seen. Nothing of the user's code or global state
    is changed. Memory is not measured here: see `check_memory`.

    Args:
      build: called without arguments in each strategy's scope; returns a compiled `keras.Model` or a `Program`.
      data: a list of global batches (nested arrays, leading axis = example), a `tf.data.Dataset` of global
        batches, a callable without parameters that returns either, or a callable
        ``tf.distribute.InputContext -> tf.data.Dataset`` of per-replica batches.
      devices: what `split_device` returned; without it and `strategy`, the split of this process, else two.
      steps: consecutive updates on the first batch that are compared as well.
      dtypes: float64 decides; float32 is held to the reference's own accuracy.
      strategy: the user's own strategy, instead of `devices`.
      accept: identifiers of causes that the user knows and wants.
      shrink: whether a failure is followed by a search for the smallest case that fails; it takes at most half the
        time that the checks took, but for the run that is under way then.
      on_progress: called after each part with how many are done and how many there are; the search is not counted.

    Returns:
      The report; `Report.raise_if_failed` turns a failed one into an exception.

    Raises:
      ValueError: an argument that cannot be used, no batch, or a `build` that makes other variables each time, or none
        and returns what was made outside of it.
      TypeError: `build` returns neither a compiled model nor a `Program`, or is one; `data` is none of these, or one
        batch, (x, y), in the place of a list of batches.
      RuntimeError: called inside a strategy's scope; or without `devices` and `strategy` in a process that has used
        TensorFlow, and was not split before.
      DeviceError: so large a model, on so many replicas, does not fit in this machine's memory.
      Exception: whatever `build` or the single-device run raises, with a note added.
    """
    _check_options(build, devices, steps, dtypes, strategy, accept)
    devices = settled_devices(devices, strategy)  # ahead of `preserved`, which initialises TensorFlow: no split after
    with global_state.preserved():
        chosen = chosen_strategy(devices, strategy)
        inputs = read_inputs(data, chosen)
        verification = Verification(build, chosen, inputs, steps, dtypes, accept, own_strategy=strategy is not None)
        return verification.report(described_devices(devices, chosen), shrink, on_progress or _tell_nobody)


def _tell_nobody(done: int, total: int) -> None:
    pass


def _check_options(
    build: Any, devices: Any, steps: int, dtypes: Sequence[str], strategy: Any, accept: Sequence[str]
) -> None:
    if isinstance(build, keras.Model):
        raise TypeError("build is a model: give a function that makes one, `lambda: make_model()`")
    if not callable(build):
        raise TypeError(f"build is a {type(build).__name__}: give a function that returns a fresh model or Program")
    if devices is not None and strategy is not None:
        raise ValueError("both devices and strategy were given: give one of them")
    if steps < 1:
        raise ValueError(f"steps is {steps}: at least one update is needed")
    unknown = [cause for cause in accept if cause not in CAUSES]
    if isinstance(accept, str) or unknown:
        raise ValueError(f"accept names no known cause: {accept!r}; known are {', '.join(CAUSES)}")
    if isinstance(dtypes, str) or not dtypes or any(dtype not in TOLERANCES for dtype in dtypes):
        raise ValueError(f"dtypes is {dtypes!r}: give some of {', '.join(TOLERANCES)}")
    if tf.distribute.has_strategy():
        raise RuntimeError("verify was called inside a strategy's scope: call it outside, it enters the scopes itself")
