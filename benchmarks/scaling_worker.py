"""One process of `benchmarks.scaling_check`: the link to the others, a step for itself, a step with all of them."""

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from configs import digits
from distribute import split_device
from distribute.cluster_processes.worker import Worker
from distribute.memory_check.child_main import Channel
from distribute.worker_strategy import make_worker_strategy
from train.dataset_source import load_source
from train.from_flags import configure_keras
from train.loop import Means, TrainFunction, train
from train.verification import Subject

_SIZES = (2**10, 2**16, 2**18, 2**20, 2**22)  # bytes
_REPEATS = 15
_STEPS = 60
# All-reduces of single numbers that a step waits for before it sums its gradients, all at once: the sum of weights, and
# whether all is finite.
_BEFORE_GRADIENTS = 2


def measure(channel: Channel, index: int, num_processes: int, rows: int) -> None:
    """Finishes with the figures that `benchmarks.scaling_check` needs."""
    worker = Worker(channel, on_stop=lambda number: None)
    devices = split_device(1, kind="cpu")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = make_worker_strategy(devices, num_processes=num_processes, shares_device=True)
    worker.phase("measuring")
    latency_s, bandwidth = fit_link(strategy, num_processes)

    recipe = dataclasses.replace(digits.get_config(), global_batch_size=rows)
    configure_keras(recipe, deterministic=False)
    source = load_source(recipe.dataset, None)
    own = Subject("configs.digits", recipe, source)
    program = own.build()
    alone_s = step_seconds(TrainFunction(tf.distribute.get_strategy(), program), own)
    shared = Subject("configs.digits", dataclasses.replace(recipe, global_batch_size=rows * num_processes), source)
    with strategy.scope():
        shared_program = shared.build()
    step_s = step_seconds(TrainFunction(strategy, shared_program), shared)
    gradients = program.model.trainable_variables
    at_once = median_seconds(all_reduces_of(strategy, 4, len(gradients))) / median_seconds(all_reduces_of(strategy, 4))
    worker.finish(
        {
            "latency_s": latency_s,
            "bandwidth": bandwidth,
            "alone_s": alone_s,
            "step_s": step_s,
            "gradient_bytes": sum(variable.numpy().nbytes for variable in gradients),
            "all_reduces": len(gradients) + _BEFORE_GRADIENTS,
            "one_after_another": max(1.0, at_once) + _BEFORE_GRADIENTS,
        }
    )


def fit_link(strategy: tf.distribute.Strategy, ranks: int) -> tuple[float, float]:
    """Latency in seconds and bandwidth in bytes a second, by least squares over all-reduces of several sizes."""
    times = [median_seconds(all_reduces_of(strategy, size)) for size in _SIZES]
    slope, constant = np.polyfit(_SIZES, times, 1)
    return float(constant) / (2 * (ranks - 1)), 2 * (ranks - 1) / ranks / float(slope)


def all_reduces_of(strategy: tf.distribute.Strategy, num_bytes: int, count: int = 1) -> Callable[[], Any]:
    """A function that sums `count` tensors of so many bytes over all processes, all at once."""

    def replica() -> list[tf.Tensor]:
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.ones([num_bytes // 4])] * count)

    return tf.function(lambda: strategy.run(replica))


def median_seconds(function: Callable[[], Any]) -> float:
    """Of a call, after one that traces."""
    function()
    times = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def step_seconds(function: TrainFunction, subject: Subject) -> float:
    """Median of a step, its result waited for; steps of an epoch's last batch, which is smaller, are no median."""
    ends = []

    def after_call(step: int, means: Means) -> bool:
        means["loss"].numpy()
        ends.append(time.perf_counter())
        return False

    train(function, subject.batches().repeat(), first_step=0, num_steps=_STEPS, after_call=after_call)
    return statistics.median(after - before for before, after in itertools.pairwise(ends))
