"""One process of `benchmarks.evidence.throughput`: N replicas, every batch, precision and XLA choice in turn.

Images are random, 28 x 28, and wait in the host's memory: what is timed is copies to the devices and steps.
"""

import argparse
import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from configs import digits
from distribute import make_strategy, split_device
from distribute.threads import set_thread_pools
from train.from_flags import configure_keras
from train.loop import TrainFunction, train
from train.step import build_program

_SHAPE = (28, 28, 1)
_WARM_STEPS = 40
_STEPS = 100
_STEPS_PER_CALL = 20


def main() -> None:
    """Appends one line of JSON for each setting to ``--out``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="gpu")
    parser.add_argument("--replicas", type=int, required=True)
    parser.add_argument("--batches", default="256,4096")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    devices = split_device(options.replicas, kind=options.device)
    set_thread_pools(devices)
    strategy = make_strategy(devices)
    for xla in (False, True):
        tf.config.optimizer.set_jit("autoclustering" if xla else False)
        for dtype_policy in ("float32", "mixed_bfloat16"):
            for batch in map(int, options.batches.split(",")):
                setting = f"batch {batch}, {dtype_policy}{', XLA' * xla}"
                figure = {"setting": setting, **_time(strategy, batch, dtype_policy)}
                with options.out.open("a") as file:
                    file.write(json.dumps(figure) + "\n")


def _time(strategy: tf.distribute.Strategy, batch: int, dtype_policy: str) -> dict[str, Any]:
    recipe = dataclasses.replace(digits.get_config(), global_batch_size=batch, dtype_policy=dtype_policy)
    configure_keras(recipe, deterministic=False)
    images = tf.random.stateless_uniform([batch, *_SHAPE], seed=(0, 1))
    labels = tf.random.stateless_uniform([batch], seed=(0, 2), maxval=10, dtype=tf.int64)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat().prefetch(2)
    with strategy.scope():
        function = TrainFunction(strategy, build_program(recipe, _SHAPE, 10))
    times = []

    def after_call(step: int, means: Any) -> bool:
        means["loss"].numpy()
        if step in (1, _WARM_STEPS, _WARM_STEPS + _STEPS):
            times.append(time.perf_counter())
        return False

    begin = time.perf_counter()
    train(
        function,
        batches,
        first_step=0,
        num_steps=_WARM_STEPS + _STEPS,
        after_call=after_call,
        steps_per_call=_STEPS_PER_CALL,
        next_stop=lambda step: 1 if step == 0 else _WARM_STEPS if step < _WARM_STEPS else _WARM_STEPS + _STEPS,
    )
    seconds = times[2] - times[1]
    return {"images_per_second": batch * _STEPS / seconds, "first_step_s": times[0] - begin, "seconds": seconds}


if __name__ == "__main__":
    main()
