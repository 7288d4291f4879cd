"""What of a recipe must stay the same when a run is resumed, noted beside its checkpoints."""

from typing import Any

from configs.recipe import Recipe
from train.errors import InputError
from train.run_folder import RunFolder

# What decides which examples a step sees, and the dtype of what is restored. Free to change: the number of steps, the
# learning rate, and everything about devices. Another model or optimizer does not fit the checkpoint and is told there.
_FIXED = ("dataset", "global_batch_size", "seed", "max_shift", "dtype_policy")


def note_recipe(folder: RunFolder, recipe: Recipe) -> None:
    """Writes down what `require_same_recipe` compares."""
    folder.write_recipe({name: getattr(recipe, name) for name in _FIXED})


def require_same_recipe(folder: RunFolder, recipe: Recipe) -> None:
    """Refuses to go on with other data, batches or dtype than the run began with.

    Raises:
      InputError: a field differs.
    """
    noted = folder.read_recipe()  # empty where the note was lost: nothing can be compared then
    differing = [
        _difference(name, getattr(recipe, name), noted[name])
        for name in _FIXED
        if name in noted and noted[name] != getattr(recipe, name)
    ]
    if differing:
        raise InputError(
            f"--resume: {'; '.join(differing)} in {folder.path}: give what it began with, or name another --output_dir"
        )


def _difference(name: str, asked: Any, noted: Any) -> str:
    flag = f"--{name}" if name in ("dataset", "global_batch_size", "seed") else f"the recipe's {name}"
    return f"{flag} is {asked} now, and the run began with {noted}"
