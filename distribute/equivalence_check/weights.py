"""With which weight did each replica's examples enter the gradient? Least squares over single-device gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Gradients = Mapping[str, np.ndarray]

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
      alone: the g_k, without `term`.
      term, term_factor: a part of the gradient that does not depend on examples, how often the candidate has it.
    """

    sizes: Sequence[int]
    replicas: Sequence[int]
    expected: np.ndarray
    additive: bool
    actual: np.ndarray | None
    alone: Sequence[Gradients]
    term: Gradients | None = None
    term_factor: float = 0.0


def weights_of(
    reference: Gradients,
    candidate: Gradients,
    alone: Sequence[Gradients],
    shard_sizes: Sequence[int],
    term: Gradients | None = None,
    term_factor: float = 1.0,
) -> Weights | None:
    """Fits both runs; None where a gradient is missing or not finite.

    Args:
      reference: the single device's gradients by variable.
      candidate: those of the replicas.
      alone: the same of the single-device step on each shard that has examples.
      shard_sizes: examples of each replica.
      term: a part of the gradient that every run has once, and the candidate `term_factor` times.
      term_factor: see `term`.
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
    expected = _fit(columns, right)
    shares = np.array(sizes) / sum(sizes)
    return Weights(
        sizes=sizes,
        replicas=replicas,
        expected=shares if expected is None else expected,
        additive=expected is not None,
        actual=_fit(columns, actual),
        alone=alone,
        term=term,
        term_factor=term_factor,
    )


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


def _fit(columns: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    if columns.shape[0] <= columns.shape[1]:
        return None
    solution = np.linalg.lstsq(columns, target, rcond=None)[0]
    left = float(np.linalg.norm(columns @ solution - target))
    return solution if left <= _EXACT * float(np.linalg.norm(target)) else None
