"""The input pipeline, from examples to the global batches of a run.

    source (cached) -> shuffle, anew each epoch -> batch -> images: random shifts -> images: [0, 1] -> prefetch

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
    """Labelled examples, ready to read. ``train/dataset_source.py`` makes it from a name.

    Attributes:
      name: what the user called it.
      input_shape: of one input: (height, width, channels) of an image, (features,), (sequence_length,) of a text.
      num_outputs: how many values a model is to return for each: of classes, labels are 0..num_outputs - 1, their
        number; else that of the targets.
      num_train_examples: size of the training split.
      num_test_examples: size of the test split.
      train: data set of (input, label) in a fixed order. An input is uint8 for an image, floating for numbers and int32
        for a text; a label is [] int64 for a class, else targets [num_outputs], floating.
      test: the same for the test split.
      folder: where it is read from.
    """

    name: str
    input_shape: tuple[int, ...]
    num_outputs: int
    num_train_examples: int
    num_test_examples: int
    train: tf.data.Dataset
    test: tf.data.Dataset
    folder: str

    @property
    def input_dtype(self) -> tf.DType:
        """The dtype of an input as it is stored."""
        return self.train.element_spec[0].dtype

    @property
    def label_spec(self) -> tf.TensorSpec:
        """Shape and dtype of one label."""
        return self.train.element_spec[1]

    @property
    def holds_images(self) -> bool:
        """Whether the inputs are images: whatever else is read is not uint8."""
        return self.input_dtype == tf.uint8


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
    max_shift: int = 0,
    mirror: bool = False,
    dtype: str = "float32",
) -> tf.data.Dataset:
    """The training batches from `first_step` to the end of the last epoch.

    Args:
      source: where the examples come from.
      global_batch_size: B, examples per step over all replicas; an epoch's last batch holds what is left.
      seed: decides the order of the examples and the shifts.
      num_epochs: epochs of the whole run, those before `first_step` counted in.
      first_step: steps that are done already. Their examples are skipped before they are batched or shifted.
      max_shift: greatest shift of images in pixels, see `shift_randomly`; 0 for none.
      mirror: whether to turn half of the images left to right, see `mirror_randomly`.
      dtype: "float32" or "float64", of images and numbers.

    Returns:
      Data set of (inputs [B, ...], labels [B, ...]), which knows its length: images as `to_model_input` makes
      them. B is unknown in its `element_spec`: as the `input_signature` of a `tf.function` that saves the trace
      that the uneven last batch would cost.
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
        inputs, labels = batch
        if source.holds_images:
            inputs = shift_randomly(inputs, max_shift, seed=(seed, step))
            inputs = mirror_randomly(inputs, seed=(~seed, step)) if mirror else inputs
        return to_model_input(inputs, dtype), labels

    batches = tf.data.Dataset.range(first_epoch, num_epochs).flat_map(batches_of)
    batches = batches.enumerate(start=first_step).map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    num_left = max(num_epochs * num_steps - first_step, 0)
    return batches.apply(tf.data.experimental.assert_cardinality(num_left)).prefetch(tf.data.AUTOTUNE)


def eval_batches(source: Source, *, global_batch_size: int, dtype: str = "float32") -> tf.data.Dataset:
    """The test split once, in stored order, neither shuffled nor shifted; elements as of `train_batches`."""
    batches = source.test.batch(global_batch_size)
    batches = batches.map(lambda inputs, labels: (to_model_input(inputs, dtype), labels))
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


def mirror_randomly(images: tf.Tensor, *, seed: Any) -> tf.Tensor:
    """Turns each image [B, height, width, channels] left to right, or not; equal seeds choose alike."""
    turned = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed) < 0.5
    return tf.where(turned, tf.reverse(images, axis=[2]), images)


def to_model_input(inputs: tf.Tensor, dtype: str) -> tf.Tensor:
    """uint8 images as `dtype` in [0, 1], numbers as `dtype`; the whole numbers of texts stay.

    Done last, so that all before it moves a quarter of an image's bytes.
    """
    if inputs.dtype == tf.uint8:
        return tf.cast(inputs, dtype) / 255
    return tf.cast(inputs, dtype) if inputs.dtype.is_floating else inputs
