"""Whether an exception means that memory has run out, which it often says in other words."""

import tensorflow as tf

from distribute.log_explanation import Explained, explain
from distribute.log_rules.memory import OUT_OF_MEMORY


def is_out_of_memory(error: BaseException) -> bool:
    """True for the allocators' own errors, and for those of a library that gets no memory (tensorflow#9489, #24496)."""
    return isinstance(error, tf.errors.ResourceExhaustedError | MemoryError) or explained_as_memory(error) is not None


def explained_as_memory(error: BaseException) -> Explained | None:
    """What the exception means where it is known to mean that memory has run out."""
    return next((one for one in explain(error) if one.identifier in OUT_OF_MEMORY), None)
