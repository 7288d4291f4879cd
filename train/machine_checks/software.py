"""Python, TensorFlow, Keras, and packages that disturb each other."""

import importlib.metadata
import platform
import sys
from collections.abc import Collection
from pathlib import Path

from train.machine_checks.probe import Probe
from train.machine_checks.row import Row, Status, version_tuple

_PYTHONS = ((3, 11), (3, 13))
_TENSORFLOW = (2, 21)
_KERAS = (3, 15, 1)
_SETUP = "make setup, or: pip install -c constraints.txt -r requirements.txt"

# Distributions that hold the same modules as another one: whichever was installed last wins.
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tf-nightly", "tf-nightly-cpu")


def software_rows(probe: Probe) -> list[Row]:
    """All rows of this module, versions first."""
    return [
        python_row(sys.version_info[:2]),
        tensorflow_row(probe),
        keras_row(probe),
        packages_row(installed_packages()),
    ]


def python_row(version: tuple[int, ...]) -> Row:
    """Python, whose version decides which TensorFlow can be installed."""
    least, most = _PYTHONS
    found = platform.python_version()
    if least <= tuple(version[:2]) <= most:
        return Row("Python", Status.OK, found)
    wanted = f"{least[0]}.{least[1]} to {most[0]}.{most[1]}"
    shown = ".".join(map(str, version[:2]))
    return Row("Python", Status.PROBLEM, shown, f"install Python {wanted}; make setup PYTHON=/path/to/python3.12")


def tensorflow_row(probe: Probe) -> Row:
    """TensorFlow, and why it cannot be imported where that is so."""
    if not probe.tensorflow:
        explained = probe.log.explained
        remedy = f"{explained[0].what}: {explained[0].remedies[0]}" if explained else _SETUP
        return Row("TensorFlow", Status.PROBLEM, f"cannot be imported: {probe.error}", remedy)
    if not _is_installed(probe.file):
        remedy = "a folder or file of that name goes before the installed one: rename it, or take it off PYTHONPATH"
        return Row("TensorFlow", Status.WARNING, f"{probe.tensorflow} from {probe.file}", remedy)
    if version_tuple(probe.tensorflow)[:2] != _TENSORFLOW:
        tested = ".".join(map(str, _TENSORFLOW))
        return Row("TensorFlow", Status.WARNING, f"{probe.tensorflow}; tested is {tested}", _SETUP)
    return Row("TensorFlow", Status.OK, probe.tensorflow)


def _is_installed(file: str) -> bool:
    return any(part in ("site-packages", "dist-packages") for part in Path(file).parts)


def keras_row(probe: Probe) -> Row:
    """Keras: older ones run code of whoever wrote a file that they load."""
    least = ".".join(map(str, _KERAS))
    if not probe.tensorflow:
        return Row("Keras", Status.SKIPPED, _installed_version("keras"), "its own import needs TensorFlow's")
    if not probe.keras:
        return Row("Keras", Status.PROBLEM, f"cannot be imported: {probe.keras_error}", _SETUP)
    if version_tuple(probe.keras) < _KERAS:
        remedy = f"pip install 'keras>={least}': older ones have holes in deserialisation (CVE-2025-1550, -8747, -9906)"
        return Row("Keras", Status.PROBLEM, f"{probe.keras}; {least} is needed", remedy)
    if probe.backend != "tensorflow":
        remedy = "unset KERAS_BACKEND, and the backend of ~/.keras/keras.json"
        return Row("Keras", Status.PROBLEM, f"{probe.keras} with the backend {probe.backend}", remedy)
    return Row("Keras", Status.OK, probe.keras)


def _installed_version(name: str) -> str:
    try:
        return importlib.metadata.version(name) + " is installed"
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"


def installed_packages() -> set[str]:
    """Names of the installed distributions, as pip lists them."""
    names = (distribution.metadata["Name"] for distribution in importlib.metadata.distributions())
    return {name.lower().replace("_", "-") for name in names if name}


def packages_row(installed: Collection[str]) -> Row:
    """Packages that must not be installed together, or at all."""
    several = [name for name in _TENSORFLOWS if name in installed]
    if len(several) > 1:
        remedy = f"pip uninstall -y {' '.join(several)}, then {_SETUP}: they overwrite each other's files"
        return Row("packages", Status.PROBLEM, " and ".join(several) + " are both installed", remedy)
    if "pynvml" in installed:
        remedy = (
            "pip uninstall -y pynvml && pip install --force-reinstall nvidia-ml-py, which is the module's own package"
        )
        return Row("packages", Status.WARNING, "pynvml, a deprecated package, is installed", remedy)
    return Row("packages", Status.OK, "none that disturb each other")
