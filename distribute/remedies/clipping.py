"""Clips the gradient of the global batch, as one device does, instead of each replica's own."""

from typing import Any, TypeVar

import keras

from .class_swap import subclass, swap_class

Optimizer = TypeVar("Optimizer", bound=keras.optimizers.Optimizer)


class ClipAfterAllReduce:
    """Moves an optimizer's clipping behind the sum over replicas."""

    def _clip_gradients(self, grads: Any) -> Any:
        return grads  # where Keras clips, they are one replica's own

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        reduced = super()._all_reduce_sum_gradients(grads_and_vars)  # type: ignore[misc]
        clipped = super()._clip_gradients([gradient for gradient, _ in reduced])  # type: ignore[misc]
        return [(gradient, variable) for gradient, (_, variable) in zip(clipped, reduced, strict=True)]


def clip_after_all_reduce(optimizer: Optimizer) -> Optimizer:
    """Makes an optimizer's `clipvalue`, `clipnorm` or `global_clipnorm` clip the sum over replicas.

    Keras 3 clips in `BaseOptimizer._backend_apply_gradients` (keras/src/optimizers/base_optimizer.py), before
    `TFOptimizer._all_reduce_sum_gradients`: each replica's own gradient is clipped, and the sum of what is left is
    not the clipped gradient of the global batch: `clip_before_all_reduce` (tensorflow#33929).

        model.compile(clip_after_all_reduce(keras.optimizers.Adam(1e-3, global_clipnorm=1.0)), loss)

    Weight decay, moving averages of the weights and loss scaling stay as they are. A model compiled with it is loaded
    again where `distribute` was imported; a class of optimizer of your own must have been given to this function
    before.

    Args:
      optimizer: any Keras optimizer with one of the three arguments, or one that wraps such (`LossScaleOptimizer`,
        `MultiOptimizer`), for a compiled model or a step of your own. It is changed; give it before the first step.

    Returns:
      `optimizer` itself.

    Raises:
      ValueError: there is nothing to clip.
    """
    wrapped = _wrapped(optimizer)
    clipping = [one for one in wrapped if one.clipvalue or one.clipnorm or one.global_clipnorm]
    if not clipping:
        raise ValueError(
            f"{type(optimizer).__name__} clips nothing: give it clipvalue, clipnorm or global_clipnorm, or leave it out"
        )
    for one in clipping:
        _registered(type(one))
        swap_class(one, ClipAfterAllReduce)
    return optimizer


def _wrapped(optimizer: Any) -> list[Any]:
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        return _wrapped(inner)
    return list(optimizer.optimizers) if isinstance(optimizer, keras.optimizers.MultiOptimizer) else [optimizer]


def _registered(cls: type) -> None:
    """Makes Keras know the changed class by name, so that it loads what it has saved."""
    if not issubclass(cls, ClipAfterAllReduce):
        keras.saving.register_keras_serializable(package="distribute")(subclass(cls, ClipAfterAllReduce))


# Keras' own are known ahead of any call, for a process that only loads.
for _name in (
    *("Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "AdamW", "Ftrl", "Lamb", "Lion", "Muon", "Nadam"),
    *("RMSprop", "ScheduleFreeAdamW", "SGD"),
):
    _registered(getattr(keras.optimizers, _name))
