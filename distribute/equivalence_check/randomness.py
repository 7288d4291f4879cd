"""Takes randomness out of a step that is being traced, and asks whether replicas draw different numbers.

Equivalence is decided without randomness: the raw random ops give values that depend on the example and on the trailing
dimensions only, so that a shard gets the same ones as its part of the whole batch. Where the leading dimension is not
known to be that of the examples (noise on weights, a step traced for one size, a loop's body), all its rows get the
same ones. Outside a graph (initialisers) nothing changes. Not covered: ops that sample from per-example distributions
(categorical, gamma, poisson) keep drawing.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import gen_random_ops, gen_stateless_random_ops, gen_stateless_random_ops_v2

from ..source_lines import user_line
from .example_rows import NUM_ROWS, counts_examples
from .observe import DRAWN, RANDOM, Recorder, replica_id
from .patching import patched

_FLOAT_OPS = {
    gen_random_ops: ("random_uniform", "random_standard_normal", "truncated_normal"),
    gen_stateless_random_ops: (
        "stateless_random_uniform",
        "stateless_random_normal",
        "stateless_truncated_normal",
    ),
    gen_stateless_random_ops_v2: (
        "stateless_random_uniform_v2",
        "stateless_random_normal_v2",
        "stateless_truncated_normal_v2",
    ),
}
_INTEGER_OPS = {
    gen_random_ops: ("random_uniform_int",),
    gen_stateless_random_ops: ("stateless_random_uniform_int",),
    gen_stateless_random_ops_v2: ("stateless_random_uniform_int_v2",),
}
_FIXED_SEED = (7, 11)
# Taken now: inside `taken_out` the modules hold the replacements.
_DRAW_UNIFORM = gen_stateless_random_ops.stateless_random_uniform
_DRAW_NORMAL = gen_stateless_random_ops.stateless_random_normal
_DRAW_TRUNCATED = gen_stateless_random_ops.stateless_truncated_normal


@contextlib.contextmanager
def taken_out(recorder: Recorder) -> Iterator[None]:
    """Inside, random ops that are traced give fixed values; `recorder.random_ops` says which ones there were."""
    with _each_op(lambda name, whole_numbers: partial(_fixed, recorder, name, whole_numbers)):
        yield


@contextlib.contextmanager
def drawn(recorder: Recorder) -> Iterator[None]:
    """Inside, random ops that are traced draw as always, and report what they drew."""
    with _each_op(lambda name, whole_numbers: partial(_reported, recorder, name)):
        yield


@contextlib.contextmanager
def _each_op(replacement: Callable[[str, bool], Callable]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for table, whole_numbers in ((_FLOAT_OPS, False), (_INTEGER_OPS, True)):
            for module, names in table.items():
                for name in names:
                    wrap = replacement(name, whole_numbers)
                    stack.enter_context(patched(module, name, partial(_unless_eager, wrap)))
        yield


def _unless_eager(wrap: Callable, original: Callable) -> Callable:
    @tf.autograph.experimental.do_not_convert
    def op(shape: Any, *args: Any, **kwargs: Any) -> Any:
        # A variable's initial value is drawn eagerly while the step is traced: that must stay random.
        if tf.executing_eagerly():
            return original(shape, *args, **kwargs)
        return wrap(original, shape, *args, **kwargs)

    return op


def _fixed(
    recorder: Recorder,
    name: str,
    whole_numbers: bool,
    original: Callable,
    shape: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    recorder.random_ops.append(name)
    recorder.note(RANDOM, user_line)
    template = original(shape, *args, **kwargs)
    shape = tf.cast(shape, tf.int32)
    rows = _rows(recorder, shape, template)
    # Drawn in float32 in every dtype, so that float32 and float64 runs see the same numbers.
    values = _draw_for(name)(tf.concat([[NUM_ROWS], shape[1:]], axis=0), _FIXED_SEED, tf.float32)
    if whole_numbers:
        low, high = _bounds(name, args, kwargs)
        values = tf.cast(low, tf.float32) + tf.floor(values * tf.cast(high - low, tf.float32))
    return tf.ensure_shape(tf.gather(tf.cast(values, template.dtype), rows), template.shape)


def _rows(recorder: Recorder, shape: tf.Tensor, template: tf.Tensor) -> tf.Tensor:
    """For each row of what is drawn, which of the fixed ones it gets."""
    same = tf.zeros(shape[:1], tf.int32)
    own = recorder.row_numbers.get(replica_id())
    if own is None or own.graph is not shape.graph or not counts_examples(shape, template.shape):
        return same
    return tf.cond(tf.equal(shape[0], tf.shape(own)[0]), lambda: own, lambda: same)


def _draw_for(name: str) -> Callable:
    if "uniform" in name:
        return _DRAW_UNIFORM
    return _DRAW_TRUNCATED if "truncated" in name else _DRAW_NORMAL


def _bounds(name: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The limits of a whole-number op, wherever its signature has them."""
    first = {"random_uniform_int": 0, "stateless_random_uniform_int": 1}.get(name, 3)
    low = kwargs["minval"] if "minval" in kwargs else args[first]
    high = kwargs["maxval"] if "maxval" in kwargs else args[first + 1]
    return low, high


def _reported(recorder: Recorder, name: str, original: Callable, shape: Any, *args: Any, **kwargs: Any) -> Any:
    values = original(shape, *args, **kwargs)
    recorder.random_ops.append(name)
    recorder.emit(DRAWN, replica_id(), [(name, tf.identity(values))])
    return values


def identical_draws(recorder: Recorder, shard_sizes: Sequence[int]) -> tuple[int, int]:
    """Of the draws made for each example, how many were the same on all replicas, and how many there were.

    A draw whose leading dimension is not the number of examples (a mask on weights) is rightly the same everywhere.
    Of uneven shards those rows are compared that all have; a replica without examples draws none, and one alone has
    nothing to be the same as.
    """
    filled = {replica: size for replica, size in enumerate(shard_sizes) if size}
    if len(filled) < 2:
        return 0, 0
    by_replica, rows = recorder.values(DRAWN), min(filled.values())
    drawn = zip(*([array for _, array in by_replica.get(replica, [])] for replica in filled), strict=False)
    per_example = [
        [copy[:rows] for copy in copies]
        for copies in drawn
        if all(copy.shape[:1] == (size,) for copy, size in zip(copies, filled.values(), strict=True))
    ]
    same = sum(all(np.array_equal(copies[0], other) for other in copies[1:]) for copies in per_example)
    return same, len(per_example)
