"""From a text to the whole numbers that a model reads.

Words are numbered by a hash (FarmHash, the same on every machine), so no vocabulary has to be learnt from the data and
kept with the model. Two words may get the same number: among V numbers, n words have about n²/2V such pairs.
"""

import tensorflow as tf

PADDING = 0
"""Fills a text up to its length; a model is to leave it out (``mask_zero``)."""
BEGINNING = 1
"""Stands before the first word, so that no text is empty."""


def tokenize(text: tf.Tensor, *, sequence_length: int, vocabulary_size: int) -> tf.Tensor:
    """The words of one text as numbers [sequence_length] int32: `BEGINNING`, the first words, `PADDING`.

    Args:
      text: [] string, UTF-8. Words are runs of letters, digits and apostrophes, in lower case.
      sequence_length: numbers that come out; words beyond are left out.
      vocabulary_size: numbers are below it.
    """
    lower = tf.strings.lower(text, encoding="utf-8")
    words = tf.strings.split(tf.strings.regex_replace(lower, r"[^\pL\pN']+", " "))[: sequence_length - 1]
    num_reserved = BEGINNING + 1
    hashed = num_reserved + tf.strings.to_hash_bucket_fast(words, vocabulary_size - num_reserved)
    numbers = tf.concat([[BEGINNING], tf.cast(hashed, tf.int32)], axis=0)
    padded = tf.pad(numbers, [[0, sequence_length - tf.size(numbers)]], constant_values=PADDING)
    return tf.ensure_shape(padded, [sequence_length])
