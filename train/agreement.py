"""What the processes of one run must decide alike: when to stop, and when to save.

A signal reaches one process, and clocks differ: were each to decide alone, the others would wait for it in the next
all-reduce.
"""

from collections.abc import Callable

import tensorflow as tf

from distribute.worker_strategy import num_processes_of

Decide = Callable[[int, bool], tuple[int, bool]]
"""Takes a signal number (0 for none) and whether a checkpoint is due; returns those that hold for all processes."""


def make_agreement(strategy: tf.distribute.Strategy) -> Decide:
    """A function that all processes of `strategy` call after each step; one process alone just decides.

    Any process can stop all; when to save is the first one's decision.
    """
    if num_processes_of(strategy) == 1:
        return lambda signal_number, save_due: (signal_number, save_due)

    @tf.function
    def tell_all(wish: tf.Tensor) -> tf.Tensor:
        def table() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            # One row per replica, zero but for the own one, so that the sum keeps who wished what.
            own_row = tf.one_hot(replica.replica_id_in_sync_group, replica.num_replicas_in_sync)
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, own_row[:, None] * wish[None, :])

        return strategy.experimental_local_results(strategy.run(table))[0]

    def decide(signal_number: int, save_due: bool) -> tuple[int, bool]:
        wishes = tell_all(tf.constant([signal_number, save_due], tf.float32)).numpy()
        return int(wishes[:, 0].max()), bool(wishes[0, 1])

    return decide
