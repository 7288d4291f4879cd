"""A short summary of a variable's values that tells how far two variables are apart, without keeping either.

Sixty-four numbers stand for any number of values, so a record can travel from one machine to another. Each value is
added, with a random sign, to one of the numbers; the same signs and places are used for the same variable in every run.
The squared distance of two sketches is then an unbiased estimate of the squared distance of the variables, with a
relative standard deviation of sqrt(2 / 64) = 18 %: enough to tell rounding from another result.

Source: Charikar, Chen, Farach-Colton, "Finding frequent items in data streams" (2002), the count sketch; Alon, Matias,
Szegedy, "The space complexity of approximating the frequency moments" (1996), for the estimate.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from distribute import Program

_SIZE = 64


def sketch(values: np.ndarray[Any, Any], seed: int) -> list[float]:
    """The summary of a variable; two can be compared that have the same shape and seed."""
    flat = values.astype(np.float64).ravel()
    random = np.random.default_rng(seed)
    places = random.integers(0, _SIZE, flat.size)
    signs = random.integers(0, 2, flat.size) * 2 - 1
    return np.bincount(places, weights=signs * flat, minlength=_SIZE).tolist()


def sketch_weights(program: Program) -> list[dict[str, Any]]:
    """The ``weights`` of a record: each variable of the model, in the model's order, with its summary."""
    described = []
    for index, variable in enumerate(program.model.variables):
        values = variable.numpy()
        described.append(
            {
                "path": variable.path,
                "shape": list(values.shape),
                "dtype": tf.as_dtype(variable.dtype).name,
                "l2": float(np.linalg.norm(values.astype(np.float64))),
                "sketch": sketch(values, seed=index),
            }
        )
    return described


def distance(first: Sequence[float], second: Sequence[float]) -> float:
    """An estimate of the L2 distance of two variables by their summaries."""
    return float(np.linalg.norm(np.subtract(first, second)))
