"""What a run is, field by field: recipe, data, model, optimizer, code and versions; noted beside its checkpoints.

Devices, number of steps and learning rate are not in it: a run may go on with others.
"""

import dataclasses
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from configs.recipe import Recipe
from distribute import Program
from train.data import Source
from train.verification import Subject

Fingerprint = Mapping[str, Mapping[str, Any]]
"""By section (recipe, data, model, optimizer, code, versions), by field, a value as JSON has it."""

_REPOSITORY = Path(__file__).resolve().parent.parent
# Where what a step computes is written; the recipe's own file stands under the name "recipe".
_CODE = ("models/**/*.py", "configs/recipe.py", "train/step.py", "train/data.py", "train/texts.py", "train/sharding.py")
_FREE_FIELDS = ("epochs", "learning_rate")
# Of a layer's configuration: names count up with what was built before, and places in files change.
_FREE_KEYS = ("name", "learning_rate", "module", "registered_name", "shared_object_id", "build_config")
_HASHED_BYTES = 256 * 2**20


def take_fingerprint(subject: Subject, program: Program) -> Fingerprint:
    """The fingerprint of a run of `program`, built from `subject`."""
    fingerprint = {
        "recipe": recipe_fields(subject.recipe),
        "data": _data_fields(subject.source),
        "model": _layer_fields(program.model),
        "optimizer": {"class": type(program.optimizer).__name__, **_plain(program.optimizer.get_config())},
        "code": _code_fields(subject.config),
        "versions": _versions(),
    }
    return json.loads(json.dumps(fingerprint))


def digests(subject: Subject) -> dict[str, int]:
    """Of recipe, data, code and versions, which all machines of a run must have alike, a number each."""
    sections = {
        "recipe": recipe_fields(subject.recipe),
        "data": _data_fields(subject.source),
        "code": _code_fields(subject.config),
        "versions": _versions(),
    }
    texts = {name: json.dumps(fields, sort_keys=True, default=str) for name, fields in sections.items()}
    return {name: int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) for name, text in texts.items()}


def recipe_fields(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides which examples a step sees, and the dtype of what is restored."""
    fields = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)}
    plain = {name: value for name, value in fields.items() if name not in _FREE_FIELDS and not callable(value)}
    return {**plain, "measure": getattr(recipe.measure, "__name__", type(recipe.measure).__name__)}


def _versions() -> dict[str, str]:
    return {"tensorflow": tf.__version__, "keras": keras.__version__}


def _data_fields(source: Source) -> dict[str, Any]:
    return {
        "number of training examples": source.num_train_examples,
        "shape of an input": list(source.input_shape),
        "number of outputs": source.num_outputs,
        "SHA-256": _hash_examples(source.train),
    }


def _hash_examples(examples: tf.data.Dataset) -> str:
    """SHA-256 over inputs and labels in stored order; beyond 256 MiB their number has to do."""
    digest, num_bytes = hashlib.sha256(), 0
    for batch in examples.batch(1024).as_numpy_iterator():
        for part in batch:
            digest.update(part.tobytes())
            num_bytes += part.nbytes
        if num_bytes >= _HASHED_BYTES:
            break
    return digest.hexdigest()


def _layer_fields(model: keras.Model) -> dict[str, Any]:
    layers = [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]
    fields: dict[str, Any] = {"number of layers": len(layers), "number of weights": model.count_params()}
    for index, layer in enumerate(layers):
        fields[f"layer {index}"] = type(layer).__name__
        for key, value in _layer_config(layer).items():
            fields[f"layer {index} ({type(layer).__name__}) {key}"] = value
    return fields


def _layer_config(layer: keras.Layer) -> dict[str, Any]:
    try:
        config = _plain(layer.get_config())
    except NotImplementedError:  # a layer of the user's own, which need not have one
        config = {}
    return {**config, "dtype": layer.dtype_policy.name}


def _plain(value: Any) -> Any:
    """The numbers and texts of a Keras configuration; what is code, or has an address, is left out."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key not in _FREE_KEYS and not _is_code(item)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, int | float | str | None) else type(value).__name__


def _is_code(value: Any) -> bool:
    """A serialised lambda holds the place of its source, and Python's version."""
    return callable(value) or (isinstance(value, Mapping) and value.get("class_name") == "__lambda__")


def _code_fields(config: str) -> dict[str, str]:
    ours = {path.relative_to(_REPOSITORY).as_posix(): path for path in _sources()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in (ours | _recipe_file(config)).items()}


def _sources() -> Iterable[Path]:
    return (path for pattern in _CODE for path in sorted(_REPOSITORY.glob(pattern)))


def _recipe_file(config: str) -> dict[str, Path]:
    """The file of the recipe; none where it is a module that Python loaded from elsewhere than a file."""
    spec = None if config.endswith(".py") else importlib.util.find_spec(config)
    path = Path(spec.origin) if spec and spec.origin else Path(config)
    return {"recipe": path} if path.is_file() else {}
