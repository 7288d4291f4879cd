"""Where in the user's code a program is made: the lines of its layers, and of `compile()`."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras

from ..source_lines import user_line
from .patching import defining_class, patched


class BuildPlaces:
    """The user's lines that made layers, and that compiled a model."""

    def __init__(self) -> None:
        self.compiled = ""
        self._layers: list[tuple[Any, str]] = []

    def made(self, layer: Any) -> None:
        """Notes a layer that is being made."""
        self._layers.append((layer, user_line()))

    def of(self, name: str) -> str:
        """The user's line that made the layer of this name."""
        return next((place for layer, place in self._layers if getattr(layer, "name", "") == name), "")


@contextlib.contextmanager
def building(places: BuildPlaces) -> Iterator[None]:
    """Inside, every layer that is made and the model that is compiled are noted with the user's line."""

    def making(original: Any) -> Any:
        # Not `__init__`: Keras reads its signature to record a layer's configuration.
        def new(cls: type, *args: Any, **kwargs: Any) -> Any:
            layer = original.__func__(cls, *args, **kwargs)
            places.made(layer)
            return layer

        return staticmethod(new)

    def compiling(original: Any) -> Any:
        @functools.wraps(original)
        def compile_model(model: Any, *args: Any, **kwargs: Any) -> Any:
            places.compiled = user_line()
            return original(model, *args, **kwargs)

        return compile_model

    with contextlib.ExitStack() as stack:
        stack.enter_context(patched(keras.layers.Layer, "__new__", making))
        stack.enter_context(patched(defining_class(keras.Model, "compile"), "compile", compiling))
        yield
