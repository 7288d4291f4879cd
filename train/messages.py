"""One line out of what an exception says: TensorFlow and Keras surround it with graph nodes and arguments."""

import re

import tensorflow as tf

from distribute.memory_check.child_process import headline

# Names of graph nodes, terminal colours, and the operation behind TensorFlow's own messages.
_NOISE = re.compile(r"\{\{.*?\}\}|\x1b\[[0-9;]*m|\[Op:.*")
_KERAS_PREFACE = re.compile(r"Exception encountered when calling .*\n+")


def first_line(error: BaseException | str) -> str:
    """The line that says what happened; the type's name where there is none."""
    text = error.message if isinstance(error, tf.errors.OpError) else str(error)
    text = _KERAS_PREFACE.sub("", _NOISE.sub("", text))
    return headline(text).strip() or type(error).__name__
