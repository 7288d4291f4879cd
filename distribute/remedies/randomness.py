"""Other random numbers on each replica."""

from typing import Any, TypeVar

import keras
import tensorflow as tf

from .class_swap import swap_class

Model = TypeVar("Model", bound=keras.Layer)

_APART = 1_000_003
"""Seeds of neighbouring replicas are this far apart: further than those that people choose for neighbouring layers."""


class PerReplica:
    """Draws other seeds on each replica."""

    def next(self, ordered: bool = True) -> Any:
        """The next seed [2]: (the seed given at first plus the replica's share, a counter)."""
        seed = super().next(ordered)  # type: ignore[misc]
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return seed
        return seed + tf.stack([_APART * tf.cast(context.replica_id_in_sync_group, seed.dtype), 0])


def per_replica_randomness(model: Model) -> Model:
    """Makes Dropout, GaussianNoise and all other layers of a model draw different numbers on each replica.

    Each layer draws from a `keras.random.SeedGenerator` (keras/src/random/seed_generator.py), whose state is the same
    on all replicas, so that every replica drops the same units: `identical_randomness`. Here the number of the replica
    goes into each seed. On one device, outside of replicas and on the first replica the draws are the stock ones. The
    generators' states stay the same on all replicas, and nothing more is saved than before: apply it again to a model
    that was loaded.

        model = per_replica_randomness(make_model())
        model.compile("adam", loss)

    Not reached: `keras.random` functions with ``seed=None`` or a number, and generators that no layer holds as an
    attribute, alone or in a list. Noise on weights (DropConnect) is one mask for the whole batch on one device: leave
    such a layer out, and give the function the other layers one by one.

    Args:
      model: a built model or layer; its generators are changed. Give it before the first step is traced.

    Returns:
      `model` itself.

    Raises:
      ValueError: the model has not been built, so that layers may be missing still.
    """
    if not model.built:
        raise ValueError(
            f"{model.name!r} has not been built: give it an Input, call build() or call it once, before; of a model"
            " without call() give its parts, one by one"
        )
    for layer in model._flatten_layers():
        for generator in layer._seed_generators:
            swap_class(generator, PerReplica)
    return model
