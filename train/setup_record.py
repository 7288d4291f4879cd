"""What decides the result of a run, besides devices and versions: the ``setup`` entry of ``report.json``."""

from typing import Any

import tensorflow as tf
from absl import flags

from train.fingerprint import Fingerprint
from train.kernels import uses_onednn
from train.sharding import shard_sizes
from train.training import Schedule
from train.verification import Subject


def describe_setup(
    values: flags.FlagValues,
    subject: Subject,
    fingerprint: Fingerprint,
    schedule: Schedule,
    strategy: tf.distribute.Strategy,
) -> dict[str, Any]:
    """The fingerprint of the run, and under ``run`` what it leaves free."""
    recipe, source = subject.recipe, subject.source
    rest = source.num_train_examples % recipe.global_batch_size
    sizes = [recipe.global_batch_size, *([rest] if rest else [])]
    return {
        **fingerprint,
        "run": {
            "config": subject.config,
            "learning rate": recipe.learning_rate,
            "steps": schedule.num_steps,
            "first step": schedule.first_step,
            "deterministic": values.deterministic,
            "isolation": values.isolation,
            "collectives": collectives(strategy),
            "threads": threads(),
            "xla": values.xla,
            "oneDNN": uses_onednn(),
            "shards": {str(size): shard_sizes(size, strategy.num_replicas_in_sync) for size in sizes},
            "number of test examples": source.num_test_examples,
        },
    }


def threads() -> dict[str, int]:
    """Sizes of TensorFlow's thread pools, which decide how sums are rounded; 0 is TensorFlow's choice."""
    pools = tf.config.threading
    return {"intra_op": pools.get_intra_op_parallelism_threads(), "inter_op": pools.get_inter_op_parallelism_threads()}


def collectives(strategy: tf.distribute.Strategy) -> str:
    """What sums the gradients over the replicas."""
    if strategy.num_replicas_in_sync == 1:
        return "none: one replica"
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return "collective all-reduce over processes"
    chosen = getattr(strategy.extended, "_cross_device_ops", None)
    return type(chosen).__name__ if chosen else "TensorFlow's choice"
