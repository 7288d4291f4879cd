"""Did the replicas together see each example exactly once? Decided by counting fingerprints of the examples."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Counts = Counter[bytes]
"""How often each example came, by its fingerprint; equal rows are legal, so they are counted."""


def counted(nest: Any) -> Counts:
    """The examples of one batch."""
    leaves = [np.ascontiguousarray(leaf) for leaf in tf.nest.flatten(nest)]
    return Counter(_fingerprint(leaves, row) for row in range(len(leaves[0])))


def _fingerprint(leaves: Sequence[np.ndarray], row: int) -> bytes:
    digest = hashlib.blake2b(digest_size=12)
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
