"""A Keras loss that takes the mean over the global batch, for compiled models."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend import get_keras_mask
from keras.src.losses.loss import apply_mask, reduce_weighted_values
from keras.src.losses.losses import LossFunctionWrapper
from keras.src.utils.naming import get_object_name

from .global_mean import sums_over_replicas

_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")


@keras.saving.register_keras_serializable(package="distribute")
class GlobalMean(keras.losses.Loss):
    """Wraps a Keras loss, so that `fit` minimises its mean over the global batch of all replicas.

        model.compile("adam", GlobalMean(keras.losses.SparseCategoricalCrossentropy(from_logits=True)))

    Keras 3 takes the mean over each replica's own values and divides it by the number of replicas (`reduce_values`,
    `apply_mask` and `scale_loss_for_distribution` in keras/src/losses/loss.py), which is right only where all replicas
    have as many examples, valid tokens or as much weight: `uneven_batch_weighting`, `masked_mean_per_replica`,
    `sample_weight_mean_per_replica`. A loss function that returns a scalar is not even divided:
    `loss_summed_over_replicas`. Here each replica divides its sum by the count of all replicas. The value of the loss
    is such that Keras reports the mean over the global batch, and a shard without examples adds 0.

    The mean is that of the wrapped loss:

    - ``reduction="sum_over_batch_size"`` (Keras' default) and ``"mean"`` divide by the number of values, those that a
      mask leaves out not counted. Unlike stock Keras a value whose sample weight is 0 is not counted either, so that
      rows that `pad_last_batch` added count for nothing.
    - ``reduction="mean_with_sample_weight"`` divides by the sum of the weights.

    A loss with ``reduction="sum"`` is right as it is. Regularisers are Keras' own affair, and right.

    Args:
      loss: a Keras loss, the name of one, or a function of (y_true, y_pred) that returns one value for each example.
      name: defaults to the name of `loss`.

    Raises:
      ValueError: `loss` has another reduction, or returns a scalar instead of one value for each example.
    """

    def __init__(self, loss: Any, name: str | None = None) -> None:
        self.loss = keras.losses.get(loss)
        wrapped = self.loss if isinstance(self.loss, keras.losses.Loss) else _of_function(self.loss)
        if wrapped.reduction not in _MEANS:
            raise ValueError(
                f"the loss {wrapped.name!r} has reduction={wrapped.reduction!r}: only a mean has to be told of other "
                f"replicas; give one of {', '.join(_MEANS)}, or use the loss as it is"
            )
        # Keras' own call is to weight and mask the values, and to leave their sum to this class.
        super().__init__(name=name or wrapped.name, reduction="none", dtype=wrapped.dtype)
        self._wrapped = wrapped

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The values of the wrapped loss: one for each example, token or pixel."""
        values = self._wrapped.call(y_true, y_pred)
        if len(values.shape) == 0:
            raise ValueError(
                f"the loss {self.name!r} returns a scalar: how many examples stand behind it cannot be known; return "
                "one value for each example (a mean over the axes after the first)"
            )
        return values

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """A scalar: this replica's share of the mean, with the gradient of its part of it."""
        values = super().__call__(y_true, y_pred, sample_weight)
        total = tf.reduce_sum(values)
        all_totals, all_counts = sums_over_replicas(total, self._count(values, get_keras_mask(y_pred), sample_weight))
        mean = tf.math.divide_no_nan(all_totals, all_counts)
        # Keras' loss tracker multiplies by the number of replicas and weights each with its number of examples.
        share = mean / tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, mean.dtype)
        return _with_gradient_of(tf.math.divide_no_nan(total, all_counts), share)

    def _count(self, values: tf.Tensor, mask: Any, sample_weight: Any) -> tf.Tensor:
        """What the wrapped loss divides by, on this replica."""
        weights = None if sample_weight is None else tf.cast(sample_weight, values.dtype)
        if self._wrapped.reduction == "mean_with_sample_weight":
            merged = apply_mask(weights, mask, values.dtype, "none")
            if merged is not None:
                return tf.reduce_sum(merged)
        counted = None if weights is None else tf.cast(tf.not_equal(weights, 0), values.dtype)
        # Not "sum": Keras leaves values of shape [0] as they are.
        return tf.reduce_sum(reduce_weighted_values(tf.ones_like(values), counted, mask, "none", self.dtype))

    def get_config(self) -> dict[str, Any]:
        """What Keras saves: the wrapped loss and the name."""
        return {"loss": keras.saving.serialize_keras_object(self.loss), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GlobalMean":
        """Makes the loss that `get_config` described."""
        return cls(keras.saving.deserialize_keras_object(config["loss"]), name=config["name"])


def _of_function(function: Callable[..., Any]) -> keras.losses.Loss:
    """What `compile` makes of a function: it brings labels and predictions to the same rank first."""
    return LossFunctionWrapper(function, name=get_object_name(function))


@tf.custom_gradient
def _with_gradient_of(part: tf.Tensor, value: tf.Tensor) -> Any:
    return tf.identity(value), lambda upstream: (upstream, None)
