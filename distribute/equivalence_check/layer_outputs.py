"""What each layer makes of each example: the first layer whose outputs differ is where a difference begins.

A step may call layers again after it has updated weights, as reinforcement learning and GANs do: weights that were
updated wrongly then show in the outputs of any layer, so such calls are marked.
"""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .observe import HANDED, LAYER, Recorder, replica_id
from .patching import patched


@dataclass(frozen=True)
class LayerDifference:
    """One call of a layer.

    Attributes:
      name: the layer's.
      off: the relative L2 between its outputs on the replicas and on one device.
      after_update: whether an optimizer had updated weights in the same step before.
    """

    name: str
    off: float
    after_update: bool


@contextlib.contextmanager
def reported(recorder: Recorder) -> Iterator[None]:
    """Inside, every layer that is traced reports its output."""

    def reporting(original: Any) -> Any:
        @functools.wraps(original)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = original(self, *args, **kwargs)
            kept = [one for one in tf.nest.flatten(outputs) if tf.is_tensor(one) and one.dtype.is_floating]
            if not tf.executing_eagerly():
                key = (self.name, recorder.saw(HANDED, replica_id()))
                recorder.emit(LAYER, replica_id(), [(key, tf.identity(one)) for one in kept])
            return outputs

        return call

    with patched(keras.layers.Layer, "__call__", reporting):
        yield


def output_differences(reference: Recorder, candidate: Recorder, shard_sizes: Sequence[int]) -> list[LayerDifference]:
    """Each call of a layer, in their order, and how far its outputs on the replicas are off those on one device.

    Outputs that do not have a row for each example are left out.
    """
    calls = reference.values(LAYER).get(0, [])
    by_replica = [candidate.values(LAYER).get(replica, []) for replica in range(len(shard_sizes))]
    found = []
    for ((name, after_update), expected), *copies in zip(calls, *by_replica, strict=False):
        rows = [array.shape[:1] for _, array in copies]
        if expected.shape[:1] == (sum(shard_sizes),) and rows == [(size,) for size in shard_sizes]:
            actual = np.concatenate([array for _, array in copies])
            off = float(np.linalg.norm((actual - expected).ravel()))
            found.append(LayerDifference(name, off / (float(np.linalg.norm(expected.ravel())) or 1.0), after_update))
    return found
