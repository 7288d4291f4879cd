"""Values that are known beforehand, and their comparison on the device that received them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# A few values, which fill no unit of transfer, and 1 MiB, which takes many.
SIZES_IN_BYTES = (3 * 8, 2**20)

# Of a device's limit the share that the larger one may take: the check holds dozens of such vectors at a time.
_SHARE_OF_LIMIT = 1 / 64

# float32 holds every integer up to here, so a sum below it is exact, whatever the order.
MOST_EXACT = 2**24

# An odd number with about as many bits set as not: its multiples modulo 2**64 are all different, and each bit of them
# is set in about half of them.
_MULTIPLIER = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class TransportFailure:
    """One way between devices on which values changed.

    Attributes:
      what: a pair such as ``GPU:0 -> GPU:1``, or a sum and the device that received it.
      num_wrong: how many values differ.
      num_values: how many were sent.
      first: the first value that differs, and what it should be.
    """

    what: str
    num_wrong: int
    num_values: int
    first: str

    def __str__(self) -> str:
        return f"{self.what}: {self.num_wrong:,} of {self.num_values:,} values differ, first {self.first}"


class Comparison(NamedTuple):
    """What leaves the device: scalars only, of which the last two tell something where `num_wrong` is not 0."""

    num_wrong: tf.Tensor | int
    num_values: tf.Tensor | int
    received: tf.Tensor | None
    expected: tf.Tensor | None


def sizes_within(memory_limit_mib: int | None) -> tuple[int, ...]:
    """The sizes that a device with such a limit, None for none, has room for."""
    few, many = SIZES_IN_BYTES
    room = many if memory_limit_mib is None else int(memory_limit_mib * 2**20 * _SHARE_OF_LIMIT)
    return few, min(many, room)


def copied_values(sizes: Sequence[int] = SIZES_IN_BYTES) -> list[np.ndarray]:
    """Vectors of these sizes, in bytes, to copy: int64 with all bits in use, and float32 as in training.

    Not int32: TensorFlow keeps that in the host's memory on a GPU, so the link would never see it.
    """
    return [
        values
        for size in sizes
        for values in (
            (np.arange(1, size // 8 + 1, dtype=np.uint64) * np.uint64(_MULTIPLIER)).view(np.int64),
            float_values(size, MOST_EXACT),
        )
    ]


def float_values(size_in_bytes: int, most: int) -> np.ndarray:
    """A float32 vector of known integers from 1 to `most`; none is 0, which a lost transfer often leaves."""
    numbers = np.arange(1, size_in_bytes // 4 + 1, dtype=np.uint64) * np.uint64(_MULTIPLIER)
    return (numbers % np.uint64(most) + np.uint64(1)).astype(np.float32)


def place(values: np.ndarray, device: str) -> tf.Tensor:
    """The values on a device, sent there by the host."""
    with tf.device(device):
        return tf.constant(values)


def compare_on(device: str, received: tf.Tensor, expected: tf.Tensor) -> Comparison:
    """`compare` on the device where both vectors are; two operations where they are the same, as they mostly are."""
    with tf.device(device):
        if tf.reduce_any(tf.not_equal(received, expected)):
            return compare(received, expected)
        return Comparison(num_wrong=0, num_values=received.shape.num_elements(), received=None, expected=None)


def compare(received: tf.Tensor, expected: tf.Tensor) -> Comparison:
    """Compares two vectors of one shape exactly; NaN differs from everything."""
    wrong = tf.not_equal(received, expected)
    first = tf.argmax(wrong)
    return Comparison(
        tf.reduce_sum(tf.cast(wrong, tf.int64)),
        tf.size(received),
        tf.gather(received, first),
        tf.gather(expected, first),
    )


def failures_of(what: str, comparisons: Iterable[Comparison]) -> list[TransportFailure]:
    """One failure for everything that went one way; none where all of it arrived."""
    compared = list(comparisons)
    wrong = [one for one in compared if int(one.num_wrong)]
    if not wrong:
        return []
    received, expected = (np.asarray(value).item() for value in (wrong[0].received, wrong[0].expected))
    return [
        TransportFailure(
            what,
            num_wrong=sum(int(one.num_wrong) for one in wrong),
            num_values=sum(int(one.num_values) for one in compared),
            first=f"{received} where {expected} belongs",
        )
    ]
