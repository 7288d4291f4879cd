"""On which device the operations of a step really ran: a count per device instead of TensorFlow's line per operation."""

import collections
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf


def count_operations(function: Callable[..., Any], *args: Any) -> dict[str, collections.Counter[str]]:
    """Runs `function` once and counts operations by type, for each device.

    The graph is read from TensorFlow's own trace (`tf.summary.trace_export`), after placement and optimisation; the
    devices that are written in the Python code are only wishes.

    Returns:
      Device name, such as ``CPU:1``, to operation type, such as ``Conv2D``, to the number of such operations.
    """
    with tempfile.TemporaryDirectory() as folder:
        writer = tf.summary.create_file_writer(folder)
        tf.summary.trace_on(graph=True)
        function(*args)
        with writer.as_default():
            tf.summary.trace_export("step", step=0)
        writer.close()
        return _count(next(Path(folder).iterdir()))


def _count(event_file: Path) -> dict[str, collections.Counter[str]]:
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for record in tf.data.TFRecordDataset(str(event_file)):
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
            metadata = tf.compat.v1.RunMetadata.FromString(value.tensor.string_val[0])
            for node in _nodes(metadata):
                counts[node.device.rpartition("device:")[2]][node.op] += 1
    return dict(sorted(counts.items()))


def _nodes(metadata: Any) -> list[Any]:
    # A graph that is cut into one part per device appears once more as a whole; the parts are what runs.
    return [node for graph in metadata.function_graphs for part in graph.partition_graphs for node in part.node]
