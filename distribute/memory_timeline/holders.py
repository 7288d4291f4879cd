"""What holds the memory at a peak: parameters, gradients, optimizer, activations, temporaries, other.

Pure arithmetic on recorded allocations. What was taken before the recording is told by the sizes of the program's
variables; what was taken within it by the op that took it. TensorFlow names the ops of a backward pass
``gradient_tape/…`` (tensorflow/python/eager/backprop.py), whatever the model.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from .allocations import Allocation

_BACKWARD = "gradient_tape/"
_MOST_LARGEST = 10


@dataclass(frozen=True)
class State:
    """What a program's variables take on one device, in bytes, and what its gradients look like.

    Attributes:
      parameters: of the model's variables.
      optimizer: of the optimizer's.
      gradient_shapes: shapes of the trainable variables.
      optimizer_name: the name scope in which the optimizer updates them; empty where there is none.
    """

    parameters: int = 0
    optimizer: int = 0
    gradient_shapes: Set[tuple[int, ...]] = frozenset()
    optimizer_name: str = ""


@dataclass(frozen=True)
class Holders:
    """The peak of one device by what holds it, in bytes; the six parts add up to `peak`.

    Attributes:
      peak: the most bytes in use.
      parameters: the model's variables.
      gradients: results of the backward pass that are shaped like a trainable variable, and sums of them.
      optimizer: its variables.
      activations: results of the forward pass.
      temporaries: workspaces of ops, and whatever else the backward pass and the update hold for a while.
      other: taken before, and no variable: input, constants, what somebody keeps.
      largest: the largest pieces taken within the recording that were in use at the peak, largest first.
    """

    peak: int
    parameters: int
    gradients: int
    optimizer: int
    activations: int
    temporaries: int
    other: int
    largest: Sequence[Allocation]


def holders_at_peak(events: Sequence[Allocation], state: State) -> Holders | None:
    """Who holds what when most is in use; None where nothing was allocated.

    Args:
      events: of one allocator, in order of time, from a stretch in which no variable is created.
      state: sizes of the variables that this allocator holds.
    """
    if not any(event.taken for event in events):
        return None
    peak, live = _live_at_peak(events)
    parts = {"gradients": 0, "activations": 0, "temporaries": 0}
    for event in live:
        parts[_part(event, state)] += event.num_bytes
    before = peak - sum(event.num_bytes for event in live)
    # An update may put a variable into a new piece of memory and give the old one back: it is counted as a variable.
    moved = max(state.parameters + state.optimizer - before, 0)
    parts["temporaries"] -= moved
    largest = sorted(live, key=lambda event: -event.num_bytes)[:_MOST_LARGEST]
    return Holders(
        peak=peak,
        parameters=state.parameters,
        optimizer=state.optimizer,
        other=before + moved - state.parameters - state.optimizer,
        largest=largest,
        **parts,
    )


def _live_at_peak(events: Iterable[Allocation]) -> tuple[int, list[Allocation]]:
    live: dict[int, Allocation] = {}
    peak, at_peak = 0, []
    for event in events:
        if event.taken:
            live[event.address] = event
        else:
            live.pop(event.address, None)
        if event.in_use > peak:
            peak, at_peak = event.in_use, list(live.values())
    return peak, at_peak


def _part(event: Allocation, state: State) -> str:
    is_parameter_shaped = event.region == "output" and event.shape in state.gradient_shapes and event.shape != ()
    in_update = bool(state.optimizer_name) and f"{state.optimizer_name}/" in event.op
    if _BACKWARD in event.op:
        return "gradients" if is_parameter_shaped else "temporaries"
    if event.region != "output" or in_update:
        return "temporaries"
    return "activations"
