"""Loss scaling that heeds an overflow on any replica."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="distribute")
class AllReplicasLossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """`keras.optimizers.LossScaleOptimizer` that skips a step, and halves the scale, when ANY replica overflows.

    Keras takes the first replica's word (`LossScaleOptimizer._tf_apply` in
    keras/src/optimizers/loss_scale_optimizer.py: "Each replica computed the same `finite` value, since `grads` is
    all-reduced", which in Keras 3 happens later): an overflow on another replica is applied, the weights become
    infinite and the scale stays: `loss_scale_per_replica`. Under ``mixed_float16`` `compile` wraps an optimizer in
    Keras' own; give it this one instead:

        model.compile(AllReplicasLossScaleOptimizer(keras.optimizers.Adam(1e-3)), loss)

    Arguments, variables and behaviour on one device are those of the stock class.
    """

    def check_finite(self, grads: Any) -> Any:
        """Whether the gradients are finite on all replicas."""
        num_overflows = tf.cast(tf.logical_not(super().check_finite(grads)), tf.float32)
        context = tf.distribute.get_replica_context()
        if context is not None:
            num_overflows = context.all_reduce(tf.distribute.ReduceOp.SUM, num_overflows)
        return tf.equal(num_overflows, 0)
