"""What one replica does in one step: the object that the loop trains with and that verification checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TrainStep = Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Program:
    """One replica's training step, with everything that it reads or writes.

    Attributes:
      train_step: takes one shard (any nest of tensors, leading axis = example), runs in replica context, applies
        the update itself and returns a mapping with at least the scalar ``"loss"``. With ``"gradients"`` in the
        mapping (one per trainable variable, as applied) verification takes these instead of observed ones.
      model: anything with ``.variables``, or a list of such.
      optimizer: the Keras optimizer that ``train_step`` applies, if there is one, or a list of them.
      variables: further variables that the step reads or writes and that neither model nor optimizer holds.
      evaluate_step: what one replica does with one shard in evaluation, if it does: takes what ``train_step``
        takes and changes no weights. `check_memory` holds it to the replica's limit as well.
    """

    train_step: TrainStep
    model: Any
    optimizer: Any = None
    variables: Sequence[Any] = ()
    evaluate_step: Callable[[Any], Any] | None = None


def listed(given: Any) -> list[Any]:
    """Models or optimizers as `Program` takes them, none, one, or several, as a list."""
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
