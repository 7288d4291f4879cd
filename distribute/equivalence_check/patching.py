"""Replaces attributes of TensorFlow and Keras for a while, and nothing for longer."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def patched(owner: Any, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """Inside, ``owner.name`` is ``wrap(original)``; where the class only inherits it, it inherits again after."""
    own = name in vars(owner)
    original = vars(owner)[name] if own else getattr(owner, name)
    setattr(owner, name, wrap(original))
    try:
        yield
    finally:
        if own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)


def defining_class(cls: type, name: str) -> type:
    """The class in the inheritance chain of `cls` that defines `name`, where a hook reaches every subclass."""
    return next(base for base in cls.__mro__ if name in vars(base))
