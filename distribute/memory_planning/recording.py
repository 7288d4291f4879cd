"""One replica's share in a process of its own, every allocation recorded, from the first variable to evaluation."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..batches import num_examples
from ..memory_check.child_main import Channel
from ..memory_check.steps import StepRecorder, evaluate, train
from ..memory_timeline.allocations import Allocation, record_allocations
from ..memory_timeline.holders import Holders, holders_at_peak
from ..memory_timeline.state import state_on
from ..program_state import bytes_of, variables_of

_CPU = "CPU:0"
_NUM_STEPS = 8


@dataclass(frozen=True)
class Recording:
    """What one run allocated.

    Attributes:
      rows: examples per step.
      events: everything, in order of time.
      holders: who holds the peak of a step.
      parameters_bytes: of the model's variables.
      gradients_bytes: of one gradient for each trainable variable.
      optimizer_bytes: of the optimizer's variables.
    """

    rows: int
    events: Sequence[Allocation]
    holders: Holders
    parameters_bytes: int
    gradients_bytes: int
    optimizer_bytes: int


def record(channel: Channel, build: Callable[[], Any], batch: Any) -> None:
    """Builds, trains some steps, evaluates and trains one more, and sends the `Recording` to the parent.

    Raises:
      RuntimeError: a step allocates nothing.
    """
    steps = StepRecorder([_CPU], num_steps=_NUM_STEPS)
    with record_allocations() as events:
        built = build()
        train(built, [batch], steps)
        evaluate(built, [batch], steps)
    with record_allocations() as last:
        train(built, [batch], StepRecorder([_CPU], num_steps=1))
    holders = holders_at_peak(last, state_on(_CPU, built))
    if holders is None:
        raise RuntimeError("a step of the program allocates nothing: there is nothing to plan")
    variables = variables_of(built)
    recording = Recording(
        rows=num_examples(batch),
        events=events,
        holders=holders,
        parameters_bytes=bytes_of(variables.parameters),
        gradients_bytes=bytes_of(variables.trainable),
        optimizer_bytes=bytes_of(variables.optimizer),
    )
    # Pickled for the process that started this one, through a pipe that nobody else can write to.
    channel.send({"kind": "recording"}, pickle.dumps(recording))
