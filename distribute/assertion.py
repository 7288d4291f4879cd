"""`assert_equivalent`: `verify` for tests."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from .equivalence import verify
from .report import Report


def assert_equivalent(
    build: Callable[[], Any],
    data: Any,
    *,
    devices: Any = None,
    steps: int = 1,
    dtypes: Sequence[str] = ("float64", "float32"),
    strategy: tf.distribute.Strategy | None = None,
    accept: Sequence[str] = (),
    shrink: bool = True,
) -> Report:
    """Checks a training step on N replicas against a single device, as `verify` does, and raises where a check fails.

        def test_two_gpus_train_as_one():
            assert_equivalent(build, batches, devices=split_device(2))

    Under pytest the fixture of the same name (`distribute.pytest_plugin`) splits the device in time.

    Args:
      build: see `verify`, as for all others.
      data: a list of global batches, a Dataset of such, a callable without parameters that returns either, or one of an
        `InputContext`.
      devices: what `split_device` returned; without it and `strategy`, the split of this process, else two.
      steps: consecutive updates on the first batch that are compared as well.
      dtypes: float64 decides; float32 is held to the reference's own accuracy.
      strategy: the user's own strategy, instead of `devices`.
      accept: identifiers of causes that the user knows and wants.
      shrink: whether a failure is followed by a search for the smallest case that fails.

    Returns:
      The report, in which no check failed.

    Raises:
      EquivalenceError: a check failed; an AssertionError whose text is the whole report.
      ValueError, TypeError, RuntimeError, Exception: as `verify`.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test, and not this one
    report = verify(
        build, data, devices=devices, steps=steps, dtypes=dtypes, strategy=strategy, accept=accept, shrink=shrink
    )
    report.raise_if_failed()
    return report
