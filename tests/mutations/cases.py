"""What a case of the suites is: a program, its data, and the replicas it runs on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

REPLICAS = (2, 3, 4, 5, 8)


def strategy_of(num_replicas: int, cross_device_ops: Any = None) -> tf.distribute.Strategy:
    """N logical CPUs; the default strategy for one, as `make_strategy` has it."""
    if num_replicas == 1:
        return tf.distribute.get_strategy()
    names = [f"CPU:{index}" for index in range(num_replicas)]
    ops = cross_device_ops or tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(names, cross_device_ops=ops)


@dataclass(frozen=True)
class Mutation:
    """A correct program with one mistake in it.

    Attributes:
      cause: the identifier that has to come first in `Report.causes`.
      program: which of the base programs it was planted in.
      mistake: what was planted, in a few words; tells several ways to make one mistake apart.
      build: the argument of `verify`.
      data: by number of replicas, the argument of `verify`.
      replicas: the numbers of replicas on which the mistake exists.
      strategy: by number of replicas, what it runs on.
      options: further arguments of `verify`.
    """

    cause: str
    program: str
    mistake: str
    build: Callable[[], Any]
    data: Callable[[int], Any]
    replicas: tuple[int, ...] = REPLICAS
    strategy: Callable[[int], tf.distribute.Strategy] = strategy_of
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique in the suite."""
        return f"{self.cause}/{self.program}/{self.mistake}"


Row = tuple[str, str, Callable[[], Any], Callable[[int], Any]]
"""Program, mistake, build and data of a mutation."""


def planted(cause: str, *rows: Row, **shared: Any) -> list[Mutation]:
    """One cause in several programs; `shared` are further fields of all of them."""
    return [Mutation(cause, *row, **shared) for row in rows]


@dataclass(frozen=True)
class Innocent:
    """A correct program.

    Attributes:
      kind: what is special about it.
      build: the argument of `verify`.
      data: by number of replicas and seed, the argument of `verify`.
      replicas: the numbers of replicas for which it is correct.
      options: further arguments of `verify`.
    """

    kind: str
    build: Callable[[], Any]
    data: Callable[[int, int], Any]
    replicas: tuple[int, ...] = (1, *REPLICAS)
    options: Mapping[str, Any] = field(default_factory=dict)
