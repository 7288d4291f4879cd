"""What runs in a child under the BFC allocator: one replica's share, or the whole batch as the reference."""

import dataclasses
import gc
import pickle
from typing import Any, Literal

import keras

from ..batches import join, num_examples
from ..memory_planning.recording import record
from ..program_state import variables_of
from ..targets import Target, resolve_build, resolve_data
from .child_main import Channel
from .shards import first_shards
from .steps import StepRecorder, evaluate, train

CPU = "CPU:0"
# The phase in which a ValueError says that a target cannot be found or called.
FINDING_TARGETS = "finding the targets"

Role = Literal["reference", "replica", "recording"]


def run(
    channel: Channel,
    role: Role,
    build: Target,
    data: Target,
    num_replicas: int,
    floatx: str,
    dtype_policy: str,
) -> dict[str, Any]:
    """Trains the program on CPU under the default strategy and returns its `MemoryTrace` as a dict.

    A recording sends every allocation to the parent instead.

    The reference reads the data, and sends the largest shard to the parent, who hands it on to the replica:
    what a data set buffers lives in the same allocator as the program (on a GPU it would not), and must
    neither count against the replica's limit nor have to fit under it.
    """
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(dtype_policy)
    batch = _read_batch(channel, data, num_replicas) if role == "reference" else _receive(channel)
    channel.watch()
    channel.send({"kind": "phase", "phase": FINDING_TARGETS})
    build_program = resolve_build(_pair(build))
    channel.send({"kind": "phase", "phase": "build"})
    if role == "recording":
        record(channel, build_program, batch)
        return {}
    recorder = StepRecorder([CPU])
    built = build_program()
    channel.send({"kind": "phase", "phase": "training"})
    train(built, [batch], recorder)
    channel.send({"kind": "phase", "phase": "evaluation"})
    # The reference is there for the training peak alone.
    evaluation_peaks = evaluate(built, [batch], recorder) if role == "replica" else None
    (trace,) = recorder.traces([num_examples(batch)], variables_of(built).num_bytes(), evaluation_peaks)
    return dataclasses.asdict(trace)


def _read_batch(channel: Channel, target: Target, num_replicas: int) -> Any:
    channel.send({"kind": "phase", "phase": FINDING_TARGETS})
    load = resolve_data(_pair(target))
    channel.send({"kind": "phase", "phase": "data"})
    shards = first_shards(load(), num_replicas)
    # Pickled for a process that this one's parent started, through a pipe that nobody else can write to.
    channel.send({"kind": "shard"}, pickle.dumps(max(shards, key=num_examples)))
    batch = join(shards)
    del shards
    gc.collect()  # a data set's buffers go before anything is measured
    return batch


def _receive(channel: Channel) -> Any:
    channel.send({"kind": "phase", "phase": "waiting for its shard"})
    return pickle.loads(channel.receive())


def _pair(target: Target) -> Target:
    # JSON has no tuples.
    return target if isinstance(target, str) else (target[0], target[1])
