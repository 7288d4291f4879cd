"""The batches of the programs, small and made up; what a seed changes is everything but their form."""

from collections.abc import Callable
from typing import Any

import numpy as np

CLASSES = 3
FEATURES = 6
TOKENS = 5


def images(size: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, 6, 6, 1)).astype("float32"), rng.integers(0, CLASSES, size).astype("int32")


def rows(size: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, FEATURES)).astype("float32"), rng.normal(size=(size, 1)).astype("float32")


def sentences(size: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Of one to five tokens, all shorter towards the end: shards hold unequal numbers of tokens."""
    rng = np.random.default_rng(seed)
    lengths = np.sort(rng.integers(1, TOKENS + 1, size))[::-1]
    lengths[0], lengths[-1] = TOKENS, 1
    return _padded(rng, lengths)


def sentences_alike(size: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """All of four tokens."""
    return _padded(np.random.default_rng(seed), np.full(size, TOKENS - 1))


def _padded(rng: np.random.Generator, lengths: np.ndarray) -> tuple[np.ndarray, ...]:
    shape = (len(lengths), TOKENS)
    valid = np.arange(TOKENS) < lengths[:, None]
    return (rng.integers(1, 11, shape) * valid).astype("int32"), rng.integers(0, CLASSES, shape).astype("int32")


def even(make: Callable[[int, int], Any], per_replica: int = 3) -> Callable[[int], list[Any]]:
    """By number of replicas, one batch that divides evenly."""
    return lambda replicas: [make(per_replica * replicas, 0)]


def uneven(make: Callable[[int, int], Any], per_replica: int = 3) -> Callable[[int], list[Any]]:
    """An even batch, then the rest of an epoch: one example more than divides evenly."""
    return lambda replicas: [make(per_replica * replicas, 0), make(per_replica * replicas - replicas + 1, 1)]
