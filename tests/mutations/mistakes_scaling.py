"""Mistakes in the scale of the loss, in the reduction of gradients and in what the optimizer does with them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from .base_programs import (
    CUSTOM,
    DATA,
    EVEN_DATA,
    MLP,
    compiled,
    even,
    mean_over_all,
    mlp,
    num_replicas,
    rows,
    sgd,
    sum_over_replicas,
)
from .cases import Mutation, NotApplicable, strategy_of


def in_every_program(cause: str, mistake: str, data: dict[str, Any] = DATA, **part: Any) -> list[Mutation]:
    """The same line wrong in each of the programs with a step of their own."""
    return [
        Mutation(cause, name, mistake, replace(step, **part), even(data[name])) for name, step in CUSTOM.items()
    ]


# --- the scale of the loss


def mean_over_shard(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    return tf.reduce_sum(losses) / tf.reduce_sum(units)


def divided_by_hand(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    return mean_over_all(losses, units, model) / num_replicas()


def keras_loss_divided(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """A `keras.Loss` divides by N itself in a replica."""
    each = tf.reshape(losses, (-1, 1))
    return keras.losses.MeanAbsoluteError()(tf.zeros_like(each), each) / num_replicas()


def scalar_loss() -> Callable[[Any, Any], Any]:
    """A loss function that returns the mean: Keras scales only what it averages itself."""
    return lambda true, predicted: keras.ops.mean(keras.ops.square(true - predicted))


def scalar_log_cosh() -> Callable[[Any, Any], Any]:
    return lambda true, predicted: tf.reduce_mean(tf.math.log(tf.math.cosh(predicted - true)))


def loss_of_examples_divided() -> Callable[[Any, Any], Any]:
    return lambda true, predicted: keras.ops.mean(keras.ops.square(true - predicted), axis=-1) / num_replicas()


LOSS_SUMMED = [
    *in_every_program("loss_summed_over_replicas", "mean over the shard", EVEN_DATA, loss=mean_over_shard),
    Mutation(
        "loss_summed_over_replicas", "compiled", "scalar loss", compiled(loss=scalar_loss), even(rows)
    ),
    Mutation(
        "loss_summed_over_replicas", "compiled", "scalar log-cosh, Adam",
        compiled(optimizer=keras.optimizers.Adam, loss=scalar_log_cosh), even(rows),
    ),
]

LOSS_DIVIDED = [
    *in_every_program("loss_divided_twice", "divided by N on top", loss=divided_by_hand),
    Mutation(
        "loss_divided_twice", "mlp", "keras.Loss divided by N", replace(MLP, loss=keras_loss_divided), even(rows)
    ),
    Mutation(
        "loss_divided_twice", "compiled", "loss function divides", compiled(loss=loss_of_examples_divided), even(rows)
    ),
]


# --- the reduction of gradients


def own_update(optimizer: Any, gradients: Sequence[tf.Tensor], variables: Sequence[Any]) -> None:
    """Gradient descent by hand, without a reduction."""
    for gradient, variable in zip(gradients, variables, strict=True):
        variable.value.assign_sub(0.1 * tf.convert_to_tensor(gradient))


def update_step_only(optimizer: Any, gradients: Sequence[tf.Tensor], variables: Sequence[Any]) -> None:
    """The optimizer's arithmetic without `apply`, which is what reduces."""
    for gradient, variable in zip(gradients, variables, strict=True):
        local = tf.convert_to_tensor(gradient)
        variable.value.assign_sub(tf.cast(optimizer.learning_rate, local.dtype) * local)


def reduced_by_hand(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return [sum_over_replicas(tf.convert_to_tensor(gradient)) for gradient in gradients]


def reduced_at_once(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return sum_over_replicas([tf.convert_to_tensor(gradient) for gradient in gradients])


class ReducingModel(keras.Model):
    """Its own `train_step` for `fit`, with the all-reduce of a tutorial for TensorFlow 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers_in_order = [keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)]

    def call(self, inputs: Any) -> Any:
        for layer in self.layers_in_order:
            inputs = layer(inputs)
        return inputs

    def train_step(self, data: Any) -> Any:
        inputs, targets = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, targets, self(inputs))
        gradients = sum_over_replicas(tape.gradient(loss, self.trainable_variables))
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


MISSING_ALL_REDUCE = [
    *in_every_program("missing_all_reduce", "update by hand", update=own_update),
    Mutation(
        "missing_all_reduce", "mlp", "learning rate of the optimizer", replace(MLP, update=update_step_only), even(rows)
    ),
]

DOUBLE_ALL_REDUCE = [
    *in_every_program("double_all_reduce", "all_reduce, then apply_gradients", change=reduced_by_hand),
    Mutation("double_all_reduce", "mlp", "all at once", replace(MLP, change=reduced_at_once), even(rows)),
    Mutation("double_all_reduce", "compiled", "own train_step", compiled(ReducingModel, metrics=lambda: None), even(rows)),
]


# --- clipping


def clipped_globally(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return tf.clip_by_global_norm(gradients, 0.01)[0]


def clipped_each(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return [tf.clip_by_norm(gradient, 0.01) for gradient in gradients]


def clipped_values(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return [tf.clip_by_value(tf.convert_to_tensor(gradient), -0.01, 0.01) for gradient in gradients]


BY_KERAS = {"clipnorm": 0.01, "global_clipnorm": 0.02, "clipvalue": 0.005}
BY_HAND = {
    "clip_by_global_norm": clipped_globally,
    "clip_by_norm": clipped_each,
    "clip_by_value": clipped_values,
}


def clipping(option: str) -> Callable[[], keras.Optimizer]:
    return partial(keras.optimizers.SGD, 0.1, **{option: BY_KERAS[option]})


CLIP = [
    *(one for option in BY_KERAS for one in in_every_program("clip_before_all_reduce", option, optimizer=clipping(option))),
    *(one for name, clip in BY_HAND.items() for one in in_every_program("clip_before_all_reduce", name, change=clip)),
    *(
        Mutation("clip_before_all_reduce", "compiled", option, compiled(optimizer=clipping(option)), even(rows))
        for option in BY_KERAS
    ),
]


# --- what the optimizer does


def scaled_sgd() -> keras.Optimizer:
    return keras.optimizers.SGD(0.1 * num_replicas(), momentum=0.9)


def scaled_adam() -> keras.Optimizer:
    return keras.optimizers.Adam(0.001 * num_replicas())


def scaled_by_root() -> keras.Optimizer:
    return keras.optimizers.SGD(0.1 * num_replicas() ** 0.5)


def scaled_schedule() -> keras.Optimizer:
    return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1 * num_replicas(), 10, 0.5))


LEARNING_RATE = [
    *in_every_program("learning_rate_scaling", "SGD times N", optimizer=scaled_sgd),
    Mutation("learning_rate_scaling", "mlp", "Adam times N", replace(MLP, optimizer=scaled_adam), even(rows)),
    Mutation("learning_rate_scaling", "mlp", "root of N", replace(MLP, optimizer=scaled_by_root), even(rows)),
    Mutation("learning_rate_scaling", "compiled", "Adam times N", compiled(optimizer=scaled_adam), even(rows)),
    Mutation("learning_rate_scaling", "compiled", "schedule times N", compiled(optimizer=scaled_schedule), even(rows)),
]


# --- the collective itself


def hierarchical(replicas: int) -> tf.distribute.Strategy:
    """Halves the devices; where that leaves one over, its gradient is lost."""
    return strategy_of(replicas, tf.distribute.HierarchicalCopyAllReduce(num_packs=1))


DROPPED = [
    *(
        Mutation(
            "dropped_replica", name, "HierarchicalCopyAllReduce", step, even(DATA[name]), (3, 5), hierarchical
        )
        for name, step in CUSTOM.items()
    ),
    Mutation(
        "dropped_replica", "compiled", "HierarchicalCopyAllReduce", compiled(), even(rows), (3, 5), hierarchical
    ),
]

NOT_APPLICABLE = [
    NotApplicable("missing_all_reduce", "compiled", "the optimizer of a compiled model always reduces"),
    NotApplicable("dropped_replica", "even N", "HierarchicalCopyAllReduce loses a gradient at odd N only"),
]

MISTAKES = [
    *LOSS_SUMMED, *LOSS_DIVIDED, *MISSING_ALL_REDUCE, *DOUBLE_ALL_REDUCE, *CLIP, *LEARNING_RATE, *DROPPED,
]
