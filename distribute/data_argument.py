"""What `data` may be, told apart; what a user of `fit` has at hand instead is answered with what to give."""

import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_NOT_DENSE = (
    ("ragged", (tf.RaggedTensor, tf.RaggedTensorSpec), "ragged.to_tensor() with its mask"),
    ("sparse", (tf.SparseTensor, tf.SparseTensorSpec), "tf.sparse.to_dense(sparse)"),
)


def recognised(data: Any) -> Any:
    """The data itself: what a function without parameters returns, and anything else as it is.

    Raises:
      TypeError: neither a list, nor a data set, nor a callable; or one batch in the place of a list of batches.
      ValueError: a data set that is not batched.
    """
    if callable(data) and not isinstance(data, tf.data.Dataset) and _without_parameters(data):
        data = data()
    if isinstance(data, tf.data.Dataset):
        _check_batched(data)
    elif isinstance(data, tuple):
        _check_no_batch(data)
    elif not isinstance(data, list) and not callable(data):
        raise TypeError(
            f"data is of type {type(data).__name__}: give a list of global batches, [(x, y)], a tf.data.Dataset of"
            " global batches, tf.data.Dataset.from_tensor_slices((x, y)).batch(B), a function without parameters that"
            " returns one of these, or one of a tf.distribute.InputContext that returns a tf.data.Dataset"
        )
    return data


def dataset_of(make: Callable[[Any], Any], context: tf.distribute.InputContext) -> tf.data.Dataset:
    """What the user's function of an `InputContext` returns.

    Raises:
      TypeError: that is no data set.
      ValueError: a data set that is not batched.
    """
    dataset = make(context)
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            f"data, a function of an InputContext, returned an object of type {type(dataset).__name__}: return a"
            " tf.data.Dataset of per-replica batches, or make it a function without parameters"
        )
    _check_batched(dataset)
    return dataset


def _without_parameters(function: Callable[..., Any]) -> bool:
    """Whether it takes no positional argument, so that it cannot be a function of an `InputContext`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some functions that are written in C have no signature
        return False
    by_keyword = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    return all(parameter.kind in by_keyword for parameter in parameters)


def check_dense(nest: Any) -> None:
    """Refuses ragged and sparse tensors, or the specs of such, which have no rows that replicas could share as arrays.

    Raises:
      TypeError: `nest` holds one.
    """
    for leaf in tf.nest.flatten(nest):
        for kind, types, remedy in _NOT_DENSE:
            if isinstance(leaf, types):
                raise TypeError(
                    f"data holds a {kind} tensor, and batches are compared row by row as arrays: make it dense in the"
                    f" data, {remedy}, or give its parts as arrays and put it together in the step"
                )


def _check_batched(dataset: tf.data.Dataset) -> None:
    check_dense(dataset.element_spec)
    specs = [spec.shape for spec in tf.nest.flatten(dataset.element_spec) if hasattr(spec, "shape")]
    shapes = [tuple(shape) for shape in specs if shape.rank is not None]
    lengths = {shape[0] for shape in shapes if shape} - {None}
    if () in shapes or len(lengths) > 1:
        raise ValueError(
            f"data yields elements without one leading axis of examples, shapes {shapes}: batch it, .batch(B)"
        )


def _check_no_batch(data: tuple[Any, ...]) -> None:
    """Refuses what `fit` takes, (x, y) or (x, y, w); a tuple of batches is as good as a list of them."""
    if len(data) not in (2, 3):
        return
    shapes: list[Any] = [getattr(part, "shape", ()) for part in data]
    arrays = [shape for shape in shapes if len(shape)]
    if len(arrays) == len(data):
        what, is_one_batch = f"of {len(data)} arrays", len({shape[0] for shape in arrays}) == 1
    else:
        what, is_one_batch = f"({', '.join(type(part).__name__ for part in data)})", bool(arrays)
    if is_one_batch:
        batch = f"({', '.join(('x', 'y', 'w')[: len(data)])})"
        raise TypeError(
            f"data is a tuple {what}: give a list of global batches, [{batch}],"
            f" or tf.data.Dataset.from_tensor_slices({batch}).batch(B)"
        )
