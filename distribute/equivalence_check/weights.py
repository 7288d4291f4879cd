"""With which weight did each replica's examples enter the gradient? Least squares over single-device gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Gradients = Mapping[str, np.ndarray]

EXACT = 1e-9
"""How close, as a relative L2, a sum of shards is to what it makes, in float64."""
_NOTHING = 1e-6


@dataclass(frozen=True)
class Weights:
    """The gradients of shards that stood alone, g_k, and how both runs are made of them.

    Attributes:
      sizes: examples of each shard that has any.
      replicas: which replica each of these shards belongs to.
      expected: c_k of reference = sum of c_k g_k; examples' shares where no such weights exist.
      sure: whether c_k are the examples' shares, or all 1: found by trying these, not by fitting any.
      exist: whether there are such c_k at all, tried or fitted.
      alone: the g_k, without `term`.
      term, term_factor: a part of the gradient that does not depend on examples, how often the candidate has it.
      columns, candidate: the g_k and the candidate as columns of numbers.
      exact: how close a sum of shards has to be, as a relative L2.
    """

    sizes: Sequence[int]
    replicas: Sequence[int]
    expected: np.ndarray
    sure: bool
    exist: bool
    alone: Sequence[Gradients]
    term: Gradients | None
    term_factor: float
    columns: np.ndarray
    candidate: np.ndarray
    exact: float = EXACT

    def factor(self, weights: np.ndarray) -> float | None:
        """f, where the candidate is f times the sum of shards that these weights give; None where it is not."""
        summed = self.columns @ weights
        size = float(summed @ summed)
        found = float(summed @ self.candidate) / size if size else 0.0
        left = float(np.linalg.norm(self.candidate - found * summed))
        return found if size and left <= self.exact * float(np.linalg.norm(self.candidate)) else None

    @property
    def counting(self) -> np.ndarray:
        """Which shards have a gradient of their own and a weight in the reference."""
        return _live(self.columns * self.expected)

    def fitted(self) -> np.ndarray | None:
        """c_k of candidate = sum of c_k g_k; None where no such weights exist, or more than one choice of them."""
        return _fit(self.columns, self.candidate, self.exact)


def weights_of(
    reference: Gradients,
    candidate: Gradients,
    alone: Sequence[Gradients],
    shard_sizes: Sequence[int],
    term: Gradients | None = None,
    term_factor: float = 1.0,
    exact: float = EXACT,
) -> Weights | None:
    """How the reference is made of its shards; None where a gradient is missing or not finite.

    Args:
      reference: the single device's gradients by variable.
      candidate: those of the replicas.
      alone: the same of the single-device step on each shard that has examples.
      shard_sizes: examples of each replica.
      term: a part of the gradient that every run has once, and the candidate `term_factor` times.
      term_factor: see `term`.
      exact: how close a sum of shards has to be, as a relative L2.
    """
    keys = sorted(set(reference) & set(candidate))
    if not alone or not keys or any(set(keys) - set(one) for one in alone):
        return None
    if term is not None:
        reference, candidate = _without(reference, term, 1.0), _without(candidate, term, term_factor)
        alone = [_without(one, term, 1.0) for one in alone]
    columns = np.stack([_flat(one, keys) for one in alone], axis=1)
    right, actual = _flat(reference, keys), _flat(candidate, keys)
    if not all(np.isfinite(array).all() for array in (columns, right, actual)):
        return None
    replicas = [k for k, size in enumerate(shard_sizes) if size]
    sizes = [shard_sizes[k] for k in replicas]
    shares = np.array(sizes) / sum(sizes)
    # Where a shard has no gradient, a sum of all is one of the others, too: that says nothing of its weight.
    tried = (shares, np.ones(len(sizes))) if _live(columns).all() else (shares,)
    known = next((one for one in tried if _is_sum(columns, one, right, exact)), None)
    fitted = _fit(columns, right, exact) if known is None else known
    return Weights(
        sizes=sizes,
        replicas=replicas,
        expected=shares if fitted is None else fitted,
        sure=known is not None,
        exist=fitted is not None,
        alone=alone,
        term=term,
        term_factor=term_factor,
        columns=columns,
        candidate=actual,
        exact=exact,
    )


def _is_sum(columns: np.ndarray, weights: np.ndarray, target: np.ndarray, exact: float) -> bool:
    return float(np.linalg.norm(columns @ weights - target)) <= exact * float(np.linalg.norm(target))


def predicted(
    weights: Sequence[float], alone: Sequence[Gradients], term: Gradients | None = None, term_factor: float = 0.0
) -> Gradients:
    """The gradient that these weights would give."""
    summed = {key: np.sum([w * one[key] for w, one in zip(weights, alone, strict=True)], axis=0) for key in alone[0]}
    return summed if term is None else _without(summed, term, -term_factor)


def _without(gradients: Gradients, term: Gradients, factor: float) -> dict[str, np.ndarray]:
    return {key: value - factor * term[key] if key in term else value for key, value in gradients.items()}


def _flat(gradients: Gradients, keys: Sequence[str]) -> np.ndarray:
    return np.concatenate([np.asarray(gradients[key], np.float64).ravel() for key in keys])


def _live(columns: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(columns, axis=0)
    return norms > _NOTHING * norms.max(initial=0.0)


def _fit(columns: np.ndarray, target: np.ndarray, exact: float) -> np.ndarray | None:
    """The one choice of weights that gives the target; a shard without a gradient of its own has weight 0."""
    live = _live(columns)
    used = columns[:, live]
    if used.shape[0] <= used.shape[1] or np.linalg.matrix_rank(used, rtol=_NOTHING) < used.shape[1]:
        return None
    solution = np.zeros(len(live))
    solution[live] = np.linalg.lstsq(used, target, rcond=None)[0]
    return solution if _is_sum(columns, solution, target, exact) else None
