"""Correct programs that differ in how they train: losses, optimizers, updates of their own, precision."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from distribute import AllReplicasLossScaleOptimizer, Program

from .base_programs import (
    CONV,
    Batch,
    CustomStep,
    Losses,
    compiled,
    half_precision,
    mean_over_all,
    mlp,
    num_replicas,
    squares,
    sum_over_replicas,
)
from .cases import Innocent
from .data import FEATURES, images, rows
from .innocent_models import batches, even_batches
from .mistakes_state import own_scalar

STEP = CustomStep(mlp, squares)


def shared_penalty(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """Each replica adds its N-th part."""
    return mean_over_all(losses, units, model) + sum(model.losses) / num_replicas()


def accumulated() -> Program:
    """Two micro-batches, one update."""
    model, optimizer = mlp(), keras.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)

    def train_step(batch: Batch) -> Mapping[str, tf.Tensor]:
        inputs, targets = batch
        middle = tf.shape(inputs)[0] // 2
        examples = sum_over_replicas(tf.cast(tf.shape(inputs)[0], model.compute_dtype))
        total, gradients = tf.zeros((), model.compute_dtype), None
        for part in ((inputs[:middle], targets[:middle]), (inputs[middle:], targets[middle:])):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(squares(model, part)[0]) / examples
            own = tape.gradient(loss, model.trainable_variables)
            gradients = own if gradients is None else [a + b for a, b in zip(gradients, own, strict=True)]
            total += loss
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return {"loss": total}

    return Program(train_step, model=model, optimizer=optimizer)


def contrastive(model: keras.Model, batch: Batch) -> Losses:
    """Every example against those of all replicas."""
    output = model(batch[0], training=True)
    everyone = tf.distribute.get_replica_context().all_gather(output, 0)
    losses = tf.reduce_logsumexp(output @ tf.transpose(everyone), -1) - tf.reduce_sum(tf.square(output), -1)
    return losses, tf.ones_like(losses)


def clipped_after_reduction(optimizer: Any, gradients: Sequence[tf.Tensor], variables: Sequence[Any]) -> None:
    """Reduced by hand, clipped, and handed over as an N-th part, since the optimizer sums."""
    total = sum_over_replicas([tf.convert_to_tensor(gradient) for gradient in gradients])
    clipped = [gradient / num_replicas() for gradient in tf.clip_by_global_norm(total, 0.05)[0]]
    optimizer.apply_gradients(zip(clipped, variables, strict=True))


def own_descent(optimizer: Any, gradients: Sequence[tf.Tensor], variables: Sequence[Any]) -> None:
    """Without Keras: every replica writes the same new values."""
    for gradient, variable in zip(sum_over_replicas(list(gradients)), variables, strict=True):
        variable.value.assign_sub(0.1 * gradient)


def module() -> Program:
    """A `tf.Module` with variables of TensorFlow's own."""
    holder = tf.Module()
    holder.weight = tf.Variable(tf.fill((FEATURES, 1), tf.cast(0.3, keras.config.floatx())), name="weight")
    holder.bias = tf.Variable(tf.zeros((1,), keras.config.floatx()), name="bias")

    def train_step(batch: Batch) -> Mapping[str, tf.Tensor]:
        inputs, targets = batch
        with tf.GradientTape() as tape:
            errors = tf.square(tf.tanh(inputs @ holder.weight + holder.bias) - targets)
            loss = tf.reduce_sum(errors) / sum_over_replicas(tf.cast(tf.shape(inputs)[0], errors.dtype))
        gradients = tape.gradient(loss, [holder.weight, holder.bias])
        for gradient, variable in zip(sum_over_replicas(gradients), (holder.weight, holder.bias), strict=True):
            variable.assign_sub(0.1 * gradient)
        return {"loss": loss}

    return Program(train_step, model=holder)


def half_squares(model: keras.Model, batch: Batch) -> Losses:
    predictions = tf.cast(model(batch[0], training=True), tf.float32)
    losses = tf.reduce_sum(tf.square(predictions - tf.cast(batch[1], tf.float32)), axis=-1)
    return losses, tf.ones_like(losses)


def scaled_by_all() -> Program:
    """Dynamic loss scaling in which all replicas decide together whether the gradients are finite."""
    model, optimizer = mlp(), keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    scale = tf.Variable(tf.cast(1024.0, keras.config.floatx()), trainable=False, name="loss_scale")

    def train_step(batch: Batch) -> Mapping[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = mean_over_all(*squares(model, batch), model)
            scaled = loss * tf.cast(scale, loss.dtype)
        gradients = tape.gradient(scaled, model.trainable_variables)
        wrong = [tf.reduce_sum(tf.cast(~tf.math.is_finite(gradient), scale.dtype)) for gradient in gradients]
        finite = sum_over_replicas(tf.add_n(wrong)) == 0
        factor = tf.where(finite, 1 / scale, tf.zeros_like(scale))
        kept = [tf.where(finite, g * tf.cast(factor, g.dtype), tf.zeros_like(g)) for g in gradients]
        optimizer.apply_gradients(zip(kept, model.trainable_variables, strict=True))
        scale.assign(tf.where(finite, scale, scale / 2))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer, variables=[scale])


def mean_loss_of_all(own: list[tf.Variable], losses: tf.Tensor, units: tf.Tensor) -> None:
    mean = sum_over_replicas(tf.reduce_sum(losses)) / sum_over_replicas(tf.reduce_sum(units))
    own[0].assign(0.9 * own[0] + 0.1 * tf.cast(mean, own[0].dtype))


def decayed() -> keras.Optimizer:
    return keras.optimizers.AdamW(0.01, weight_decay=0.02, use_ema=True, ema_momentum=0.9)


def accuracy() -> list[keras.Metric]:
    return [keras.metrics.SparseCategoricalAccuracy()]


def entropy() -> keras.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


INNOCENTS = [
    Innocent(
        "regularizers shared",
        replace(STEP, model=partial(mlp, regularizer=keras.regularizers.L2(0.05)), loss=shared_penalty),
        batches(rows),
    ),
    Innocent("gradient accumulation", accumulated, batches(rows), options={"steps": 2}),
    Innocent(
        "contrastive, all_gather",
        replace(STEP, model=lambda: mlp(keras.layers.Dense(3)), losses=contrastive),
        batches(rows),
    ),
    Innocent("clipped after all-reduce", replace(STEP, update=clipped_after_reduction), batches(rows)),
    Innocent("own update, Keras model", replace(STEP, update=own_descent), batches(rows), options={"steps": 2}),
    Innocent("own update, tf.Module", module, batches(rows), options={"steps": 2}),
    Innocent("EMA, weight decay", replace(STEP, optimizer=decayed), batches(rows), options={"steps": 3}),
    Innocent("mixed precision", CustomStep(half_precision, half_squares), batches(rows)),
    Innocent("loss scaling, decided by all", scaled_by_all, batches(rows), options={"steps": 2}),
    Innocent(
        "fit, loss scaling of all replicas",
        compiled(optimizer=lambda: AllReplicasLossScaleOptimizer(keras.optimizers.SGD(0.1))),
        even_batches(rows),
        options={"steps": 2},
    ),
    Innocent("own variable, reduced", replace(CONV, variables=own_scalar, remember=mean_loss_of_all), batches(images)),
    Innocent("fit, EMA, weight decay", compiled(optimizer=decayed), even_batches(rows), options={"steps": 2}),
    Innocent("fit, classifier", compiled(CONV.model, keras.optimizers.Adam, entropy, accuracy), even_batches(images)),
]
