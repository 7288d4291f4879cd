"""The variables of a program: what each one is for, how two builds match, and their values on every replica."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .observe import unwrapped

TRAINABLE = "trainable"
STATE = "state"
OPTIMIZER = "optimizer"
METRIC = "metric"
SEED = "seed"

Values = Mapping[str, Sequence[np.ndarray]]
"""By variable, the value on each replica."""


@dataclass(frozen=True)
class Slot:
    """One variable of a program.

    Attributes:
      key: the name under which the report shows it, unique in its program.
      role: trainable, state, optimizer, metric or seed.
      variable: the `tf.Variable`, distributed or not.
    """

    key: str
    role: str
    variable: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The variable's shape."""
        return tuple(self.variable.shape)

    @property
    def dtype(self) -> str:
        """The variable's dtype by name."""
        return str(tf.as_dtype(self.variable.dtype).name)

    @property
    def floating(self) -> bool:
        """Whether it holds floating point numbers."""
        return bool(tf.as_dtype(self.variable.dtype).is_floating)

    @property
    def precision(self) -> str | None:
        """The floating point dtype that it is held in, a complex number by its parts; None for other kinds."""
        dtype = tf.as_dtype(self.variable.dtype).real_dtype
        return str(dtype.name) if dtype.is_floating else None


def collect(parts: Sequence[Any], optimizers: Sequence[Any], extra: Sequence[Any]) -> list[Slot]:
    """The variables of model parts, optimizers and further ones, each once, in a fixed order; none of strings.

    `tf.Variable` is trainable by default: what has no gradient, such as a counter of steps, is state all the same.
    """
    found: dict[int, tuple[str, str, Any]] = {}

    def add(variables: Iterable[Any], role: str) -> None:
        for variable in variables:
            inner = unwrapped(variable)
            if inner.dtype == tf.string:
                continue
            # Asked for an attribute that it has not, a variable that is combined when it is read is read.
            name = variable.path if isinstance(variable, keras.Variable) else inner.name
            chosen = SEED if "seed_generator_state" in name else role
            found.setdefault(id(inner), (name, chosen, inner))

    for part in parts:
        add(_metric_variables(part), METRIC)
    for part in parts:
        # An optimizer may stand in the list of parts: what it holds is no weight.
        is_optimizer = isinstance(part, keras.optimizers.Optimizer)
        for variable in part.variables:
            add([variable], OPTIMIZER if is_optimizer else TRAINABLE if _trained(part, variable) else STATE)
    for optimizer in optimizers:
        add(optimizer.variables, OPTIMIZER)
    for variable in extra:
        add([variable], TRAINABLE if _trainable(variable) else STATE)
    return _with_unique_keys(list(found.values()))


def _metric_variables(part: Any) -> list[Any]:
    metrics = [part] if isinstance(part, keras.Metric) else getattr(part, "metrics", None) or []
    return [variable for metric in metrics for variable in metric.variables]


def _trained(part: Any, variable: Any) -> bool:
    if not _trainable(variable):
        return False
    trained = getattr(part, "trainable_variables", None)
    return trained is None or any(variable is one for one in trained)


def _trainable(variable: Any) -> bool:
    dtype = tf.as_dtype(variable.dtype)
    return bool(getattr(variable, "trainable", False)) and (dtype.is_floating or dtype.is_complex)


def _with_unique_keys(found: Sequence[tuple[str, str, Any]]) -> list[Slot]:
    counts: Counter[str] = Counter()
    slots = []
    for name, role, variable in found:
        counts[name] += 1
        slots.append(Slot(name if counts[name] == 1 else f"{name}#{counts[name]}", role, variable))
    return slots


def matched(reference: Sequence[Slot], other: Sequence[Slot]) -> list[Slot]:
    """The slots of `other` under the keys of `reference`: by name, by position where names do not match.

    Raises:
      ValueError: another number of variables, or another shape.
    """
    if len(reference) != len(other):
        names = {slot.key for slot in reference} ^ {slot.key for slot in other}
        raise ValueError(
            f"build() made {len(reference)} variables the first time and {len(other)} the next"
            f" (not in both: {', '.join(sorted(names)) or 'none'}): it must make the same ones each time"
        )
    by_key = {slot.key: slot for slot in other}
    in_order = [by_key[slot.key] for slot in reference] if by_key.keys() == {s.key for s in reference} else other
    for mine, theirs in zip(reference, in_order, strict=True):
        if mine.shape != theirs.shape:
            raise ValueError(
                f"variable {mine.key!r} has shape {mine.shape} in the first build and {theirs.shape} in the next:"
                " build() must make the same variables each time"
            )
    return [Slot(mine.key, mine.role, theirs.variable) for mine, theirs in zip(reference, in_order, strict=True)]


def components(slot: Slot, strategy: tf.distribute.Strategy) -> Sequence[Any]:
    """The variable's copies, one per replica."""
    return tuple(strategy.experimental_local_results(slot.variable))


def read(slots: Sequence[Slot], strategy: tf.distribute.Strategy) -> dict[str, list[np.ndarray]]:
    """Every variable's value on every replica; replicas that agree share one array."""
    return {slot.key: shared(copy.numpy() for copy in components(slot, strategy)) for slot in slots}


def shared(copies: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The same values; a copy that equals the first to the last bit is the first, so that a large model fits."""
    first, *others = copies
    return [first, *(first if same(first, other) else other for other in others)]


def write(slots: Sequence[Slot], values: Values, strategy: tf.distribute.Strategy) -> None:
    """Sets every copy; one given value serves all replicas."""
    for slot in slots:
        given = values[slot.key]
        for index, copy in enumerate(components(slot, strategy)):
            copy.assign(tf.cast(given[index if len(given) > 1 else 0], copy.dtype))


def set_by_build(slots: Sequence[Slot]) -> list[str]:
    """Variables that a program may set from the number of replicas."""
    return [slot.key for slot in slots if slot.role in (OPTIMIZER, STATE)]


def set_apart(copies: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> bool:
    """Whether all replicas hold one value and the reference another, beyond rounding."""
    alike = all(same(copy, copies[0]) for copy in copies)
    return alike and not same(_float32(copies[0]), _float32(reference[0]))


def same(first: np.ndarray, second: np.ndarray) -> bool:
    """Equal to the last bit."""
    return first.shape == second.shape and first.tobytes() == second.tobytes()


def on_read(slot: Slot) -> bool:
    """Whether each replica writes a part of its own, and reading combines them."""
    return "ON_READ" in str(getattr(slot.variable, "synchronization", ""))


def combined(slot: Slot) -> bool:
    """Whether replicas may rightly hold different parts: not of weights, nor where only the first replica's is read."""
    first_alone = slot.variable.aggregation == tf.VariableAggregation.ONLY_FIRST_REPLICA
    return on_read(slot) and slot.role != TRAINABLE and not first_alone


def own_part(slot: Slot) -> bool:
    """Whether each replica keeps a part that nothing combines, such as its accumulated gradient: there is no one value.

    TensorFlow cannot save such a variable on several replicas, nor read it outside of one.
    """
    return on_read(slot) and slot.variable.aggregation == tf.VariableAggregation.NONE


def aggregated(variable: Any, copies: Sequence[np.ndarray]) -> np.ndarray:
    """One value of all replicas' copies, by the variable's aggregation."""
    if variable.aggregation == tf.VariableAggregation.MEAN:
        return np.mean(copies, axis=0, dtype=copies[0].dtype)
    if variable.aggregation == tf.VariableAggregation.SUM:
        return np.sum(copies, axis=0, dtype=copies[0].dtype)
    return copies[0]


def from_start(value: np.ndarray, own_start: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The value as if it had started at `start`: where a program sets a variable from N, its change is judged."""
    if own_start.dtype.kind not in "iufc" or np.array_equal(own_start, start, equal_nan=start.dtype.kind in "fc"):
        return value
    return start if np.array_equal(value, own_start) else value + (start - own_start)


def rounded(values: Values) -> dict[str, Sequence[np.ndarray]]:
    """Replica 0's values, rounded to what float32 can hold, so that runs of every dtype start from the same."""
    return {key: [_float32(copies[0])] for key, copies in values.items()}


def _float32(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float32).astype(value.dtype) if value.dtype == np.float64 else value


def saved_and_loaded(slots: Sequence[Slot]) -> dict[str, np.ndarray]:
    """What a checkpoint of these variables holds when it is read again; on N replicas the first one's copy."""
    slots = [slot for slot in slots if not own_part(slot)]
    with tempfile.TemporaryDirectory() as folder:
        path = tf.train.Checkpoint(slots=[slot.variable for slot in slots]).write(str(Path(folder) / "state"))
        reader = tf.train.load_checkpoint(path)
        return {
            slot.key: reader.get_tensor(f"slots/{index}/.ATTRIBUTES/VARIABLE_VALUE") for index, slot in enumerate(slots)
        }
