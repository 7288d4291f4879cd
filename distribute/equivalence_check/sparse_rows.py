"""Rows of sparse gradients: of several rows for one index the gradient is the sum, however many rows it comes in."""

from collections.abc import Mapping

import numpy as np

from .evidence import Gradient


def with_other_rows(gradients: Mapping[str, Gradient], reference: Mapping[str, Gradient]) -> list[str]:
    """The keys of the variables for whose indices the replicas hold more or fewer rows than one device.

    Args:
      gradients: as applied on the replicas, by variable: dense, or values [rows, ...] and their indices [rows].
      reference: the same on one device.
    """
    return [
        key
        for key, gradient in gradients.items()
        if isinstance(gradient, tuple)
        and not (isinstance(other := reference.get(key), tuple) and _same_indices(gradient[1], other[1]))
    ]


def summed(gradient: Gradient) -> Gradient:
    """The same gradient with one row for each index, in ascending order; a dense one as it is."""
    if not isinstance(gradient, tuple):
        return gradient
    values, indices = gradient
    unique, place = np.unique(indices, return_inverse=True)
    rows = np.zeros((len(unique), *values.shape[1:]), values.dtype)
    np.add.at(rows, place, values)
    return rows, unique


def _same_indices(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(np.sort(one), np.sort(other))
