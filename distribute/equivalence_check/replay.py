"""Shard replay: on one device each shard plays replica k of N, and reductions combine what the others stored.

It computes what N replicas would compute if their communication were right. All shards are run until the stored
values stop changing: one pass for plain gradients, more where a reduction feeds another one (synchronised BatchNorm).
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from .patching import defining_class, patched

_ROUNDING = 64.0  # in units of the last digit, as a relative L2

_Parts = list[np.ndarray]
"""One reduced value: the tensor, or values and indices of `tf.IndexedSlices`."""


class Stage:
    """Presents one device as replica k of N and keeps what every replica put into each reduction."""

    def __init__(self, num_replicas: int) -> None:
        self.num_replicas = num_replicas
        self.replica = 0
        self.replica_tensor: Any = 0
        self.changed = False
        self._stored: dict[tuple[int, int], dict[int, _Parts]] = defaultdict(dict)
        self._calls = 0
        self._runs: dict[int, int] = defaultdict(int)

    def begin_trace(self, replica_tensor: Any) -> None:
        """Reductions of a new trace are counted from the start; `replica_tensor` is the scalar to present."""
        self.replica_tensor, self._calls = replica_tensor, 0

    def begin_shard(self, replica: int) -> None:
        """The next step is that of `replica`."""
        self.replica = replica
        self._runs.clear()

    def combine(self, call: int, operation: str, axis: int, *own: np.ndarray) -> _Parts:
        """Stores this replica's part of a reduction and returns the parts of all, combined."""
        run = (call, self._runs[call])
        self._runs[call] += 1
        stored = self._stored[run]
        mine = [np.array(part) for part in own]
        before = stored.get(self.replica)
        if before is None or not all(map(_same, before, mine)):
            self.changed = True
        stored[self.replica] = mine
        # Who has not run yet, or ran with a guess of the whole size, is taken to hold what this one holds;
        # the next pass knows better.
        everyone = [stored.get(replica, mine) for replica in range(self.num_replicas)]
        if operation != "GATHER" and len(mine) == 1:
            everyone = [parts if parts[0].shape == mine[0].shape else mine for parts in everyone]
        return _combined(operation, axis, everyone)

    def exchange(self, tensor: Any, operation: str, axis: int = 0) -> Any:
        """The reduction as an op in the graph being traced."""
        call, self._calls = self._calls, self._calls + 1
        sparse = isinstance(tensor, tf.IndexedSlices)
        inputs = [tensor.values, tensor.indices] if sparse else [tf.convert_to_tensor(tensor)]
        joined = operation == "GATHER" or sparse
        with tf.device("CPU:0"):
            results = tf.numpy_function(
                partial(self.combine, call, operation, axis), inputs, [part.dtype for part in inputs]
            )
        for part, result in zip(inputs, results, strict=True):
            if part.shape.rank is None:
                continue
            result.set_shape([None if joined and i == axis else n for i, n in enumerate(part.shape)])
        return tf.IndexedSlices(*results, dense_shape=tensor.dense_shape) if sparse else results[0]


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    """Equal, but for what a GPU's kernels that add in no fixed order leave: they never give the same bytes twice."""
    if first.shape != second.shape:
        return False
    if np.array_equal(first, second, equal_nan=True):
        return True
    if not np.issubdtype(first.dtype, np.floating):
        return False
    return bool(np.linalg.norm(first - second) <= _ROUNDING * np.finfo(first.dtype).eps * np.linalg.norm(first))


def _combined(operation: str, axis: int, everyone: Sequence[_Parts]) -> _Parts:
    first = everyone[0]
    if len(first) == 2:
        share = len(everyone) if operation == "MEAN" else 1
        values, indices = (np.concatenate(parts) for parts in zip(*everyone, strict=True))
        return [(values / share).astype(first[0].dtype), indices]
    tensors = [parts[0] for parts in everyone]
    if operation == "GATHER":
        return [np.concatenate(tensors, axis=axis)]
    total = tensors[0].copy()
    for tensor in tensors[1:]:
        total = total + tensor
    return [np.asarray(total / len(tensors) if operation == "MEAN" else total, dtype=first[0].dtype)]


@contextlib.contextmanager
def presented(stage: Stage) -> Iterator[None]:
    """Inside, the default strategy says that it has N replicas and its one replica is `stage.replica_tensor`."""
    extended = type(tf.distribute.get_strategy().extended)
    context = tf.distribute.ReplicaContext

    def call_for_each_replica(original: Any) -> Any:
        # Not marked do_not_convert: that would switch autograph off in the user's step below.
        def call(self: Any, fn: Any, args: Any, kwargs: Any) -> Any:
            with context(self._container_strategy(), replica_id_in_sync_group=stage.replica_tensor):
                return fn(*args, **kwargs)

        return call

    with contextlib.ExitStack() as stack:
        for owner, name, wrap in (
            (extended, "_num_replicas_in_sync", lambda original: property(lambda self: stage.num_replicas)),
            (extended, "_call_for_each_replica", call_for_each_replica),
            (extended, "_reduce_to", lambda original: partial(_reduce_to, stage)),
            (defining_class(context, "all_reduce"), "all_reduce", partial(_all_reduce, stage)),
            (defining_class(context, "all_gather"), "all_gather", partial(_all_gather, stage)),
        ):
            stack.enter_context(patched(owner, name, wrap))
        yield


def _operation(reduce_op: Any) -> str:
    return str(getattr(reduce_op, "value", reduce_op)).upper()


def _reduce_to(stage: Stage, reduce_op: Any, value: Any, destinations: Any, options: Any) -> Any:
    return stage.exchange(value, _operation(reduce_op))


def _all_reduce(stage: Stage, original: Any) -> Any:
    @tf.autograph.experimental.do_not_convert
    def all_reduce(context: Any, reduce_op: Any, value: Any, options: Any = None) -> Any:
        operation = _operation(reduce_op)
        return tf.nest.map_structure(lambda one: _differentiable(stage, operation, one), value)

    return all_reduce


def _differentiable(stage: Stage, operation: str, value: Any) -> Any:
    if isinstance(value, tf.IndexedSlices):
        return stage.exchange(value, operation)

    @tf.custom_gradient
    def reduce(tensor: Any) -> Any:
        # The gradient of a reduction over replicas is the same reduction of the gradients.
        return stage.exchange(tensor, operation), lambda upstream: _differentiable(stage, operation, upstream)

    return reduce(tf.convert_to_tensor(value))


def _all_gather(stage: Stage, original: Any) -> Any:
    @tf.autograph.experimental.do_not_convert
    def all_gather(context: Any, value: Any, axis: int, options: Any = None) -> Any:
        return tf.nest.map_structure(lambda one: _gathered(stage, one, axis), value)

    return all_gather


def _gathered(stage: Stage, value: Any, axis: int) -> Any:
    @tf.custom_gradient
    def gather(tensor: Any) -> Any:
        sizes = stage.exchange(tf.shape(tensor)[axis : axis + 1], "GATHER")

        def backward(upstream: Any) -> Any:
            total = stage.exchange(upstream, "SUM")
            start = tf.reduce_sum(sizes[: stage.replica_tensor])
            return tf.gather(total, tf.range(start, start + sizes[stage.replica_tensor]), axis=axis)

        return stage.exchange(tensor, "GATHER", axis), backward

    return gather(tf.convert_to_tensor(value))
