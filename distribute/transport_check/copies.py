"""Copies from the host to each device, and from each device to each other one."""

import itertools
from collections.abc import Iterator, Sequence

import tensorflow as tf

from .known_values import TransportFailure, compare_on, copied_values, failures_of, place

HOST = "CPU:0"


def copy_to(value: tf.Tensor, device: str) -> tf.Tensor:
    """`value` on another device, copied there as from one operation of a training step to the next."""
    with tf.device(device):
        return tf.identity(value)


def copy_failures(names: Sequence[str], sizes: Sequence[int]) -> Iterator[TransportFailure]:
    """Of the host with each device, then of each ordered pair of devices; vectors of these sizes, in bytes.

    The host comes first because the pairs rely on it: it brings a device what it is to send, and what it is to expect.
    """
    sent = {name: [place(values, name) for values in copied_values(sizes)] for name in names}
    known = [place(values, HOST) for values in copied_values(sizes)]
    for name in names:
        back = [place(value.numpy(), HOST) for value in sent[name]]
        yield from failures_of(f"host -> {name} -> host", map(compare_on, itertools.repeat(HOST), back, known))
    for source, target in itertools.permutations(names, 2):
        arrived = [copy_to(value, target) for value in sent[source]]
        yield from failures_of(
            f"{source} -> {target}", map(compare_on, itertools.repeat(target), arrived, sent[target])
        )
