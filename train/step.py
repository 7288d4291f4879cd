"""The recipe's training step: what one replica does with its shard of the global batch."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from configs.recipe import Recipe
from distribute import Program, global_mean
from train.finite import require_finite

Shard = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
Values = dict[str, tf.Tensor]
Measure = Callable[[tf.Tensor, tf.Tensor], Mapping[str, tf.Tensor]]


def build_program(recipe: Recipe, input_shape: tuple[int, ...], num_outputs: int) -> Program:
    """Builds model, optimizer and step of a recipe in Keras' current dtype; call it inside the strategy's scope.

    The step takes (inputs [rows, ...], labels [rows, ...], weights [rows]) and returns the replica's part of the mean
    over the global batch of what the recipe measures, ``loss`` among it: the sum over replicas is the mean.
    """
    model = recipe.build_model(input_shape, num_outputs)
    optimizer = recipe.build_optimizer(recipe.learning_rate)
    # Built here, because variables cannot be created inside a traced step, and a resumed run restores them first.
    optimizer.build(model.trainable_variables)
    return Program(
        train_step=_make_train_step(model, optimizer, recipe.measure),
        model=model,
        optimizer=optimizer,
        evaluate_step=_make_evaluation_step(model, recipe.measure),
    )


def _make_train_step(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, measure: Measure
) -> Callable[[Shard], Values]:
    @tf.autograph.experimental.do_not_convert  # nothing here branches on a tensor, and converting it takes a second
    def train_step(shard: Shard) -> Values:
        with tf.GradientTape() as tape:
            values, weights = _per_example(model, measure, shard, training=True)
            # The mean over the GLOBAL batch: a mean over each replica's rows would give the rows of a smaller shard a
            # greater weight.
            means = {name: global_mean(value, weights) for name, value in values.items()}
            # A regulariser depends on the weights alone and would be counted once per replica.
            loss = means["loss"] + sum(model.losses) / tf.distribute.get_strategy().num_replicas_in_sync
        gradients = [_dense(gradient) for gradient in tape.gradient(loss, model.trainable_variables)]
        gradients = require_finite(loss, gradients, model.trainable_variables)
        # Sums the gradients over replicas, then updates each replica's copy alike.
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return {**means, "loss": loss}

    return train_step


def _dense(gradient: Any) -> Any:
    """One value for each weight, where an embedding's gradient holds a row for each lookup, most of them several times.

    Keras' optimizers with a memory, Adam among them, square each of several rows for one word and not their sum, so
    that an update would depend on how replicas share the batch: 0.44 of it (relative L2) in the first step of
    ``configs/text_classifier.py`` on two. A dense gradient is as large as the embedding.
    """
    return tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient


def _make_evaluation_step(model: keras.Model, measure: Measure) -> Callable[[Shard], Values]:
    """A step that returns this shard's sums of what is measured, and of ``examples``, and changes nothing."""

    @tf.autograph.experimental.do_not_convert  # as above
    def evaluation_step(shard: Shard) -> Values:
        values, weights = _per_example(model, measure, shard, training=False)
        sums = {name: tf.reduce_sum(weights * value) for name, value in values.items()}
        return {**sums, "examples": tf.reduce_sum(weights)}

    return evaluation_step


def _per_example(
    model: keras.Model, measure: Measure, shard: Shard, *, training: bool
) -> tuple[Mapping[str, tf.Tensor], tf.Tensor]:
    """What is measured of each row [rows], and the rows' weights: 0 where one only fills an empty shard."""
    inputs, labels, weights = shard
    # In the dtype of the weights: under mixed precision the model answers in half, too coarse for a loss and its mean.
    outputs = tf.cast(model(inputs, training=training), model.variable_dtype)
    return measure(labels, outputs), tf.cast(weights, outputs.dtype)


def input_dtype(recipe: Recipe) -> str:
    """What images and numbers are fed as: the dtype of the variables, which under mixed precision is float32."""
    return str(keras.dtype_policies.DTypePolicy(recipe.dtype_policy).variable_dtype)
