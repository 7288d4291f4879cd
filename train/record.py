"""What a run leaves behind: ``report.json`` and the summary on the terminal."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from rich.console import Console
from rich.table import Table

from distribute import Devices, Program, Report
from distribute.environment import describe_environment
from distribute.report_text import variables_text
from train.errors import InputError, MachineError, ScriptError
from train.messages import first_line
from train.run_folder import RunFolder

EMPTY_TRAINING: Mapping[str, Any] = {
    "steps": None,
    "epochs": None,
    "examples_per_second": None,
    "final_loss": None,
    "test_loss": None,
    "test_accuracy": None,
    "weights_sha256": None,
}


class Recording:
    """Collects what a run found, piece by piece, so that a run that ends early still leaves a report.

    Attributes:
      report: result of the checks.
      devices: what was made, None until then.
      training: the ``training`` entry of ``report.json``, as far as it is known.
    """

    def __init__(self, folder: RunFolder):
        self.report = Report()
        self.devices: Devices | None = None
        self.training: dict[str, Any] = {}
        self._folder = folder

    def write(self, exit_code: int, *notes: str) -> None:
        """Writes ``report.json``; its `ok` says that everything asked for passed, training included."""
        self._folder.write_report(
            {
                **self.report.to_dict(),
                "ok": exit_code == 0,
                "environment": describe_environment(),
                "devices": self.devices.to_dict() if self.devices else {},
                "notes": [*self.report.notes, *notes],
                "training": {**EMPTY_TRAINING, **self.training},
            }
        )

    def print_report(self, console: Console, *, verbose: bool) -> None:
        """The verification: one screen, and with `verbose` every variable."""
        if self.report.checks:
            text = str(self.report) + ("\n" + variables_text(self.report) if verbose else "")
            console.print(text, markup=False, highlight=False, soft_wrap=True)

    def print_summary(self, console: Console) -> None:
        """One table: what ran, on what, how well and how fast, and where the record is."""
        table = Table(show_header=False, box=None, pad_edge=False)
        training = {**EMPTY_TRAINING, **self.training}
        if self.devices:
            names = ", ".join(self.devices.names)
            table.add_row("replicas", f"{len(self.devices.names)} on {names} ({self.devices.placement})")
        table.add_row("steps", _shown(training["steps"], ",d"))
        table.add_row("final loss", _shown(training["final_loss"], ".4f"))
        table.add_row("test accuracy", _shown(training["test_accuracy"], ".4f"))
        table.add_row("images/s", _shown(training["examples_per_second"], ",.0f"))
        console.print(table, highlight=False)


def leave_report(folder: RunFolder, run: Callable[[Recording], int]) -> int:
    """Calls `run` and writes ``report.json`` however it ends, except for input that was refused.

    Returns:
      The exit code that `run` returned.

    Raises:
      ScriptError: what `run` raised; running out of memory becomes a `MachineError`.
    """
    recording = Recording(folder)
    try:
        exit_code = run(recording)
    except InputError:
        folder.remove_if_new()
        raise
    except ScriptError as error:
        recording.write(error.exit_code, str(error))
        raise
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        memory = MachineError(f"out of memory: {first_line(error)}; use more --memory_limit or a smaller batch")
        recording.write(memory.exit_code, str(memory))
        raise memory from error
    recording.write(exit_code)
    print(f"report         {folder.report}")
    return exit_code


def hash_weights(program: Program) -> str:
    """SHA-256 over the bytes of the model's variables, in the model's order: equal exactly when all bits are."""
    digest = hashlib.sha256()
    for variable in program.model.variables:
        digest.update(variable.numpy().tobytes())
    return digest.hexdigest()


def _shown(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)
