"""What a recipe is: everything that decides the result of a training run, and nothing about devices."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import tensorflow as tf

from models import classification


@dataclass(frozen=True)
class Recipe:
    """One run of supervised training: of images, numbers or texts, for classes or for numbers.

    Attributes:
      build_model: makes the model from the shape of one input, without the batch, and the number of values that it
        returns for each: of classes their number, else that of the targets. Images come as (height, width, channels)
        in [0, 1], numbers as (features,), texts as (sequence_length,) whole numbers, see ``train/texts.py``.
      build_optimizer: makes the optimizer from the learning rate.
      measure: what is measured of each example, from (labels, outputs), each [batch, ...]: a mapping of values [batch],
        ``loss`` and, where there is one, ``accuracy``. It takes no mean: the training step does, over all replicas.
      dataset: ``digits``, ``line``, ``reviews``, or a set of TensorFlow Datasets with images or texts to classify.
      epochs: passes over the training examples.
      global_batch_size: examples in one step, over all replicas.
      learning_rate: not scaled with the number of replicas, since the global batch stays the same.
      max_shift: training images are moved by up to this many pixels each way, at random.
      mirror: whether half of the training images, at random, are turned left to right.
      sequence_length: how many words of a text are read, the mark of its beginning counted in; texts need it.
      vocabulary_size: how many numbers there are for words; texts need it.
      dtype_policy: Keras' dtype policy, such as ``float32``, ``float64`` or ``mixed_bfloat16``.
      seed: decides initial weights, order of the examples, shifts and dropout.
    """

    build_model: Callable[[tuple[int, ...], int], keras.Model]
    build_optimizer: Callable[[float], keras.optimizers.Optimizer]
    measure: Callable[[tf.Tensor, tf.Tensor], Mapping[str, tf.Tensor]] = classification
    dataset: str = "digits"
    epochs: int = 40
    global_batch_size: int = 64
    learning_rate: float = 1e-3
    max_shift: int = 0
    mirror: bool = False
    sequence_length: int = 0
    vocabulary_size: int = 0
    dtype_policy: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        at_least = {"epochs": 1, "global_batch_size": 1, "max_shift": 0, "seed": 0}
        if self.sequence_length or self.vocabulary_size:
            at_least |= {"sequence_length": 2, "vocabulary_size": 3}
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: at least {least} is needed")
        if not self.dataset:
            raise ValueError("dataset is empty: name one, such as digits")
        policy = keras.dtype_policies.get(self.dtype_policy)  # raises ValueError for an unknown one
        if policy.compute_dtype == "float16":
            raise ValueError(
                f"dtype_policy is {self.dtype_policy}: float16 needs a scaled loss, which the training step has not; "
                "mixed_bfloat16 needs none"
            )
