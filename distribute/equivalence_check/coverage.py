"""Did the replicas together see each example exactly once? Decided by counting fingerprints of the examples."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Counts = Counter[bytes]
"""How often each example came, by its fingerprint; equal rows are legal, so they are counted."""

_DIGEST_SIZE = 12
_WITHOUT_WEIGHT = b"0"  # before the digest


def counted(nest: Any) -> Counts:
    """The examples of one batch; the fingerprint of one that has no weight in the loss says so."""
    leaves = [np.ascontiguousarray(leaf) for leaf in tf.nest.flatten(nest)]
    marks = [_WITHOUT_WEIGHT if none else b"" for none in _without_weight(nest, len(leaves[0]))]
    return Counter(mark + _fingerprint(leaves, row) for row, mark in enumerate(marks))


def _without_weight(nest: Any, num_rows: int) -> np.ndarray:
    """Which rows of a batch (x, y, sample_weight) have the weight 0, as `fit` reads such a batch."""
    weights = tf.nest.flatten(nest[2]) if isinstance(nest, tuple) and len(nest) == 3 else []
    if not weights or any(leaf.dtype.kind != "f" for leaf in weights):
        return np.zeros(num_rows, bool)
    return np.all([np.all(leaf == 0, axis=tuple(range(1, leaf.ndim))) for leaf in weights], axis=0)


def weighted(counts: Counts) -> Counts:
    """Those examples that have a weight in the loss."""
    return Counter({example: count for example, count in counts.items() if len(example) == _DIGEST_SIZE})


def _fingerprint(leaves: Sequence[np.ndarray], row: int) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    for leaf in leaves:
        example = leaf[row]
        if leaf.dtype == object:  # strings; a row of one string each is a plain `bytes`
            example = example.tolist() if hasattr(example, "tolist") else example
            digest.update(repr(example).encode())
        else:
            digest.update(example.tobytes())
    return digest.digest()


def surplus(seen: Counts, truth: Counts) -> int:
    """Examples that came more often than one reader yields them."""
    return sum((seen - truth).values())


def missing(seen: Counts, truth: Counts) -> int:
    """Examples of one reader that did not come."""
    return sum((truth - seen).values())
