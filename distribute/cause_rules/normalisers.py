"""Weighted and masked means: which array of the batch holds what each replica divided by?"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from ..causes import Explanation
from ..equivalence_check import observe
from ..equivalence_check.weights import Weights
from .case import Case

SAMPLE_WEIGHTS = "sample_weight_mean_per_replica"
MASK = "masked_mean_per_replica"
_MOST_VALUES = 5  # padding is one of the most frequent values

# A step that predicts the next token makes its targets itself, of all tokens but the first; masks go with either end.
_PARTS_OF_ROWS = {"": slice(None), "[:, 1:]": slice(1, None), "[:, :-1]": slice(None, -1)}


def normaliser_causes(case: Case, weights: Weights, evidence: str) -> list[Explanation]:
    """The causes for shards that count by something else than their number of examples, most likely first.

    None where no array of the batch says by what: in a model of few weights any gradient is a sum of a few others.
    """
    shares = weights.expected / weights.expected.sum()
    found: dict[str, str] = {}
    for cause, what in sorted(_fitting(case, weights, shares), key=lambda one: _unlikely(case, *one)):
        found.setdefault(cause, what)
    return [
        case.explanation(cause, f"{evidence}; {what}", case.worst_gradient, observe.LOSS)
        for cause, what in found.items()
    ]


def _fitting(case: Case, weights: Weights, shares: np.ndarray) -> Iterator[tuple[str, str]]:
    """(cause, what fits) for every array of which each shard has that share."""
    for path, leaf in keras.tree.flatten_with_path(case.batch.whole):
        name = "".join(f"[{part!r}]" for part in path)
        parts = [_at(case.batch.shards[replica], path) for replica in weights.replicas]
        for columns, which in _PARTS_OF_ROWS.items() if leaf.ndim > 1 else [("", slice(None))]:
            cut = [part[:, which] if columns else part for part in parts]
            yield from _counting(leaf, cut, f"batch{name}{columns}", shares, case.near)


def _counting(
    leaf: np.ndarray, parts: list[np.ndarray], name: str, shares: np.ndarray, near: float
) -> Iterator[tuple[str, str]]:
    """The same for one array, whose shards are `parts`."""
    if leaf.dtype.kind == "f" and _same([float(part.sum()) for part in parts], shares, near):
        for cause in _kinds(leaf):
            yield cause, f"the shares are those of the sum of {name}"
    for value in _frequent(leaf):
        if _same([int((~_equal(part, value)).sum()) for part in parts], shares, near):
            yield MASK, f"the shares are those of the elements of {name} that are not {value:g}"


def _kinds(leaf: np.ndarray) -> tuple[str, ...]:
    """What an array of numbers is likely to be; zeros and ones may be either."""
    if not np.isin(leaf, (0, 1)).all():
        return (SAMPLE_WEIGHTS,)
    return (MASK, SAMPLE_WEIGHTS) if leaf.ndim > 1 else (SAMPLE_WEIGHTS, MASK)


def _at(nest: Any, path: Any) -> np.ndarray:
    for part in path:
        nest = nest[part]
    return np.asarray(nest)


def _frequent(leaf: np.ndarray) -> list[float]:
    """The values that occur most often, which padding would be among; of numbers with a fraction only repeated ones."""
    if leaf.dtype.kind not in "iubf":
        return []
    values, counts = np.unique(leaf, return_counts=True)
    most = [i for i in np.argsort(-counts)[:_MOST_VALUES] if leaf.dtype.kind != "f" or counts[i] > 1]
    return [float(values[i]) for i in most]


def _equal(part: np.ndarray, value: float) -> np.ndarray:
    return np.isnan(part) if np.isnan(value) else part == value


def _same(amounts: list[Any], shares: np.ndarray, near: float) -> bool:
    total = sum(amounts)
    return bool(total) and np.allclose(np.array(amounts) / total, shares, rtol=near)


def _unlikely(case: Case, cause: str, what: str) -> int:
    """Sorts what the batch's own names, or `fit`'s order of (x, y, sample_weight), speak for to the front."""
    if case.trial.reference.subject.is_keras_model and isinstance(case.batch.whole, tuple) and "batch[2]" in what:
        return 0 if cause == SAMPLE_WEIGHTS else 1
    word = "weight" if cause == SAMPLE_WEIGHTS else "mask"
    return 1 if word in what.lower() else 2
