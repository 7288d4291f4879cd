"""Mistakes in the reduction of gradients: left out, done twice, too late, or lossy."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from .base_programs import CONV, MLP, compiled, in_every_program, num_replicas, sum_over_replicas
from .cases import planted, strategy_of
from .data import even, images, rows

# --- all-reduce


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


MISSING_ALL_REDUCE = planted(
    "missing_all_reduce",
    *in_every_program("update by hand", update=own_update),
    ("mlp", "learning rate of the optimizer", replace(MLP, update=update_step_only), even(rows)),
)

DOUBLE_ALL_REDUCE = planted(
    "double_all_reduce",
    *in_every_program("all_reduce, then apply_gradients", change=reduced_by_hand),
    ("mlp", "all at once", replace(MLP, change=reduced_at_once), even(rows)),
    ("compiled", "own train_step", compiled(ReducingModel, metrics=lambda: None), even(rows)),
)


# --- clipping


def clipped_globally(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return tf.clip_by_global_norm(gradients, 0.1)[0]


def clipped_each(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return [tf.clip_by_norm(gradient, 0.1) for gradient in gradients]


def clipped_values(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return [tf.clip_by_value(tf.convert_to_tensor(gradient), -0.05, 0.05) for gradient in gradients]


BY_KERAS = {"clipnorm": 0.05, "global_clipnorm": 0.05, "clipvalue": 0.02}
BY_HAND = {"clip_by_global_norm": clipped_globally, "clip_by_norm": clipped_each, "clip_by_value": clipped_values}


def clipping(option: str) -> Callable[[], keras.Optimizer]:
    return partial(keras.optimizers.SGD, 0.1, **{option: BY_KERAS[option]})


CLIP = planted(
    "clip_before_all_reduce",
    *(one for option in BY_KERAS for one in in_every_program(option, optimizer=clipping(option))),
    *(one for name, clip in BY_HAND.items() for one in in_every_program(name, change=clip)),
    *(("compiled", option, compiled(optimizer=clipping(option)), even(rows)) for option in BY_KERAS),
)


# --- the collective itself


def hierarchical(replicas: int) -> tf.distribute.Strategy:
    """Halves the devices; where that leaves one over, its gradient is lost."""
    return strategy_of(replicas, tf.distribute.HierarchicalCopyAllReduce(num_packs=1))


DROPPED = planted(
    "dropped_replica",
    *in_every_program("HierarchicalCopyAllReduce"),
    ("compiled", "HierarchicalCopyAllReduce", compiled(), even(rows)),
    replicas=(3, 5),
    strategy=hierarchical,
)


def all_but_the_last(optimizer: Any, gradients: Sequence[tf.Tensor], variables: Sequence[Any]) -> None:
    """A reduction by hand that is off by one."""
    context = tf.distribute.get_replica_context()
    for gradient, variable in zip(gradients, variables, strict=True):
        everyone = context.all_gather(tf.convert_to_tensor(gradient)[tf.newaxis], 0)
        variable.value.assign_sub(0.1 * tf.reduce_sum(everyone[: max(num_replicas() - 1, 1)], 0))


DROPPED += planted(
    "dropped_replica",
    ("conv", "reduction by hand", replace(CONV, update=all_but_the_last), even(images)),
    ("mlp", "reduction by hand", replace(MLP, update=all_but_the_last), even(rows)),
)

MISTAKES = [*MISSING_ALL_REDUCE, *DOUBLE_ALL_REDUCE, *CLIP, *DROPPED]
