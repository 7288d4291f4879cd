"""Further single-device references: shard replay, each shard on its own, and the optimizer fed with given gradients."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..batches import num_examples
from . import example_rows, global_state, observe, variables
from .evidence import Evidence, Gradient
from .observe import unwrapped
from .patching import defining_class, patched
from .replay import Stage, presented
from .runs import Run, Shards, spec_of, tensors
from .variables import Slot, Values

_MAX_PASSES = 40


class ReplayRun(Run):
    """The same shards one after the other on one device, their reductions combined as communication should."""

    dynamic = False  # whether shards of every size share one trace

    def __init__(self, build: Callable[[], Any], dtype: str, shards: Shards) -> None:
        self.stage = Stage(len(shards))
        super().__init__(build, tf.distribute.get_strategy(), dtype, shards, around=partial(presented, self.stage))

    def trace_shard(self, shard: Any) -> Any:
        """The step of one replica as a graph of (shard, replica)."""
        spec = tf.nest.map_structure(partial(spec_of, dynamic=self.dynamic), tensors(shard))
        key = str(spec)
        if key not in self._traces:
            self._traces[key] = self._traced(self._one_replica, spec, tf.TensorSpec([], tf.int32))
        graph, self.recorder = self._traces[key]
        return graph

    @tf.autograph.experimental.do_not_convert  # as in `Run`
    def _one_replica(self, shard: Any, replica: tf.Tensor) -> None:
        recorder = self.recorder
        recorder.begin_trace()
        self.stage.begin_trace(replica)
        train_step = observe.converted(self.subject.train_step)

        def one_replica() -> None:
            recorder.row_numbers[0] = example_rows.row_numbers(shard)
            self._report(recorder, 0, train_step(shard))

        self.strategy.run(one_replica)

    def replay(self, shards: Shards, initial: Values) -> list[Evidence] | None:
        """What each replica would have done; None where the reductions did not settle."""
        for _ in range(_MAX_PASSES):
            self.stage.changed = False
            evidence = [self._play(replica, shard, initial) for replica, shard in enumerate(shards)]
            if not self.stage.changed:
                return evidence
        return None

    def _play(self, replica: int, shard: Any, initial: Values) -> Evidence:
        graph = self.trace_shard(shard)
        self.write(initial)
        before = self.read()
        self.recorder.clear()
        self._reset_metrics()
        self.stage.begin_shard(replica)
        graph(tensors(shard), tf.constant(replica))
        return self._evidence(before, [num_examples(shard)])


def per_replica(evidence: Sequence[Evidence], slots: Sequence[Slot]) -> dict[str, list[np.ndarray]]:
    """The values after a replay, on each replica, as the variables' own aggregation would leave them."""
    after: dict[str, list[np.ndarray]] = {}
    for slot in slots:
        copies = [one.after[slot.key][0] for one in evidence]
        after[slot.key] = [variables.aggregated(slot.variable, copies)] * len(copies) if _aggregates(slot) else copies
    return after


def _aggregates(slot: Slot) -> bool:
    # A trainable variable of Keras is written by the optimizer's update, whose aggregation plays no part; parts that
    # are combined when they are read stay apart until then.
    written = slot.role != variables.TRAINABLE and not variables.on_read(slot)
    return written and slot.variable.aggregation != tf.VariableAggregation.NONE


def each_shard_alone(run: Run, shards: Shards, initial: Values, dynamic: bool) -> list[Evidence]:
    """The single-device step on every shard as if it were a whole batch; shards without examples are left out."""
    found = []
    for shard in shards:
        if num_examples(shard):
            run.write(initial)
            found.append(run.step([shard], dynamic))
    return found


def optimizer_replay(
    run: Run, steps: Sequence[Mapping[str, Gradient]], initial: Values, rate: float = 1.0
) -> dict[str, list[np.ndarray]] | None:
    """What the reference's own optimizer makes of given gradients (replica 0's); None where that cannot be said.

    The gradients enter where reduced ones do, so that clipping is not done twice. It tells a wrong update from a
    right update of rounded gradients, without a number for how much an optimizer amplifies rounding. `rate` multiplies
    the learning rates.
    """
    keys = {id(slot.variable): slot.key for slot in run.slots}
    plan = [(opt, [(keys.get(id(unwrapped(v))), v) for v in given]) for opt, given in run.recorder.applications]
    named = [key for _, pairs in plan for key, _ in pairs]
    if not plan or len(set(named)) < len(named):
        return None
    run.write(initial)
    with _rates_times(rate):
        for gradients in steps:
            for optimizer, pairs in plan:
                known = [(gradients[key], v) for key, v in pairs if key is not None and key in gradients]
                _apply(optimizer, known, run.dtype)
    return run.read()


def _rates_times(factor: float) -> contextlib.AbstractContextManager[None]:
    """Inside, optimizers take `factor` times their learning rate, a schedule's too, which cannot be assigned."""
    owner, name = keras.optimizers.Optimizer, "_get_current_learning_rate"
    return patched(defining_class(owner, name), name, lambda rate: lambda optimizer: rate(optimizer) * factor)


def _tensor(gradient: Gradient, variable: Any) -> Any:
    if isinstance(gradient, tuple):
        values, indices = gradient
        return tf.IndexedSlices(values, indices, dense_shape=tf.constant(variable.shape))
    return tf.convert_to_tensor(gradient)


def _apply(optimizer: Any, pairs: Sequence[tuple[Gradient, Any]], dtype: str) -> None:
    given = [_tensor(gradient, variable) for gradient, variable in pairs]
    # Where the hooks of `observe` recorded them: a subclass may do more after the reduction, such as clipping.
    owner = defining_class(keras.optimizers.Optimizer, "_all_reduce_sum_gradients")

    def instead(original: Any) -> Any:
        return lambda self, grads_and_vars: [
            (gradient, v) for gradient, (_, v) in zip(given, list(grads_and_vars), strict=True)
        ]

    with contextlib.ExitStack() as stack:
        stack.enter_context(global_state.precision(dtype))
        stack.enter_context(patched(owner, "_all_reduce_sum_gradients", instead))
        # Some optimizers ask their variables for what only Keras' own have, such as a path.
        known = {id(unwrapped(variable)): variable for variable in optimizer._trainable_variables}
        optimizer.apply(given, [known.get(id(unwrapped(variable)), variable) for _, variable in pairs])
