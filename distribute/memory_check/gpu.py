"""The check of memory on GPUs: in this process, where TensorFlow counts each logical device by itself.

The arithmetic is shared with the CPU's and tested there; what is left here is which counters are read when.
"""

import gc
import os
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from .. import nvml
from ..batches import join, num_examples
from ..devices import Devices
from ..out_of_memory import explained_as_memory, is_out_of_memory
from ..program_state import variables_of
from ..report import Report
from ..strategy import make_strategy
from .shards import first_shards
from .steps import StepRecorder, evaluate, train
from .trace import MemoryTrace
from .verdict import Measured, report_on, report_out_of_memory

# The first step tries kernels, in memory of its own; what runs later in the process finds them chosen.
_FIRST_COMPARED = 1


def check_here(build: Callable[[], Any], data: Any, devices: Devices) -> Report:
    """Trains the program on all devices, then on the first one alone, and judges what the counters showed.

    Args:
      build: called in the scope of each strategy.
      data: as `verify` takes it.
      devices: what `split_device` made in this process.
    """
    shards = first_shards(data, len(devices.names))
    # Where the batch has fewer examples than there are replicas, the last replicas would be empty.
    shares = shards + shards[-1:] * (len(devices.names) - len(shards))
    try:
        replicas = _measure(make_strategy(devices), devices.names, build, shares)
    except tf.errors.OpError as error:
        if not is_out_of_memory(error):
            raise
        limit = devices.memory_limit_mib
        what = "the device's memory" if limit is None else f"the limit of {limit} MiB"
        explained = explained_as_memory(error)
        return report_out_of_memory(what, explained.what if explained else f"raised {_first_line(error)}", limit)
    process = _process_ledger(replicas, devices)
    gc.collect()
    reference, no_reference = _measure_reference(devices.names[0], build, shards)
    return report_on(
        Measured(
            limit_mib=devices.memory_limit_mib,
            devices=devices.names,
            replicas=replicas,
            reference=reference,
            no_reference=no_reference,
            how=f"measured on each of {len(replicas)} devices while all train, all-reduce included",
            process=process,
            first_compared=_FIRST_COMPARED,
        )
    )


def _measure(
    strategy: tf.distribute.Strategy, devices: Sequence[str], build: Callable[[], Any], shards: Sequence[Any]
) -> list[MemoryTrace]:
    with strategy.scope():
        recorder = StepRecorder(devices)
        built = build()
        train(built, shards, recorder)
        evaluation_peaks = evaluate(built, shards, recorder)
        sizes = [num_examples(shard) for shard in shards]
        return recorder.traces(sizes, variables_of(built).num_bytes(), evaluation_peaks)


def _measure_reference(device: str, build: Callable[[], Any], shards: Sequence[Any]) -> tuple[MemoryTrace | None, str]:
    try:
        (trace,) = _measure(tf.distribute.OneDeviceStrategy(device), [device], build, [join(shards)])
    except tf.errors.OpError as error:
        if not is_out_of_memory(error):
            raise
        return None, f"the whole global batch does not fit on {device} under its limit: {_first_line(error)}"
    return trace, ""


def _process_ledger(replicas: Sequence[MemoryTrace], devices: Devices) -> dict[str, Any]:
    used = nvml.process_memory(os.getpid())
    if used is None:
        return {}
    return {
        "process_peak_mib": used.mib,
        "overhead_mib": used.mib - sum(trace.peak_mib for trace in replicas),
        "process_source": used.source,
        # A limit is taken as a whole, used or not: what comes on top is CUDA's context, cuBLAS, cuDNN and NCCL.
        "beyond_limits_mib": devices.memory_limit_mib and used.mib - len(devices.names) * devices.memory_limit_mib,
    }


def _first_line(error: tf.errors.OpError) -> str:
    return f"{type(error).__name__}: {(error.message or '').strip().partition(chr(10))[0]}"
