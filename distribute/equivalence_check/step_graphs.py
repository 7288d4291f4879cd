"""What a traced step is made of: the types of its operations, and dtypes through which its gradient passes."""

import itertools
from collections.abc import Iterable

import tensorflow as tf


def operations(graphs: Iterable[tf.Graph]) -> set[str]:
    """The types of all operations, those of branches, loops and functions among them."""
    found = set()
    for graph in graphs:
        fields = {field.name: value for field, value in graph.as_graph_def().ListFields()}
        functions = fields["library"].function if "library" in fields else ()
        nodes = itertools.chain(fields["node"], *(one.node_def for one in functions))
        found |= {node.op for node in nodes}
    return found


def narrower_gradients(graphs: Iterable[tf.Graph]) -> set[str]:
    """Dtypes narrower than the run's own through which its gradient passes, such as a loss taken in float32."""
    found = set()
    for graph in graphs:
        for op in graph.get_operations():
            # The backward half of a narrowing cast widens; a scalar's rounding is a common ratio, not noise.
            if op.type == "Cast" and "gradient_tape/" in op.name and op.outputs[0].shape.rank != 0:
                source, target = op.get_attr("SrcT"), op.get_attr("DstT")
                if source.is_floating and source.size < target.size:
                    found.add(source.name)
    return found
