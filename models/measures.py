"""What is measured of each example: values that training takes the mean of, each one for an example."""

import tensorflow as tf


def classification(labels: tf.Tensor, logits: tf.Tensor) -> dict[str, tf.Tensor]:
    """``loss``, the cross-entropy, and ``accuracy``, 1 where the greatest logit is that of the label; each [batch].

    Args:
      labels: [batch], whole numbers below the number of classes.
      logits: [batch, classes].

    Raises:
      ValueError: the labels are no classes.
    """
    if not labels.dtype.is_integer or labels.shape.rank != 1:
        raise ValueError(
            f"labels {labels.dtype.name} {labels.shape} are no classes: measure them with models.regression"
        )
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    correct = tf.equal(tf.argmax(logits, axis=-1, output_type=labels.dtype), labels)
    return {"loss": losses, "accuracy": tf.cast(correct, logits.dtype)}


def regression(targets: tf.Tensor, predictions: tf.Tensor) -> dict[str, tf.Tensor]:
    """``loss``, the squared error of an example, [batch]: the mean over its targets.

    Args:
      targets: [batch, targets].
      predictions: [batch, targets].

    Raises:
      ValueError: there is not one prediction for each target; TensorFlow would repeat one for many.
    """
    if not targets.shape.is_compatible_with(predictions.shape) or targets.shape.rank != 2:
        raise ValueError(f"targets {targets.shape} and predictions {predictions.shape}: one for each target is needed")
    return {
        "loss": tf.reduce_mean(tf.math.squared_difference(tf.cast(targets, predictions.dtype), predictions), axis=1)
    }
