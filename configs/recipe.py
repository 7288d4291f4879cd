"""What a recipe is: everything that decides the result of a training run, and nothing about devices."""

from collections.abc import Callable
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Recipe:
    """One image classification run.

    Attributes:
      build_model: makes the model from the shape of one image (height, width, channels) and the number of classes;
        maps images [batch, height, width, channels] to logits [batch, classes].
      build_optimizer: makes the optimizer from the learning rate.
      dataset: ``digits``, or the name of an image classification set of TensorFlow Datasets.
      epochs: passes over the training examples.
      global_batch_size: examples in one step, over all replicas.
      learning_rate: not scaled with the number of replicas, since the global batch stays the same.
      max_shift: training images are moved by up to this many pixels each way, at random.
      dtype_policy: Keras' dtype policy, such as ``float32``, ``float64`` or ``mixed_bfloat16``.
      seed: decides initial weights, order of the examples and shifts.
    """

    build_model: Callable[[tuple[int, int, int], int], keras.Model]
    build_optimizer: Callable[[float], keras.optimizers.Optimizer]
    dataset: str = "digits"
    epochs: int = 40
    global_batch_size: int = 64
    learning_rate: float = 1e-3
    max_shift: int = 3
    dtype_policy: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("global_batch_size", 1), ("max_shift", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: at least {least} is needed")
        policy = keras.dtype_policies.get(self.dtype_policy)  # raises ValueError for an unknown one
        if policy.compute_dtype == "float16":
            raise ValueError(
                f"dtype_policy is {self.dtype_policy}: float16 needs a scaled loss, which the training step has not; "
                "mixed_bfloat16 needs none"
            )
