"""Finds the recipe that ``--config`` names and applies the flags that override it."""

import dataclasses
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import tensorflow as tf
from absl import flags

from configs.recipe import Recipe
from train.errors import InputError
from train.user_code import describe_failure

_OVERRIDES = ("epochs", "global_batch_size", "learning_rate", "dataset", "seed")


def recipe_from_flags(values: flags.FlagValues) -> Recipe:
    """The recipe of ``--config`` with every flag that was given in place of its own value.

    Raises:
      InputError: the recipe cannot be loaded or is not one.
    """
    given = {name: getattr(values, name) for name in _OVERRIDES if getattr(values, name) is not None}
    recipe = load_recipe(values.config)
    return call_recipe(values.config, lambda: dataclasses.replace(recipe, **given))


def load_recipe(name: str) -> Recipe:
    """Calls ``get_config()`` of a module (``configs.digits``) or of a file (``path/to/recipe.py``).

    Raises:
      InputError: there is no such module or file, it fails, or it returns something else than a `Recipe`.
    """
    module = _load_module(name)
    if not hasattr(module, "get_config"):
        raise InputError(f"--config={name} has no get_config(): define it, returning a configs.recipe.Recipe")
    recipe = call_recipe(name, module.get_config)
    if not isinstance(recipe, Recipe):
        raise InputError(
            f"get_config() of --config={name} returned {type(recipe).__name__}, not a configs.recipe.Recipe"
        )
    return recipe


def _load_module(name: str) -> ModuleType:
    if name.endswith(".py"):
        return _load_file(Path(name))
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a parent package that is missing, or a name that cannot be one
        found = None
    except Exception as error:  # noqa: BLE001  # finding a submodule runs its package, foreign code
        raise InputError(describe_failure(f"--config={name}", error)) from error
    if found is None:
        raise InputError(f"--config={name} is no importable module: give one, such as configs.digits, or a .py file")
    return call_recipe(name, importlib.import_module, name)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"--config={path} does not exist (looked in {Path.cwd()})")
    spec = importlib.util.spec_from_file_location(f"recipe_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"--config={path} cannot be loaded as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks its annotations up
    call_recipe(str(path), spec.loader.exec_module, module)
    return module


def call_recipe(name: str, function: Any, *args: Any) -> Any:
    """Runs the user's code; whatever it raises is a broken recipe, told in one line (the cause shows with --debug).

    Raises:
      InputError: it raised something, other than running out of memory, which is not the recipe's fault.
    """
    try:
        return function(*args)
    except tf.errors.ResourceExhaustedError:
        raise
    except (Exception, SystemExit) as error:  # foreign code may raise anything, and scripts leave when imported
        raise InputError(describe_failure(f"--config={name}", error)) from error
