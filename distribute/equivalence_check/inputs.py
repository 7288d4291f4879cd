"""The three doors for data: a list of global batches, a `tf.data.Dataset`, a callable of an `InputContext`.

A callable without parameters returns what goes through one of them.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import tensorflow as tf

from ..batches import join, num_examples
from ..data_argument import check_dense, dataset_of, recognised
from ..source_lines import defined_at
from .coverage import Counts, counted

MAX_BATCHES = 1000
"""Of a data set that does not end, this many batches are read."""


@dataclass(frozen=True)
class Batch:
    """One global batch and how the replicas share it.

    Attributes:
      suffix: what the names of its checks end with: "", "@2", "@uneven".
      shards: one nest of arrays per replica, leading axis = example.
      whole: the shards joined in replica order.
      dynamic: whether its size is unknown when the step is traced, as in `fit`.
    """

    suffix: str
    shards: Sequence[Any]
    whole: Any
    dynamic: bool = False

    @property
    def sizes(self) -> list[int]:
        """Examples per replica."""
        return [num_examples(shard) for shard in self.shards]

    def distinct_shards(self, replicas: Sequence[int]) -> list[Any]:
        """The shards of these replicas, each content once."""
        seen: dict[tuple[bytes, ...], Any] = {}
        for replica in replicas:
            content = tuple(np.ascontiguousarray(leaf).tobytes() for leaf in tf.nest.flatten(self.shards[replica]))
            seen.setdefault(content, self.shards[replica])
        return list(seen.values())


@dataclass(frozen=True)
class Inputs:
    """Everything that was read from the user's data.

    Attributes:
      batches: those to be checked; the first one starts the K steps.
      truth: how often each example comes in one epoch of one reader; None for a list of batches, and where that one had
        not ended after `MAX_BATCHES`.
      delivered: how often it came to the replicas in one epoch, as the strategy feeds them.
      workers: the same with one reader per replica, as in a cluster; None where that was not asked.
      per_replica_batch: the greatest shard that was seen.
      reason_even: why there is no batch of another size.
      read_again: reads one epoch of one reader once more; random transformations yield other values then.
      notes: what a reader of the report should know.
      location: where the user's function that makes the data begins.
    """

    batches: Sequence[Batch]
    truth: Counts | None = None
    delivered: Counts | None = None
    workers: Counts | None = None
    per_replica_batch: int = 0
    reason_even: str = ""
    read_again: Callable[[], Counts] | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    location: str = ""


def first_rows(data: Any, num_rows: int) -> list[Any]:
    """The first examples of the first batch of `data`, as a list of one global batch: a smaller case for `verify`.

    Args:
      data: what `verify` takes: a list of global batches, a Dataset, a callable of an `InputContext`, or one without
        parameters.
      num_rows: how many examples.

    Raises:
      ValueError: the first batch has fewer examples, or there is none, or the data set is not batched.
      TypeError: `data` is none of these.
    """
    data = recognised(data)
    if callable(data) and not isinstance(data, tf.data.Dataset):
        data = dataset_of(data, tf.distribute.InputContext())
    batch = next(iter(data), None)
    if batch is None:
        raise ValueError("data holds no batch: give at least one global batch")
    whole = tf.nest.map_structure(np.asarray, batch)
    if num_examples(whole) < num_rows:
        raise ValueError(f"{num_rows} rows were asked for, the first batch has {num_examples(whole)}")
    return [tf.nest.map_structure(lambda leaf: leaf[:num_rows], whole)]


def read_inputs(data: Any, strategy: tf.distribute.Strategy) -> Inputs:
    """Reads the batches to be checked.

    Raises:
      ValueError: no batch, arrays of one batch with unequal leading axes, or a data set that is not batched.
      TypeError: neither a list, nor a data set, nor a callable, or one batch in the place of a list of batches.
    """
    data = recognised(data)
    if isinstance(data, tf.data.Dataset):
        return _from_dataset(data, strategy)
    if isinstance(data, list | tuple):
        return _from_list(data, strategy.num_replicas_in_sync)
    return replace(_from_callable(functools.partial(dataset_of, data), strategy), location=defined_at(data))


def _from_list(data: Sequence[Any], num_replicas: int) -> Inputs:
    if not data:
        raise ValueError("data holds no batch: give at least one global batch")
    batches = []
    for position, given in enumerate(data, start=1):
        check_dense(given)
        whole = tf.nest.map_structure(np.asarray, given)
        _check_axes(whole, f"batch {position}")
        suffix = "" if position == 1 else f"@{position}"
        batches.append(Batch(suffix, split(whole, num_replicas), whole))
    return Inputs(batches, per_replica_batch=max(batches[0].sizes))


def _check_axes(whole: Any, what: str) -> None:
    shapes = [leaf.shape for leaf in tf.nest.flatten(whole)]
    if not shapes or any(not shape for shape in shapes):
        raise ValueError(f"{what} must hold arrays with a leading axis of examples; found shapes {shapes}")
    if len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"{what} has arrays with unequal leading axes (examples): shapes {shapes}")
    if shapes[0][0] == 0:
        raise ValueError(f"{what} has no example")


def split(whole: Any, num_replicas: int) -> list[Any]:
    """As `experimental_distribute_dataset` splits a static batch of this size: the first shards take one more."""
    leaves = [np.array_split(leaf, num_replicas) for leaf in tf.nest.flatten(whole)]
    return [tf.nest.pack_sequence_as(whole, [parts[k] for parts in leaves]) for k in range(num_replicas)]


def _from_dataset(dataset: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Inputs:
    distributed = strategy.experimental_distribute_dataset(dataset)
    delivered = _Epoch(distributed, strategy)
    truth, ended = _epoch_counts([dataset])
    return _joined(delivered, truth, ended, None, lambda: _epoch_counts([dataset])[0])


def _from_callable(make: Callable[[Any], tf.data.Dataset], strategy: tf.distribute.Strategy) -> Inputs:
    num_replicas = strategy.num_replicas_in_sync
    delivered = _Epoch(strategy.distribute_datasets_from_function(make), strategy)

    def read() -> tuple[Counts, bool]:
        return _epoch_counts([make(tf.distribute.InputContext(1, 0, num_replicas))])

    truth, ended = read()
    if not ended:
        return _joined(delivered, truth, ended, None, None)
    readers = [make(tf.distribute.InputContext(num_replicas, k, num_replicas)) for k in range(num_replicas)]
    workers, workers_ended = _epoch_counts(readers)
    return _joined(delivered, truth, ended, workers if workers_ended else None, lambda: read()[0])


def _joined(
    delivered: "_Epoch", truth: Counts, ended: bool, workers: Counts | None, read_again: Callable[[], Counts] | None
) -> Inputs:
    batches = [delivered.first] + ([delivered.other] if delivered.other else [])
    ended = ended and delivered.ended
    return Inputs(
        batches,
        truth=truth if ended else None,
        delivered=delivered.counts,
        workers=workers,
        per_replica_batch=max(delivered.first.sizes),
        reason_even="" if delivered.other else f"every batch of the epoch has the size {sum(delivered.first.sizes)}",
        read_again=read_again,
        notes=()
        if ended
        else (f"the data set had not ended after {MAX_BATCHES} batches: input coverage was not judged",),
    )


class _Epoch:
    """One epoch as the strategy delivers it: the first batch, the first of another size, all examples counted."""

    def __init__(self, distributed: Any, strategy: tf.distribute.Strategy) -> None:
        self.first: Batch
        self.other: Batch | None = None
        self.counts: Counts = Counts()
        self.ended = True
        dynamic = _unknown_size(distributed)
        number = 0
        for number, value in enumerate(islice(_values(distributed), MAX_BATCHES + 1), start=1):  # noqa: B007
            if number > MAX_BATCHES:
                self.ended = False
                break
            shards = _shards(value, strategy)
            for shard in shards:
                self.counts.update(counted(shard))
            self._keep(number, shards, dynamic)
        if number == 0:
            raise ValueError("data holds no batch: the data set ended at once")

    def _keep(self, number: int, shards: Sequence[Any], dynamic: bool) -> None:
        if number == 1:
            self.first = Batch("", shards, join(shards), dynamic)
        elif self.other is None and sum(map(num_examples, shards)) != sum(self.first.sizes):
            self.other = Batch("@uneven", shards, join(shards), dynamic)


def _values(distributed: Any) -> Iterator[Any]:
    yield from iter(distributed)


def _unknown_size(distributed: Any) -> bool:
    specs = tf.nest.flatten(distributed.element_spec, expand_composites=True)
    return any(spec.shape.rank and spec.shape[0] is None for spec in specs)


def _shards(value: Any, strategy: tf.distribute.Strategy) -> list[Any]:
    leaves = [[local.numpy() for local in strategy.experimental_local_results(leaf)] for leaf in tf.nest.flatten(value)]
    shards = [
        tf.nest.pack_sequence_as(value, [locals_[k] for locals_ in leaves])
        for k in range(strategy.num_replicas_in_sync)
    ]
    for shard in shards:
        shapes = [leaf.shape for leaf in tf.nest.flatten(shard)]
        if any(not shape for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(
                f"a batch of the data set has arrays with unequal leading axes (examples): shapes {shapes}"
            )
    return shards


def _epoch_counts(datasets: Sequence[tf.data.Dataset]) -> tuple[Counts, bool]:
    """All examples that these readers yield in one epoch, and whether every one came to an end."""
    counts = Counts()
    for dataset in datasets:
        for number, value in enumerate(dataset, start=1):
            if number > MAX_BATCHES:
                return counts, False
            counts.update(counted(tf.nest.map_structure(lambda tensor: tensor.numpy(), value)))
    return counts, True
