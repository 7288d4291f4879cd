"""Importable targets: how a program and its data are named to another process, and found again there.

A target is ``"package.module:name"``, or ``("package.module:name", {keyword: JSON value})`` for a function
that takes arguments. Code cannot be sent to another process, a name can.
"""

import functools
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

Target = str | tuple[str, Mapping[str, Any]]

_FORM = 'a target is "package.module:name" or ("package.module:name", {keyword: JSON value})'


def parse_target(target: Target) -> tuple[str, dict[str, Any]]:
    """Splits a target into its name and its keywords, without importing anything.

    Raises:
      ValueError: the target has another form, or names something that another process cannot import.
    """
    name, keywords = (target, {}) if isinstance(target, str) else _pair(target)
    module, _, attribute = name.partition(":")
    if not module or not attribute or module.startswith("."):
        raise ValueError(f"{_FORM}; got {target!r}")
    if module == "__main__":
        raise ValueError(f"{name!r}: another process cannot import __main__; put {attribute!r} into a module")
    try:
        json.dumps(keywords)
    except TypeError as error:
        raise ValueError(f"the keywords of target {name!r} must be JSON values: {error}") from error
    return name, keywords


def _pair(target: Any) -> tuple[str, dict[str, Any]]:
    match target:
        case (str(name), Mapping() as keywords):
            return name, dict(keywords)
        case _:
            raise ValueError(f"{_FORM}; got {target!r}")


def resolve_build(target: Target) -> Callable[[], Any]:
    """Imports a ``build`` target and binds its keywords.

    Raises:
      ValueError: nothing of that name, or it cannot be called without further arguments.
    """
    name, keywords = parse_target(target)
    build = _import(name)
    if not callable(build):
        raise ValueError(f"build target {name!r} is a {type(build).__name__}, not a function")
    missing = _required_parameters(build, keywords)
    if missing:
        raise ValueError(f"build target {name!r} is called without arguments; still missing: {', '.join(missing)}")
    return functools.partial(build, **keywords)


def resolve_data(target: Target) -> Callable[[], Any]:
    """Imports a ``data`` target and returns a function that gives the data.

    The data is a list or a Dataset of global batches, or a function of an `InputContext`. A target that is a
    function without required parameters gives what it returns, one with a required parameter is itself that
    function.

    Raises:
      ValueError: nothing of that name, or a function with more than one required parameter.
    """
    name, keywords = parse_target(target)
    data = _import(name)
    if not callable(data):
        if keywords:
            raise ValueError(f"data target {name!r} is a {type(data).__name__}; it takes no keywords: {keywords}")
        return lambda: data
    missing = _required_parameters(data, keywords)
    if len(missing) > 1:
        raise ValueError(f"data target {name!r} may need one argument, an InputContext; needs {', '.join(missing)}")
    if not missing:
        return functools.partial(data, **keywords)
    return lambda: lambda context: data(**{missing[0]: context}, **keywords)


def _import(name: str) -> Any:
    module_name, _, attributes = name.partition(":")
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that the target's own module fails to import is that module's error, and goes up unchanged.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        parent = sys.modules.get(error.name.rpartition(".")[0])
        within = f"in package {_described(parent)}: does its folder need an __init__.py?" if parent else "on sys.path"
        raise ValueError(f"target {name!r}: there is no module {error.name!r} {within}") from error
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise ValueError(f"target {name!r}: module {_described(found)} has no {attributes!r}")
        found = getattr(found, attribute)
    return found


def _described(module: Any) -> str:
    """With its file: another module of that name may have come first on the path."""
    return f"{module.__name__!r} ({getattr(module, '__file__', None) or 'a folder'})"


def _required_parameters(function: Callable[..., Any], bound: Mapping[str, Any]) -> list[str]:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty and parameter.kind not in variadic and name not in bound
    ]
