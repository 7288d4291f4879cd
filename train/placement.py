"""Where the operations of a step really ran: a count per device, not TensorFlow's line per operation."""

import collections
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from rich.console import Console

Counts = Mapping[str, collections.Counter[str]]

_SHOWN_TYPES = 6


def print_placement_once(function: Callable[..., Any], console: Console) -> Callable[..., Any]:
    """`function`, whose first call prints how many operations ran on each device."""
    printed = False

    def step(*args: Any) -> Any:
        nonlocal printed
        if printed:
            return function(*args)
        printed = True
        result, counts = count_operations(function, *args)
        for device, types in counts.items():
            most = ", ".join(f"{count} {name}" for name, count in types.most_common(_SHOWN_TYPES))
            text = f"placement: {device} runs {types.total()} operations of one step: {most}, …"
            console.print(text)
        return result

    return step


def count_operations(function: Callable[..., Any], *args: Any) -> tuple[Any, Counts]:
    """Calls `function` and counts the operations that ran, by type, for each device.

    The graph is read from TensorFlow's own trace (`tf.summary.trace_export`), after placement and optimisation; the
    devices that are written in the Python code are only wishes.

    Returns:
      What `function` returned, and device name (``CPU:1``) to operation type (``Conv2D``) to number.
    """
    with tempfile.TemporaryDirectory() as folder:
        writer = tf.summary.create_file_writer(folder)
        tf.summary.trace_on(graph=True)
        result = function(*args)
        with writer.as_default():
            tf.summary.trace_export("step", step=0)
        writer.close()
        return result, _count(next(Path(folder).iterdir()))


def _count(event_file: Path) -> Counts:
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for record in tf.data.TFRecordDataset(str(event_file)):
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
            metadata = tf.compat.v1.RunMetadata.FromString(value.tensor.string_val[0])
            for node in _nodes(metadata):
                counts[node.device.rpartition("device:")[2]][node.op] += 1
    return dict(sorted(counts.items()))


def _nodes(metadata: Any) -> list[Any]:
    # Each function graph appears whole and cut into one part per device; the parts are what runs.
    return [node for graph in metadata.function_graphs for part in graph.partition_graphs for node in part.node]
