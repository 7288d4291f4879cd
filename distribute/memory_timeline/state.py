"""What a program's variables take on one device, for telling who holds its peak."""

from typing import Any

from ..program_state import bytes_on, variables_of
from .holders import State


def state_on(device: str, program: Any) -> State:
    """Sizes on a logical device; everything 0 where the program is None."""
    variables = variables_of(program)
    return State(
        parameters=bytes_on(variables.parameters, device),
        optimizer=bytes_on(variables.optimizer, device),
        gradient_shapes={tuple(variable.shape) for variable in variables.trainable},
        optimizer_name=getattr(getattr(program, "optimizer", None), "name", None) or "",
    )
