"""Trains a recipe under one memory policy, in a process of its own, and samples memory meanwhile."""

import dataclasses
import gc
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from distribute import Devices, MemoryRecord, make_strategy, split_device, track_memory
from distribute.memory_check.child_main import Channel
from distribute.process_devices import take_limit_at_once
from train.from_flags import configure_keras
from train.loop import Means, TrainFunction, train
from train.messages import first_line
from train.recipe_data import load_subject
from train.recipes import load_recipe
from train.verification import Subject

_INTERVAL_S = 0.02


def run(
    channel: Channel,
    config: str,
    overrides: Mapping[str, Any],
    data_dir: str | None,
    kind: str,
    num_replicas: int,
    memory_policy: str,
    limit_mib: int | None,
    cap_mib: int | None,
    at_once: bool,
    num_steps: int,
    deterministic: bool,
    picture: str,
) -> dict[str, Any]:
    """Trains `num_steps` steps and writes the timeline.

    Args:
      channel: to the parent, who is told of each phase.
      config: the recipe, as ``--config`` names it.
      overrides: fields of the recipe that flags replace.
      data_dir: where data sets are kept.
      kind: what to split, as `split_device` takes it.
      num_replicas: as well.
      memory_policy: as well.
      limit_mib: as well.
      cap_mib: the cap of the whole process's allocator on CPU, drawn as the limit; None without one.
      at_once: whether a CPU takes the cap as one piece.
      num_steps: at least 2.
      deterministic: as ``--deterministic`` says.
      picture: the SVG file to write.

    Returns:
      Peaks, samples, speed, and what the process holds when all tensors have been freed; ``error`` says what ended the
      training early, empty for nothing.
    """
    channel.watch()
    devices = split_device(num_replicas, memory_limit_mib=limit_mib, kind=kind, policy=memory_policy)
    recipe = dataclasses.replace(load_recipe(config), **overrides)
    configure_keras(recipe, deterministic=deterministic)
    if at_once:
        take_limit_at_once(cap_mib, devices.names[0])
    subject = load_subject(config, recipe, data_dir)
    error, speed = "", None
    with track_memory(devices, interval_s=_INTERVAL_S) as memory:
        memory.limit_mib = cap_mib or limit_mib
        try:
            speed = _train(channel, subject, devices, memory, num_steps)
        except tf.errors.OpError as caught:  # what was measured until then is worth keeping
            error = f"{type(caught).__name__}: {first_line(caught)}"
        with memory.phase("freed"):
            keras.backend.clear_session()
            gc.collect()
    limit = limit_mib or (cap_mib and cap_mib // num_replicas)
    shown = f"{limit} MiB" if limit else "no limit"
    memory.save_timeline(picture, f"{config}, {memory_policy}, {num_replicas} x {shown}")
    freed = memory.samples[-1].process / 2**20
    return {"memory": memory.to_dict(), "process_freed_mib": freed, "examples_per_second": speed, "error": error}


def _train(channel: Channel, subject: Subject, devices: Devices, memory: MemoryRecord, num_steps: int) -> float:
    """Examples per second after the first step."""
    channel.send({"kind": "phase", "phase": "training"})
    strategy = make_strategy(devices)
    with memory.phase("build"), strategy.scope():
        train_function = TrainFunction(strategy, subject.build())
    batches = subject.batches().repeat()
    with memory.phase("first step"):
        train(train_function, batches, first_step=0, num_steps=1, after_call=lambda step, means: False)
    with memory.phase("training"):
        begin = time.perf_counter()
        train(train_function, batches, first_step=1, num_steps=num_steps, after_call=_read)
        return subject.recipe.global_batch_size * (num_steps - 1) / (time.perf_counter() - begin)


def _read(step: int, means: Means) -> bool:
    """Waits for the step: what is still under way must count neither as done nor as not begun."""
    means["loss"].numpy()
    return False
