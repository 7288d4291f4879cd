"""Whether an error means that memory has run out, which it often says in other words."""

import tensorflow as tf

from .log_explanation import Explained, explain
from .log_rules.memory import OUT_OF_MEMORY
from .memory_check.child_process import Outcome
from .memory_check.runs import is_out_of_memory as raised_out_of_memory


def is_out_of_memory(error: BaseException) -> bool:
    """True for the allocators' own errors, and for those of a library that gets no memory (tensorflow#9489, #24496)."""
    return isinstance(error, tf.errors.ResourceExhaustedError | MemoryError) or explained_as_memory(error) is not None


def ended_out_of_memory(outcome: Outcome) -> bool:
    """The same of an exception that ended another process."""
    return raised_out_of_memory(outcome) or explained_as_memory(outcome.text) is not None


def explained_as_memory(error: BaseException | str) -> Explained | None:
    """What an exception, or its text, means where it is known to mean that memory has run out."""
    return next((one for one in explain(error) if one.identifier in OUT_OF_MEMORY), None)
