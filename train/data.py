"""The input pipeline, from examples to the global batches of a run.

    source (cached) -> shuffle, anew each epoch -> batch -> random shifts -> [0, 1] -> prefetch

Nothing here knows of replicas: see ``train/sharding.py``. Every random choice is a function of (seed, epoch,
position) alone, so a run that is resumed at step s sees the batches that the uninterrupted run saw from s on,
whatever else drew random numbers in the process. To change the pipeline, change ``train_batches``.
"""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

# Up to this many examples the shuffle is a uniform permutation of the whole set. Beyond it, each example is
# drawn from a window of so many in stored order: bounded memory, and still every example once per epoch.
SHUFFLE_BUFFER_EXAMPLES = 100_000


@dataclass(frozen=True)
class Source:
    """A labelled set of images, ready to read. ``train/dataset_source.py`` makes it from a name.

    Attributes:
      name: what the user called it.
      image_shape: (height, width, channels).
      num_classes: labels are 0..num_classes - 1.
      num_train_examples: size of the training split.
      num_test_examples: size of the test split.
      train: data set of (image [height, width, channels] uint8, label [] int64) in a fixed order.
      test: the same for the test split.
      folder: where it is read from.
    """

    name: str
    image_shape: tuple[int, int, int]
    num_classes: int
    num_train_examples: int
    num_test_examples: int
    train: tf.data.Dataset
    test: tf.data.Dataset
    folder: str


def steps_per_epoch(num_examples: int, global_batch_size: int) -> int:
    """Batches in one epoch, the uneven last one included."""
    return -(-num_examples // global_batch_size)


def train_batches(
    source: Source,
    *,
    global_batch_size: int,
    seed: int,
    num_epochs: int,
    first_step: int = 0,
    max_shift: int = 3,
    dtype: str = "float32",
) -> tf.data.Dataset:
    """The training batches from `first_step` to the end of the last epoch.

    Args:
      source: where the examples come from.
      global_batch_size: B, examples per step over all replicas; an epoch's last batch holds what is left.
      seed: decides the order of the examples and the shifts.
      num_epochs: epochs of the whole run, those before `first_step` counted in.
      first_step: steps that are done already. Their examples are skipped before they are batched or shifted.
      max_shift: greatest shift in pixels, see `shift_randomly`; 0 for none.
      dtype: "float32" or "float64", of the images.

    Returns:
      Data set of (images [B, height, width, channels] in [0, 1], labels [B] int64), which knows its length. B
      is unknown in its `element_spec`: as the `input_signature` of a `tf.function` that saves the trace that
      the uneven last batch would cost.
    """
    num_steps = steps_per_epoch(source.num_train_examples, global_batch_size)
    first_epoch, steps_done = divmod(first_step, num_steps)

    def batches_of(epoch: tf.Tensor) -> tf.data.Dataset:
        # In a graph this sets the seed of this function's own graph: the shuffle's two seeds become (run,
        # epoch) whatever tf.random.set_seed was given outside. Odd, because TensorFlow fails at a first seed
        # of 0 when the second is a tensor.
        tf.random.set_seed(2 * seed + 1)
        buffer_size = min(source.num_train_examples, SHUFFLE_BUFFER_EXAMPLES)
        shuffled = source.train.shuffle(buffer_size, seed=epoch, reshuffle_each_iteration=False)
        num_done = tf.where(epoch == first_epoch, tf.constant(steps_done * global_batch_size, tf.int64), 0)
        return shuffled.skip(num_done).batch(global_batch_size)

    def augment(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        return to_unit_range(shift_randomly(images, max_shift, seed=(seed, step)), dtype), labels

    batches = tf.data.Dataset.range(first_epoch, num_epochs).flat_map(batches_of)
    batches = batches.enumerate(start=first_step).map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    num_left = max(num_epochs * num_steps - first_step, 0)
    return batches.apply(tf.data.experimental.assert_cardinality(num_left)).prefetch(tf.data.AUTOTUNE)


def eval_batches(source: Source, *, global_batch_size: int, dtype: str = "float32") -> tf.data.Dataset:
    """The test split once, in stored order, neither shuffled nor shifted; elements as of `train_batches`."""
    batches = source.test.batch(global_batch_size)
    batches = batches.map(lambda images, labels: (to_unit_range(images, dtype), labels))
    return batches.prefetch(tf.data.AUTOTUNE)


def shift_randomly(images: tf.Tensor, max_shift: int, *, seed: Any) -> tf.Tensor:
    """Moves each image by up to `max_shift` pixels up or down and left or right; what comes in is zero.

    Args:
      images: [B, height, width, channels].
      max_shift: each of the two shifts is uniform over -max_shift..max_shift.
      seed: two integers; equal seeds give equal shifts.

    Returns:
      [B, height, width, channels]. Nothing wraps around: a window is cut out of the zero-padded image, its
      rows by one batched gather and its columns by another, which is far cheaper than image by image.
    """
    if max_shift == 0:
        return images
    shape = tf.shape(images)
    corners = tf.random.stateless_uniform([2, shape[0], 1], seed, 0, 2 * max_shift + 1, tf.int32)
    margin = [max_shift, max_shift]
    padded = tf.pad(images, [[0, 0], margin, margin, [0, 0]])
    rows = tf.gather(padded, corners[0] + tf.range(shape[1]), axis=1, batch_dims=1)
    shifted = tf.gather(rows, corners[1] + tf.range(shape[2]), axis=2, batch_dims=1)
    return tf.ensure_shape(shifted, images.shape)


def to_unit_range(images: tf.Tensor, dtype: str) -> tf.Tensor:
    """uint8 images as `dtype` in [0, 1]. Done last, so that all before it moves a quarter of the bytes."""
    return tf.cast(images, dtype) / 255
