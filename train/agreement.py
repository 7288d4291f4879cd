"""What the processes of one run must decide alike, and must have alike: when to stop and to save, and what is trained.

A signal reaches one process, and clocks differ: were each to decide alone, the others would wait for it in the next
all-reduce. Files differ too, and nobody would notice that one machine trains on other data than the rest.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from distribute.worker_strategy import num_processes_of
from train.errors import MachineError

Decide = Callable[[int, bool], tuple[int, bool]]
"""Takes a signal number (0 for none) and whether a checkpoint is due; returns those that hold for all processes."""


def make_agreement(strategy: tf.distribute.Strategy) -> Decide:
    """A function that all processes of `strategy` call after each step; one process alone just decides.

    Any process can stop all; when to save is the first one's decision.
    """
    if num_processes_of(strategy) == 1:
        return lambda signal_number, save_due: (signal_number, save_due)
    tell_all = _make_table(strategy)

    def decide(signal_number: int, save_due: bool) -> tuple[int, bool]:
        wishes = tell_all([signal_number, save_due])
        return int(wishes[:, 0].max()), bool(wishes[0, 1])

    return decide


def require_alike(strategy: tf.distribute.Strategy, digests: Mapping[str, int]) -> None:
    """Refuses to go on where the processes of `strategy`, which all call it, have not the same.

    Args:
      strategy: the one that they share.
      digests: of each thing that has to be the same a number below 2**53, which a float64 holds.

    Raises:
      MachineError: a process has something else than the first one; all of them raise it.
    """
    table = _make_table(strategy)(list(digests.values()))
    num_replicas = len(table) // num_processes_of(strategy)
    by_process = table[::num_replicas]
    differing = [
        f"process {index} has another {' and '.join(np.array(list(digests))[row != by_process[0]])} than process 0"
        for index, row in enumerate(by_process)
        if any(row != by_process[0])
    ]
    if differing:
        raise MachineError(
            f"{'; '.join(differing)}: start all with the same command, files and versions, on the same data"
        )


def _make_table(strategy: tf.distribute.Strategy) -> Callable[[Sequence[float]], np.ndarray]:
    """A function that gives each process what all of them have called it with: [replicas, numbers]."""

    @tf.function
    def tell_all(numbers: tf.Tensor) -> tf.Tensor:
        def table() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            # One row per replica, zero but for the own one, so that the sum keeps who said what.
            own_row = tf.one_hot(replica.replica_id_in_sync_group, replica.num_replicas_in_sync, dtype=numbers.dtype)
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, own_row[:, None] * numbers[None, :])

        return strategy.experimental_local_results(strategy.run(table))[0]

    return lambda numbers: tell_all(tf.constant(numbers, tf.float64)).numpy()
