"""Stops a training step before its update when a loss or a gradient is NaN or infinite, and says where it was."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from train.errors import NonFiniteError

_MARK = "non-finite"


def require_finite(loss: tf.Tensor, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
    """Gradients that can be read only when loss and gradients are finite on ALL replicas; call in replica context.

    All replicas decide alike: were each to look at its own values alone, the others would apply an update and wait in
    the all-reduce for a replica that has stopped.

    Args:
      loss: scalar.
      gradients: one for each of `variables`: a tensor, `tf.IndexedSlices`, or None for a variable that has none.
      variables: the variables, for the message.

    Returns:
      `gradients`, unchanged in value. The step that reads them fails with InvalidArgumentError where one is not
      finite; `non_finite_places` reads that error.
    """
    named = [("loss", loss)]
    named += [(_name(variable), g) for g, variable in zip(gradients, variables, strict=True) if g is not None]
    places = _non_finite_places([value for _, value in named])
    with tf.device("CPU:0"):  # strings live on the host only
        names = tf.gather([name for name, _ in named], places[:, 1])
        replicas = tf.strings.as_string(places[:, 0])
        text = tf.strings.reduce_join(tf.strings.join([names, replicas], " on replica "), separator=", ")
        check = tf.debugging.Assert(tf.equal(tf.size(places), 0), [_MARK, text])
    with tf.control_dependencies([check] if check is not None else []):  # eagerly, Assert raises and returns None
        # Not `tf.identity`: when TensorFlow traces the all-reduce of gradients it looks for variables behind them, on
        # every replica through the graphs of all. It stops where no gradient flows.
        return [gradient if gradient is None else _stop_gradient(gradient) for gradient in gradients]


def require_finite_variables(values: Iterable[tuple[str, Any]], step: int) -> None:
    """Refuses weights that an update has ruined although its gradients were finite, as a huge learning rate does.

    Args:
      values: names and values of variables; of whatever is no floating point number nothing is asked.
      step: the step after which they are about to be saved.

    Raises:
      NonFiniteError: a value is NaN or infinite.
    """
    for name, value in values:
        if tf.as_dtype(value.dtype).is_floating and not np.all(np.isfinite(np.asarray(value, np.float64))):
            raise NonFiniteError(
                f"step {step}: NaN or Inf in {name} after the update; nothing was saved since "
                "(try a smaller --learning_rate)"
            )


def non_finite_places(error: tf.errors.InvalidArgumentError) -> str | None:
    """Which values were not finite on which replicas, when `error` comes from `require_finite`; else None."""
    match = re.search(rf"\[{_MARK}\] \[(.*?)\]", error.message)
    return match[1] if match else None


def _non_finite_places(values: Sequence[Any]) -> tf.Tensor:
    """Pairs (replica, index into `values`) [places, 2] of values that are not finite, over all replicas."""
    replica = tf.distribute.get_replica_context()
    bad = tf.stack([tf.logical_not(_is_finite(value)) for value in values])
    # One row per replica, zero but for the own one, so that the sum keeps who had what.
    own_row = tf.one_hot(replica.replica_id_in_sync_group, replica.num_replicas_in_sync)
    table = replica.all_reduce(tf.distribute.ReduceOp.SUM, own_row[:, None] * tf.cast(bad, tf.float32)[None, :])
    return tf.where(table > 0)


def _stop_gradient(value: Any) -> Any:
    return tf.nest.map_structure(tf.stop_gradient, value, expand_composites=True)  # `tf.IndexedSlices` stay sparse


def _is_finite(value: Any) -> tf.Tensor:
    dense = value.values if isinstance(value, tf.IndexedSlices) else value
    return tf.reduce_all(tf.math.is_finite(dense))


def _name(variable: Any) -> str:
    return getattr(variable, "path", variable.name.removesuffix(":0"))
