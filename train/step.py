"""The recipe's training step: what one replica does with its shard of the global batch."""

from collections.abc import Callable

import keras
import tensorflow as tf

from configs.recipe import Recipe
from distribute import Program, global_mean
from train.finite import require_finite

Shard = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
Values = dict[str, tf.Tensor]


def build_program(recipe: Recipe, image_shape: tuple[int, int, int], num_classes: int) -> Program:
    """Builds model, optimizer and step of a recipe in Keras' current dtype; call it inside the strategy's scope.

    The step takes (images [rows, height, width, channels], labels [rows], weights [rows]) and returns the replica's
    part of the mean over the global batch of ``loss`` and ``accuracy``: the sum over replicas is the mean.
    """
    model = recipe.build_model(image_shape, num_classes)
    optimizer = recipe.build_optimizer(recipe.learning_rate)
    # Built here, because variables cannot be created inside a traced step, and a resumed run restores them first.
    optimizer.build(model.trainable_variables)
    return Program(
        train_step=_make_train_step(model, optimizer),
        model=model,
        optimizer=optimizer,
        evaluate_step=_make_evaluation_step(model),
    )


def _make_train_step(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable[[Shard], Values]:
    @tf.autograph.experimental.do_not_convert  # nothing here branches on a tensor, and converting it takes a second
    def train_step(shard: Shard) -> Values:
        with tf.GradientTape() as tape:
            values, weights = _per_example(model, shard, training=True)
            # The mean over the GLOBAL batch: a mean over each replica's rows would give the rows of a smaller shard a
            # greater weight.
            means = {name: global_mean(value, weights) for name, value in values.items()}
            # A regulariser depends on the weights alone and would be counted once per replica.
            loss = means["loss"] + sum(model.losses) / tf.distribute.get_strategy().num_replicas_in_sync
        gradients = tape.gradient(loss, model.trainable_variables)
        gradients = require_finite(loss, gradients, model.trainable_variables)
        # Sums the gradients over replicas, then updates each replica's copy alike.
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return {**means, "loss": loss}

    return train_step


def _make_evaluation_step(model: keras.Model) -> Callable[[Shard], Values]:
    """A step that returns this shard's sums of ``loss``, ``accuracy`` and ``examples``, and changes nothing."""

    @tf.autograph.experimental.do_not_convert  # as above
    def evaluation_step(shard: Shard) -> Values:
        values, weights = _per_example(model, shard, training=False)
        sums = {name: tf.reduce_sum(weights * value) for name, value in values.items()}
        return {**sums, "examples": tf.reduce_sum(weights)}

    return evaluation_step


def _per_example(model: keras.Model, shard: Shard, *, training: bool) -> tuple[Values, tf.Tensor]:
    """``loss`` and ``accuracy`` of each row [rows], and the rows' weights: 0 where one only fills an empty shard."""
    images, labels, weights = shard
    # In the dtype of the images: under mixed precision the model answers in half, too coarse for a loss and its mean.
    logits = tf.cast(model(images, training=training), images.dtype)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    correct = tf.equal(tf.argmax(logits, axis=-1, output_type=labels.dtype), labels)
    return {"loss": losses, "accuracy": tf.cast(correct, logits.dtype)}, tf.cast(weights, logits.dtype)


def image_dtype(recipe: Recipe) -> str:
    """What images are fed as: the dtype of the variables, which under mixed precision is float32."""
    return str(keras.dtype_policies.DTypePolicy(recipe.dtype_policy).variable_dtype)
