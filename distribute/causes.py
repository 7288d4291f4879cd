"""The mistakes that `verify` can name: for each identifier what is wrong, and what to write instead."""

from collections.abc import Mapping
from dataclasses import dataclass

from .package_name import LIBRARY


@dataclass(frozen=True)
class Cause:
    """One kind of mistake.

    Attributes:
      mistake: what is wrong, a sentence.
      remedy: what to do, one or two lines that name the code to write.
    """

    mistake: str
    remedy: str


@dataclass(frozen=True)
class Explanation:
    """One cause as it was found in a program.

    Attributes:
      cause: its identifier in `CAUSES`.
      evidence: the measured numbers that it rests on.
      variable: the variable or layer where it shows first; empty where there is no such one.
      location: ``file:line in function: code`` of the user's program; empty where it cannot be traced.
    """

    cause: str
    evidence: str
    variable: str = ""
    location: str = ""

    @property
    def mistake(self) -> str:
        """What is wrong."""
        return CAUSES[self.cause].mistake

    @property
    def remedy(self) -> str:
        """What to do."""
        return CAUSES[self.cause].remedy


CAUSES: Mapping[str, Cause] = {
    "loss_summed_over_replicas": Cause(
        "each replica takes the mean over its own shard, and the gradients of all replicas are then summed",
        "divide by the global batch: tf.nn.compute_average_loss(per_example, global_batch_size=B), or"
        f" {LIBRARY}.global_mean(per_example); in a compiled model let the loss function return one value per example,"
        f" and leave the mean to Keras; one over anything but the examples, such as the sum of their weights, to"
        f" {LIBRARY}.GlobalMean: weights as third element of the batch, reduction='mean_with_sample_weight'",
    ),
    "loss_divided_twice": Cause(
        "the loss is divided by the number of replicas once too often",
        "drop the division by num_replicas_in_sync: a keras.Loss divides by it already in replica context, and a sum"
        " over the shard divided by the global batch needs none; Keras divides what add_loss gets, too: give it the"
        " mean over the examples, self.add_loss(tf.reduce_mean(per_example))",
    ),
    "missing_all_reduce": Cause(
        "the gradients of the replicas are never combined, so each replica trains a model of its own",
        "apply them through optimizer.apply_gradients, or sum them first:"
        " tf.distribute.get_replica_context().all_reduce('SUM', gradients)",
    ),
    "double_all_reduce": Cause(
        "the step reduces the gradients by hand, and the optimizer reduces them again",
        "drop the all_reduce of the step: optimizer.apply_gradients sums over replicas itself",
    ),
    "clip_before_all_reduce": Cause(
        "each replica's own gradient is clipped before the sum over replicas, not the gradient that is applied",
        f"clip what is applied: {LIBRARY}.clip_after_all_reduce(optimizer) in place of clipnorm, global_clipnorm and"
        " clipvalue; in a custom step all_reduce first, then clip, and divide by N what the optimizer sums again",
    ),
    "uneven_batch_weighting": Cause(
        "replicas with fewer examples weigh as much as full ones",
        f"take the mean over the real global batch: {LIBRARY}.GlobalMean(loss) in compile(),"
        f" {LIBRARY}.global_mean(per_example) in a custom step; or batch(..., drop_remainder=True)",
    ),
    "empty_replica": Cause(
        "a replica without examples fails, or counts as much as the others",
        f"give each replica rows: {LIBRARY}.pad_last_batch(dataset, B) with {LIBRARY}.GlobalMean(loss); or"
        " batch(..., drop_remainder=True), with at least one row for each replica",
    ),
    "regularizer_per_replica": Cause(
        "the regularisation loss is added on every replica and then summed, so it counts N times",
        "divide it: loss += sum(model.losses) / tf.distribute.get_strategy().num_replicas_in_sync, or"
        " tf.nn.scale_regularization_loss(sum(model.losses))",
    ),
    "local_batch_statistics": Cause(
        "a layer takes statistics of each replica's shard instead of the global batch",
        "keras.layers.BatchNormalization(synchronized=True); or a layer without batch statistics, such as"
        " LayerNormalization; or accept it: accept=('local_batch_statistics', 'moving_statistics_not_aggregated')",
    ),
    "moving_statistics_not_aggregated": Cause(
        "each replica keeps moving statistics of its own, and those of the first one are saved",
        "keras.layers.BatchNormalization(synchronized=True), whose statistics are the same on all replicas; with local"
        f" batch statistics that you accept: {LIBRARY}.average_moving_statistics(model)",
    ),
    "sample_weight_mean_per_replica": Cause(
        "the weighted mean is divided by each replica's own sum of weights",
        f"divide by the sum over all replicas: {LIBRARY}.global_mean(per_example, weights) in a custom step,"
        f" {LIBRARY}.GlobalMean(loss) in compile()",
    ),
    "masked_mean_per_replica": Cause(
        "the mean is taken over each replica's own number of valid tokens",
        f"divide by the number of valid tokens of all replicas: {LIBRARY}.global_mean(per_token, mask) in a custom"
        f" step, {LIBRARY}.GlobalMean(loss) in compile()",
    ),
    "identical_randomness": Cause(
        "every replica draws the same random numbers for its examples, such as one dropout mask for all shards",
        f"{LIBRARY}.per_replica_randomness(model) after it is built; for random numbers of your own put the replica"
        " into the seed: seed=[step, tf.distribute.get_replica_context().replica_id_in_sync_group]",
    ),
    "replicated_input": Cause(
        "several replicas, or several workers, get the same examples",
        "shard the data set: dataset.shard(context.num_input_pipelines, context.input_pipeline_id) before shuffle"
        " and batch",
    ),
    "dropped_replica": Cause(
        "the gradient of one replica does not reach the sum",
        "use other cross_device_ops: HierarchicalCopyAllReduce loses a replica where their number is odd;"
        f" {LIBRARY}.make_strategy chooses right ones",
    ),
    "unsynchronized_variable": Cause(
        "a variable is written by each replica with a value of its own, and nothing combines them",
        "write what all replicas agree on: variable.assign(context.all_reduce('MEAN', value)); or create it with"
        " aggregation=tf.VariableAggregation.MEAN",
    ),
    "metric_aggregation": Cause(
        "what the replicas report is summed or averaged the wrong way; the training itself is right",
        "return sums and counts and divide after the reduction, or use a keras.metrics.Metric, which adds up over"
        " replicas",
    ),
    "learning_rate_scaling": Cause(
        "the learning rate depends on the number of replicas while the global batch does not",
        "drop the factor: with the same global batch N replicas make the same update as one device",
    ),
    "loss_scale_per_replica": Cause(
        "an overflow on one replica is not seen by the others: infinite gradients are applied",
        f"{LIBRARY}.AllReplicasLossScaleOptimizer(optimizer) in place of keras.mixed_precision.LossScaleOptimizer; in"
        " a custom step all_reduce the flag before it decides",
    ),
    "non_finite": Cause(
        "a value is NaN or infinite",
        "look at the first variable named above on that replica: a division by zero, a logarithm of zero, an overflow",
    ),
    "irreproducible_reference": Cause(
        "the single-device run does not repeat itself, so nothing can be held against it",
        "draw random numbers with TensorFlow or Keras, not with Python or NumPy inside the step, and keep no state"
        " outside of variables",
    ),
}
