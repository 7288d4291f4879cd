"""The variables of a program by what they are for, and how many bytes they take on a device."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from .program import Program, listed


@dataclasses.dataclass(frozen=True)
class ProgramVariables:
    """Each variable once.

    Attributes:
      parameters: the model's, trainable or not.
      trainable: those of them that have a gradient.
      optimizer: slots, step counter, learning rate.
      further: what the program names besides.
    """

    parameters: Sequence[Any] = ()
    trainable: Sequence[Any] = ()
    optimizer: Sequence[Any] = ()
    further: Sequence[Any] = ()

    def num_bytes(self) -> int:
        """Bytes of one copy of everything: the model state."""
        return bytes_of([*self.parameters, *self.optimizer, *self.further])


def variables_of(built: Any) -> ProgramVariables:
    """The variables of a compiled `keras.Model` or a `Program`; of any object with ``.variables``; none of None."""
    models = listed(built.model if isinstance(built, Program) else built)
    optimizers = listed(getattr(built, "optimizer", None))
    parameters = _once(variable for model in models for variable in model.variables)
    further = built.variables if isinstance(built, Program) else ()
    return ProgramVariables(
        parameters=parameters,
        trainable=_once(variable for model in models for variable in getattr(model, "trainable_variables", ())),
        optimizer=_without(_once(v for optimizer in optimizers for v in optimizer.variables), parameters),
        further=_without(_once(further), parameters),
    )


def _once(variables: Iterable[Any]) -> list[Any]:
    return list({id(variable): variable for variable in variables}.values())


def _without(variables: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    taken = {id(variable) for variable in others}
    return [variable for variable in variables if id(variable) not in taken]


def bytes_of(variables: Iterable[Any]) -> int:
    """Bytes of one copy of each: of the values, since a variable may be declared with a shape that is not known."""
    return sum(_bytes(variable) for variable in variables)


def bytes_on(variables: Iterable[Any], device: str) -> int:
    """Bytes of all copies on a logical device, such as ``GPU:1``; on CPU of those on any, which share an allocator."""
    copies = [copy for variable in variables for copy in _copies(variable)]
    return bytes_of(copy for copy in copies if _is_on(copy, device))


def _is_on(copy: Any, device: str) -> bool:
    kind, _, index = device.partition(":")
    where = tf.DeviceSpec.from_string(copy.device)
    return where.device_type == kind and (kind == "CPU" or where.device_index == int(index))


def _bytes(variable: Any) -> int:
    return int(tf.size(variable)) * tf.as_dtype(variable.dtype).size


def _copies(variable: Any) -> Iterator[Any]:
    inner = variable.value if isinstance(variable, keras.Variable) else variable
    yield from getattr(inner, "values", None) or (inner,)
