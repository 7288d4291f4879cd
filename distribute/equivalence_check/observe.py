"""Class-level hooks that watch a training step: its gradients, its reductions, what reaches the optimizer.

The user's code stays untouched. The hooks are set while a step is traced and taken away after; values leave the
graph by `tf.numpy_function`, which works in replica threads, nested functions and loops without a sync point.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.autograph.core import ag_ctx
from tensorflow.python.autograph.impl import api as autograph

from ..source_lines import made_at, user_line
from .patching import defining_class, patched

LOCAL = "local gradient"
HANDED = "handed to the optimizer"
FED = "fed to the reduction"
APPLIED = "applied"
USER_REDUCED = "reduced by the step itself"
RETURNED = "returned by the step"
SPARSE_VALUES = "values of sparse gradients as applied"
SPARSE_INDICES = "indices of sparse gradients as applied"
OUTPUT = "output"
DRAWN = "drawn"
LAYER = "layer output"

# Kinds of calls in the user's code, for `Recorder.places`.
LOSS = "loss"
TAPE = "tape"
CLIP = "clip"
OPTIMIZER = "optimizer"
REDUCTION = "reduction"
RANDOM = "random"


@dataclass(frozen=True)
class Source:
    """Where values come from: the `call`-th call of `kind` on `replica`, in the order of tracing."""

    kind: str
    replica: int
    call: int


class Recorder:
    """Collects what the hooks of one traced step see each time that the step runs."""

    def __init__(self) -> None:
        self.begin_trace()

    def begin_trace(self) -> None:
        """Forgets an earlier trace; a function that creates variables is traced twice."""
        self.optimizers: list[Any] = []
        self.applications: list[tuple[Any, list[Any]]] = []
        self.random_ops: list[str] = []
        self.row_numbers: dict[int, tf.Tensor] = {}  # by replica, `example_rows.row_numbers` of its shard
        self.unbuilt: tuple[Any, list[Any]] | None = None
        self.reducing: set[int] = set()  # replicas that are inside an optimizer's own reduction
        self.places: dict[str, str] = {}  # by kind of call, the user's line
        self._calls: dict[tuple[str, int], int] = defaultdict(int)
        # (key, source, index): the value of `key` is the index-th value of `source`.
        self._layout: dict[Source, list[tuple[Any, Source, int]]] = {}
        self._known: dict[int, tuple[Any, Source, int]] = {}
        self.clear()

    def clear(self) -> None:
        """Forgets the values of an earlier step."""
        self._values: dict[Source, list[list[np.ndarray]]] = defaultdict(list)

    def emit(self, kind: str, replica: int, pairs: Sequence[tuple[Any, Any]]) -> None:
        """Adds to the graph being traced: pairs of (key, tensor); a key is a variable or a name."""
        source = Source(kind, replica, self._calls[kind, replica])
        self._calls[kind, replica] += 1
        layout: list[tuple[Any, Source, int]] = []
        fresh: list[tf.Tensor] = []
        for key, value in pairs:
            known = self._known.get(id(value))
            if known is None:
                # The tensor is kept: a freed one's id may come again.
                known = (value, source, len(fresh))
                self._known[id(value)] = known
                fresh.append(tf.convert_to_tensor(value))
            layout.append((key, known[1], known[2]))
        self._layout[source] = layout
        if fresh:
            # The op has a CPU kernel only, while a replica thread places ops on its own device.
            with tf.device("CPU:0"):
                tf.numpy_function(partial(self._store, source), fresh, [])

    def _store(self, source: Source, *arrays: np.ndarray) -> None:
        self._values[source].append([np.array(array) for array in arrays])

    def saw(self, kind: str, replica: int) -> bool:
        """Whether a call of `kind` was traced on this replica."""
        return self._calls.get((kind, replica), 0) > 0

    def note(self, kind: str, place: Callable[[], str]) -> None:
        """Keeps the user's line of the first call of this kind."""
        if not self.places.get(kind):
            self.places[kind] = place()

    def reductions(self) -> dict[int, Counter[str]]:
        """By the identity of a variable, how often replica 0's gradient is summed, by optimizer and by the step."""
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        for source, layout in self._layout.items():
            if source.replica == 0 and source.kind in (APPLIED, USER_REDUCED):
                for key, _, _ in layout:
                    counts[id(key)]["optimizer" if source.kind == APPLIED else "step"] += 1
        return counts

    def values(self, kind: str) -> dict[int, list[tuple[Any, np.ndarray]]]:
        """By replica, the (key, array) pairs of `kind` in the order of calls; loops give several per call."""
        found: dict[int, list[tuple[Any, np.ndarray]]] = defaultdict(list)
        for source, layout in self._layout.items():
            if source.kind == kind:
                for key, origin, index in layout:
                    found[source.replica] += [(key, run[index]) for run in self._values[origin]]
        return dict(found)


def of_variable(kind: str, variable: Any) -> str:
    """The kind of calls that have to do with one variable, for `Recorder.places`."""
    return f"{kind} of {id(variable)}"


def replica_id() -> int:
    """The replica whose step is being traced; 0 outside a replica."""
    context = tf.distribute.get_replica_context()
    identifier = None if context is None else tf.get_static_value(context.replica_id_in_sync_group)
    return 0 if identifier is None else int(identifier)


def unwrapped(variable: Any) -> Any:
    """The `tf.Variable` below a Keras variable, the whole below one replica's part."""
    if isinstance(variable, keras.Variable):
        variable = variable._value
    container = getattr(variable, "_distributed_container", None)
    return (container() if container else None) or variable


@contextlib.contextmanager
def observing(recorder: Recorder) -> Iterator[None]:
    """Inside, every step that is traced reports to `recorder`; nested functions are traced into it, XLA off."""
    optimizer = keras.optimizers.Optimizer
    function = type(tf.function(lambda: None))
    with contextlib.ExitStack() as stack:
        for owner, name, wrap in (
            (tf.GradientTape, "gradient", _tape_hook),
            (defining_class(optimizer, "apply"), "apply", _apply_hook),
            (
                defining_class(optimizer, "_all_reduce_sum_gradients"),
                "_all_reduce_sum_gradients",
                _reduce_hook,
            ),
            (defining_class(tf.distribute.ReplicaContext, "all_reduce"), "all_reduce", _all_reduce_hook),
        ):
            stack.enter_context(patched(owner, name, partial(wrap, recorder)))
        stack.enter_context(patched(function, "__call__", _inlined))
        yield


def _tape_hook(recorder: Recorder, original: Any) -> Any:
    @tf.autograph.experimental.do_not_convert
    def gradient(tape: Any, target: Any, sources: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(tape, target, sources, *args, **kwargs)
        flat = zip(tf.nest.flatten(sources), tf.nest.flatten(result), strict=False)
        pairs = _variable_pairs((grad, source) for source, grad in flat)
        recorder.emit(LOCAL, replica_id(), pairs)
        if pairs:
            places = {TAPE: user_line(), LOSS: made_at(tf.nest.flatten(target)[0])}
            for kind, place in places.items():
                for name in (kind, *(of_variable(kind, variable) for variable, _ in pairs)):
                    recorder.note(name, partial(str, place))
        return result

    return gradient


def _apply_hook(recorder: Recorder, original: Any) -> Any:
    @tf.autograph.experimental.do_not_convert
    def apply(optimizer: Any, grads: Any, trainable_variables: Any = None) -> Any:
        if all(known is not optimizer for known in recorder.optimizers):
            recorder.optimizers.append(optimizer)
        grads = list(grads)
        variables = optimizer._trainable_variables if trainable_variables is None else list(trainable_variables)
        if not optimizer.built and tf.distribute.has_strategy():
            # Mirrored slots that are made inside a graph cannot be initialised ahead of it: the trace starts again.
            recorder.unbuilt = (optimizer, variables)
            raise RuntimeError("this optimizer has no variables yet")
        handed = _variable_pairs(zip(grads, variables, strict=False))
        recorder.emit(HANDED, replica_id(), handed)
        recorder.note(OPTIMIZER, user_line)
        if handed:
            recorder.note(CLIP, lambda: made_at(handed[0][1]))
        return original(optimizer, grads, variables if grads else trainable_variables)

    return apply


def _reduce_hook(recorder: Recorder, original: Any) -> Any:
    @tf.autograph.experimental.do_not_convert
    def all_reduce_sum_gradients(optimizer: Any, grads_and_vars: Any) -> Any:
        pairs = list(grads_and_vars)
        recorder.emit(FED, replica_id(), _variable_pairs(pairs))
        recorder.reducing.add(replica_id())
        reduced = list(original(optimizer, pairs))
        recorder.reducing.discard(replica_id())
        if replica_id() == 0:
            recorder.applications.append((optimizer, [variable for _, variable in reduced]))
        recorder.emit(APPLIED, replica_id(), _variable_pairs(reduced))
        sparse = [(v, grad) for v, grad in _variable_pairs(reduced) if isinstance(grad, tf.IndexedSlices)]
        recorder.emit(SPARSE_VALUES, replica_id(), [(v, grad.values) for v, grad in sparse])
        recorder.emit(SPARSE_INDICES, replica_id(), [(v, grad.indices) for v, grad in sparse])
        return reduced

    return all_reduce_sum_gradients


def _all_reduce_hook(recorder: Recorder, original: Any) -> Any:
    @tf.autograph.experimental.do_not_convert
    def all_reduce(context: Any, reduce_op: Any, value: Any, options: Any = None) -> Any:
        result = original(context, reduce_op, value, options)
        if replica_id() in recorder.reducing:
            return result
        owners = {id(recorder._known[i][0]): key for i, key in _gradient_owners(recorder)}
        flat = zip(tf.nest.flatten(value), tf.nest.flatten(result), strict=True)
        pairs = [(owners[id(given)], out) for given, out in flat if id(given) in owners]
        if pairs:
            recorder.emit(USER_REDUCED, replica_id(), pairs)
            recorder.note(REDUCTION, user_line)
        return result

    return all_reduce


def _gradient_owners(recorder: Recorder) -> list[tuple[int, Any]]:
    by_place = {
        (origin, index): key
        for source, layout in recorder._layout.items()
        if source.kind == LOCAL
        for key, origin, index in layout
    }
    return [
        (identity, by_place[source, index])
        for identity, (_, source, index) in recorder._known.items()
        if (source, index) in by_place
    ]


def _variable_pairs(pairs: Any) -> list[tuple[Any, Any]]:
    """(variable, gradient) for those gradients that exist and belong to a variable."""
    return [
        (unwrapped(variable), grad)
        for grad, variable in pairs
        if grad is not None and isinstance(variable, tf.Variable | keras.Variable)
    ]


def converted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with autograph on, as `tf.function` would have it, called from code that autograph leaves alone."""
    inner = autograph.tf_convert(function, ag_ctx.ControlStatusCtx(status=ag_ctx.Status.ENABLED))

    def call(*args: Any, **kwargs: Any) -> Any:
        with ag_ctx.ControlStatusCtx(status=ag_ctx.Status.ENABLED):
            return inner(*args, **kwargs)

    return call


def _inlined(original: Any) -> Any:
    """A `tf.function` inside the step is traced into it: hooks must not stay in the user's own cache, nor XLA be on."""

    def call(function: Any, *args: Any, **kwargs: Any) -> Any:
        if tf.executing_eagerly():
            return original(function, *args, **kwargs)
        python_function = function._python_function
        return (converted(python_function) if function._autograph else python_function)(*args, **kwargs)

    return tf.autograph.experimental.do_not_convert(call)
