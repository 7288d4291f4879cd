"""Moving statistics of BatchNormalization that are those of all replicas."""

from typing import Any, TypeVar

import keras
import tensorflow as tf

from .class_swap import swap_class

Model = TypeVar("Model", bound=keras.Layer)

STATISTICS = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")
"""Attributes of a BatchNormalization layer; the last three with `renorm=True` only, none before the layer is built."""


class Averaged:
    """Holds, after an assignment on all replicas, the mean of what they assigned."""

    def _direct_assign(self, value: Any) -> None:
        context = tf.distribute.get_replica_context()
        if context is not None:
            value = context.all_reduce(tf.distribute.ReduceOp.MEAN, value)
        super()._direct_assign(value)  # type: ignore[misc]


def average_moving_statistics(model: Model) -> Model:
    """Keeps BatchNormalization's moving statistics the same on all replicas: the mean of theirs.

    First ask for ``BatchNormalization(synchronized=True)``: the stock layer then normalises over the global batch, as
    one device does, and its statistics are right. This is for models that are to normalise over each replica's own
    examples. There Keras 3 makes the moving mean and variance without aggregation
    (keras/src/layers/normalization/batch_normalization.py; tf-keras had ON_READ and MEAN), so that each replica keeps
    its own and the first one's are saved: `moving_statistics_not_aggregated`. What is left is
    `local_batch_statistics`: the mean of variances within shards is smaller than the variance of the whole batch.

        model = average_moving_statistics(make_model())
        model.compile("adam", loss)

    It costs two all-reduces of [channels] for each such layer and step. Replicas weigh the same, whatever their number
    of examples; one without any makes the mean NaN, so feed even shards (`pad_last_batch`).

    Args:
      model: a built model or layer; the variables of its layers are changed, in `_flatten_layers` of it. Give it
        before the first step is traced, and again when it was loaded.

    Returns:
      `model` itself.

    Raises:
      ValueError: the model has not been built, or has no BatchNormalization that is not synchronised.
    """
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    local = [layer for layer in layers if not layer.synchronized]
    if not model.built or not local:
        raise ValueError(
            f"{model.name!r} has {len(local)} built BatchNormalization layers with synchronized=False, and is "
            f"{'' if model.built else 'not '}built: build a model that has some"
        )
    for layer in local:
        for name in STATISTICS:
            if getattr(layer, name, None) is not None:
                swap_class(getattr(layer, name), Averaged)
    return model
