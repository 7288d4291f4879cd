"""The correct programs that mistakes are planted in: four with a training step of their own, one compiled.

Each is a `CustomStep`, whose parts are the lines in which mistakes are made: a mutation replaces exactly one of them.
All are tiny: what is tested is the arithmetic of replicas, and that does not depend on size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from distribute import Program

from .cases import Row
from .data import CLASSES, FEATURES, TOKENS, even, images, rows, sentences, sentences_alike

Batch = tuple[tf.Tensor, ...]
Losses = tuple[tf.Tensor, tf.Tensor]
"""The loss of each unit (example, token, pixel), and what each unit counts in the mean."""


def num_replicas() -> int:
    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_id() -> tf.Tensor:
    context = tf.distribute.get_replica_context()  # None while Keras builds a layer symbolically
    return tf.cast(context.replica_id_in_sync_group if context else 0, tf.int32)


def sum_over_replicas(value: Any) -> Any:
    return tf.distribute.get_replica_context().all_reduce("SUM", value)


def mean_over_all(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """This replica's part of the mean over the global batch."""
    return tf.reduce_sum(losses) / sum_over_replicas(tf.reduce_sum(units))


def sgd() -> keras.Optimizer:
    return keras.optimizers.SGD(0.1, momentum=0.9)


def unchanged(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return gradients


def apply_gradients(optimizer: Any, gradients: Sequence[tf.Tensor], variables: Sequence[Any]) -> None:
    """Keras' own, which sums over replicas."""
    optimizer.apply_gradients(zip(gradients, variables, strict=True))


def nothing(*args: Any) -> Mapping[str, tf.Tensor]:
    return {}


@dataclass(frozen=True)
class CustomStep:
    """A training step in parts; calling it builds the `Program`, so it is what `verify` takes as `build`.

    Attributes:
      model: makes the model.
      losses: (model, batch) -> the loss of each unit, and its weight in the mean.
      loss: (losses, units, model) -> what this replica differentiates.
      optimizer: makes the optimizer.
      change: what is done to the local gradients.
      update: (optimizer, gradients, variables) -> the step of the optimizer.
      outputs: (losses, units) -> what is returned besides the loss.
      variables: makes variables of the step's own.
      remember: (those variables, losses, units) -> writes them.
    """

    model: Callable[[], keras.Model]
    losses: Callable[[keras.Model, Batch], Losses]
    loss: Callable[[tf.Tensor, tf.Tensor, keras.Model], tf.Tensor] = mean_over_all
    optimizer: Callable[[], keras.Optimizer] = sgd
    change: Callable[[Sequence[tf.Tensor]], Sequence[tf.Tensor]] = unchanged
    update: Callable[[Any, Sequence[tf.Tensor], Sequence[Any]], None] = apply_gradients
    outputs: Callable[[tf.Tensor, tf.Tensor], Mapping[str, tf.Tensor]] = nothing
    variables: Callable[[], list[tf.Variable]] = list
    remember: Callable[[list[tf.Variable], tf.Tensor, tf.Tensor], Any] = nothing

    def __call__(self) -> Program:
        model, optimizer, own = self.model(), self.optimizer(), self.variables()
        optimizer.build(model.trainable_variables)

        def train_step(batch: Batch) -> Mapping[str, tf.Tensor]:
            with tf.GradientTape() as tape:
                losses, units = self.losses(model, batch)
                loss = self.loss(losses, units, model)
                scaled = optimizer.scale_loss(loss)  # the loss itself, unless the optimizer scales losses
            gradients = tape.gradient(scaled, model.trainable_variables)
            self.update(optimizer, self.change(gradients), model.trainable_variables)
            self.remember(own, losses, units)
            return {"loss": loss, **self.outputs(losses, units)}

        return Program(train_step, model=model, optimizer=optimizer, variables=own)


class ReplicaDropout(keras.layers.Layer):
    """Dropout whose mask depends on the replica: what Keras' own layer lacks."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        return tf.nn.experimental.stateless_dropout(inputs, 0.25, seed=tf.stack([7, replica_id()]))


def synchronized() -> keras.Layer:
    return keras.layers.BatchNormalization(synchronized=True)


def conv_net(*extra: keras.Layer, regularizer: Any = None) -> keras.Model:
    convolution = keras.layers.Conv2D(3, 3, activation="tanh", kernel_regularizer=regularizer)
    return keras.Sequential(
        [keras.Input((6, 6, 1)), convolution, *extra, keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
    )


def mlp(*extra: keras.Layer, regularizer: Any = None) -> keras.Model:
    hidden = keras.layers.Dense(4, activation="tanh", kernel_regularizer=regularizer)
    return keras.Sequential([keras.Input((FEATURES,)), hidden, *extra, keras.layers.Dense(1)])


def tagger(*extra: keras.Layer, regularizer: Any = None) -> keras.Model:
    """A tag for each token; 0 pads."""
    embedding = keras.layers.Embedding(11, 4, mask_zero=True)
    hidden = keras.layers.Dense(4, activation="tanh", kernel_regularizer=regularizer)
    return keras.Sequential(
        [keras.Input((TOKENS,), dtype="int32"), embedding, hidden, *extra, keras.layers.Dense(CLASSES)]
    )


def half_precision() -> keras.Model:
    """Layers that compute in float16 whatever the global policy is."""
    policy = "mixed_float16"
    hidden = keras.layers.Dense(4, activation="tanh", dtype=policy)
    return keras.Sequential([keras.Input((FEATURES,)), hidden, keras.layers.Dense(1, dtype="float32")])


def entropies(model: keras.Model, batch: Batch) -> Losses:
    images, labels = batch
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images, training=True))
    return losses, tf.ones_like(losses)


def squares(model: keras.Model, batch: Batch) -> Losses:
    inputs, targets = batch
    predictions = model(inputs, training=True)
    losses = tf.reduce_sum(tf.square(predictions - tf.cast(targets, predictions.dtype)), axis=-1)
    return losses, tf.ones_like(losses)


def token_entropies(model: keras.Model, batch: Batch) -> Losses:
    tokens, tags = batch
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tags, model(tokens, training=True))
    valid = tf.cast(tokens != 0, losses.dtype)
    return losses * valid, valid


CONV = CustomStep(conv_net, entropies)
MLP = CustomStep(lambda: mlp(ReplicaDropout()), squares)
NORMALIZED = CustomStep(lambda: mlp(synchronized()), squares)
EMBEDDING = CustomStep(tagger, token_entropies)

CUSTOM = {"conv": CONV, "mlp": MLP, "batch_norm": NORMALIZED, "embedding": EMBEDDING}
EVEN_DATA = {"conv": images, "mlp": rows, "batch_norm": rows, "embedding": sentences_alike}
"""Of these every shard of an even batch has as many units."""

DATA = {**EVEN_DATA, "embedding": sentences}
PROGRAMS = (*CUSTOM, "compiled")


def compiled(
    model: Callable[[], keras.Model] = mlp,
    optimizer: Callable[[], keras.Optimizer] = sgd,
    loss: Callable[[], Any] = keras.losses.MeanSquaredError,
    metrics: Callable[[], Sequence[Any] | None] = lambda: [keras.metrics.MeanAbsoluteError()],
) -> Callable[[], keras.Model]:
    """A `build` that returns a compiled model; each part is made afresh, as in a script."""

    def build() -> keras.Model:
        made = model()
        made.compile(optimizer(), loss(), metrics=metrics())
        return made

    return build


def in_every_program(
    mistake: str, make: Mapping[str, Any] = DATA, batches: Callable[[Any], Any] = even, **part: Any
) -> list[Row]:
    """The same line wrong in each of the programs with a step of their own."""
    return [(name, mistake, replace(step, **part), batches(make[name])) for name, step in CUSTOM.items()]
