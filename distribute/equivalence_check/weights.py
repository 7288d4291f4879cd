"""With which weight did each replica's examples enter the gradient? Least squares over single-device gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distribute.equivalence_check.runs import Evidence

_EXACT = 1e-9


@dataclass(frozen=True)
class Weights:
    """The gradients of shards that stood alone, g_k, and how both runs are made of them.

    Attributes:
      sizes: examples of each shard that has any.
      replicas: which replica each of these shards belongs to.
      expected: c_k of reference = sum of c_k g_k; examples' shares where no such weights exist.
      additive: whether the reference is such a sum (no statistics across examples of the whole batch).
      actual: c_k of candidate = sum of c_k g_k; None where no such weights exist.
    """

    sizes: Sequence[int]
    replicas: Sequence[int]
    expected: np.ndarray
    additive: bool
    actual: np.ndarray | None

    @property
    def factors(self) -> np.ndarray | None:
        """By shard, how many times too heavy it was."""
        return None if self.actual is None else self.actual / self.expected


def weights_of(
    reference: Evidence, candidate: Evidence, alone: Sequence[Evidence], shard_sizes: Sequence[int]
) -> Weights | None:
    """Fits both runs; None where a gradient is missing or not finite."""
    keys = sorted(set(reference.gradients) & set(candidate.gradients))
    if not alone or not keys or any(set(keys) - set(one.gradients) for one in alone):
        return None
    columns = np.stack([_flat(one.gradients, keys) for one in alone], axis=1)
    right, actual = _flat(reference.gradients, keys), _flat(candidate.gradients, keys)
    if not all(np.isfinite(array).all() for array in (columns, right, actual)):
        return None
    replicas = [k for k, size in enumerate(shard_sizes) if size]
    sizes = [shard_sizes[k] for k in replicas]
    expected = _fit(columns, right)
    shares = np.array(sizes) / sum(sizes)
    return Weights(
        sizes, replicas, shares if expected is None else expected, expected is not None, _fit(columns, actual)
    )


def predicted(weights: Sequence[float], alone: Sequence[Evidence]) -> dict[str, np.ndarray]:
    """The gradient that these weights would give."""
    return {
        key: np.sum([w * one.gradients[key][0] for w, one in zip(weights, alone, strict=True)], axis=0)
        for key in alone[0].gradients
    }


def _flat(gradients: Mapping[str, Sequence[np.ndarray]], keys: Sequence[str]) -> np.ndarray:
    return np.concatenate([np.asarray(gradients[key][0], np.float64).ravel() for key in keys])


def _fit(columns: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    if columns.shape[0] <= columns.shape[1]:
        return None
    solution = np.linalg.lstsq(columns, target, rcond=None)[0]
    left = float(np.linalg.norm(columns @ solution - target))
    return solution if left <= _EXACT * float(np.linalg.norm(target)) else None
