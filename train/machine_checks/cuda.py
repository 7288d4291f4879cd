"""CUDA, cuDNN and NCCL: what TensorFlow was built with, and what is found."""

import ctypes
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.machine_checks.row import Row, Status

_INSTALL = "pip install -c constraints.txt -r requirements-gpu.txt"

# What a row shows, the wheel that brings it, and the file that TensorFlow opens.
_SHOWN = (
    ("CUDA", "nvidia-cuda-runtime-cu12", "libcudart.so.12"),
    ("cuDNN", "nvidia-cudnn-cu12", "libcudnn.so.9"),
    ("NCCL", "nvidia-nccl-cu12", "libnccl.so.2"),
)
_OTHER_FILES = {"nvidia-cublas-cu12": "libcublas.so.12", "nvidia-cufft-cu12": "libcufft.so.11"}


@dataclass(frozen=True)
class Library:
    """One of CUDA's libraries.

    Attributes:
      wheel: the distribution that brings it.
      required: versions that TensorFlow asks for, such as ``<13.0,>=12.5.82``.
      installed: the wheel's version; empty where it is not installed.
      opened: where its file could be opened, or empty.
      error: why its file could not be opened.
    """

    wheel: str
    required: str = ""
    installed: str = ""
    opened: str = ""
    error: str = ""

    @property
    def found(self) -> str:
        """For the row."""
        if self.installed:
            return f"{self.installed} (wheel)"
        return self.opened or "nothing"

    @property
    def fits(self) -> bool:
        """Whether the wheel's version is one that TensorFlow asks for; what has no version is given the benefit."""
        if not self.installed or not self.required:
            return True
        from packaging.specifiers import SpecifierSet  # a requirement of TensorFlow's, so there where this matters

        return self.installed in SpecifierSet(self.required)


def read_libraries() -> dict[str, Library]:
    """Every wheel that ``tensorflow[and-cuda]`` asks for, and whether the main files can be opened."""
    files = {wheel: file for _, wheel, file in _SHOWN} | _OTHER_FILES
    required = required_wheels()
    return {wheel: _read(wheel, required.get(wheel, ""), files.get(wheel)) for wheel in {**files, **required}}


def required_wheels() -> dict[str, str]:
    """Name and versions of the wheels of TensorFlow's extra ``and-cuda``; empty without TensorFlow."""
    try:
        lines = importlib.metadata.requires("tensorflow") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    wanted = [line.split(";")[0].strip() for line in lines if "and-cuda" in line]
    return {
        line.split("<")[0].split(">")[0].split("=")[0].strip(): line.lstrip("abcdefghijklmnopqrstuvwxyz0123456789-")
        for line in wanted
    }


def _read(wheel: str, required: str, file: str | None) -> Library:
    try:
        installed = importlib.metadata.version(wheel)
    except importlib.metadata.PackageNotFoundError:
        installed = ""
    if file is None:
        return Library(wheel, required, installed)
    opened, error = _open(file)
    return Library(wheel, required, installed, opened, error)


def _open(file: str) -> tuple[str, str]:
    """Opens a library as the wheels bring it, else as the system finds it."""
    for candidate in (*_in_wheels(file), file):
        try:
            ctypes.CDLL(candidate)
        except OSError as error:
            reason = str(error)
        else:
            return ("the wheel's" if "/" in candidate else f"{file} of the system"), ""
    return "", reason


def _in_wheels(file: str) -> list[str]:
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations or [] if spec else []
    return [str(path) for folder in folders for path in Path(folder).glob(f"*/lib/{file}")]


def cuda_rows(libraries: Mapping[str, Library], build: Mapping[str, Any], *, has_driver: bool) -> list[Row]:
    """A row each for CUDA, cuDNN and NCCL, and one for the other libraries."""
    if not build:
        reason = "what TensorFlow was built with is not known: it cannot be imported"
        return [Row("CUDA", Status.SKIPPED, reason, "see TensorFlow, above")]
    if str(build.get("is_cuda_build")) != "True":
        return [_without_cuda(has_driver)]
    built = {"CUDA": build.get("cuda_version"), "cuDNN": build.get("cudnn_version")}
    rows = [_row(name, libraries[wheel], built.get(name), has_driver) for name, wheel, _ in _SHOWN]
    shown = {wheel for _, wheel, _ in _SHOWN}
    others = [library for wheel, library in libraries.items() if wheel not in shown]
    return [*rows, _others_row(others, has_driver)]


def _without_cuda(has_driver: bool) -> Row:
    found = "this TensorFlow is built without CUDA"
    if has_driver:
        return Row("CUDA", Status.PROBLEM, found, f"pip uninstall -y tensorflow-cpu, then {_INSTALL}")
    return Row("CUDA", Status.OK, found + ", and there is no NVIDIA driver")


def _row(name: str, library: Library, built: Any, has_driver: bool) -> Row:
    found = (f"built with {built}, found " if built else "found ") + library.found
    if not library.fits:
        return Row(name, Status.PROBLEM, f"{found}; TensorFlow asks for {library.required}", _INSTALL)
    if library.opened:
        return Row(name, Status.OK, found)
    if not has_driver:
        return Row(name, Status.SKIPPED, found, "no NVIDIA driver, so it is not needed")
    return Row(name, Status.PROBLEM, f"{found}: {library.error}", _INSTALL)


def _others_row(libraries: list[Library], has_driver: bool) -> Row:
    wrong = [f"{one.wheel} {one.installed} ({one.required})" for one in libraries if not one.fits]
    missing = [one.wheel for one in libraries if not one.installed and not one.opened]
    name = "CUDA libraries"
    if wrong:
        return Row(name, Status.PROBLEM, "of another version than TensorFlow asks for: " + ", ".join(wrong), _INSTALL)
    if missing and not has_driver:
        return Row(name, Status.SKIPPED, f"{len(missing)} of {len(libraries)} wheels missing", "no NVIDIA driver")
    if missing:
        found = "no wheel of " + ", ".join(missing)
        return Row(name, Status.WARNING, found, f"{_INSTALL}, unless the system has them in the right versions")
    return Row(name, Status.OK, f"{len(libraries)} more, of versions that TensorFlow asks for")
