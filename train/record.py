"""What a run leaves behind: ``report.json`` and the summary on the terminal."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from rich.table import Table

from distribute import Devices, Program, Report
from distribute.environment import describe_environment
from distribute.report_text import variables_text
from distribute.targets import Target
from train.errors import InputError, ScriptError
from train.memory_history import MemoryHistory
from train.memory_need import MemoryNeed, find_need
from train.messages import first_line
from train.out_of_memory import explain_out_of_memory, read_exhaustion
from train.output import Output
from train.report_page.leave import leave_page
from train.run_folder import RunFolder
from train.step_history import StepHistory
from train.stop_signals import Stopped, failures_are_the_stop, raise_if_stopped

EMPTY_TRAINING: Mapping[str, Any] = {
    "steps": None,
    "epochs": None,
    "examples_per_second": None,
    "final_loss": None,
    "test_loss": None,
    "test_accuracy": None,
    "losses": None,
    "accuracies": None,
    "weights": None,
    "weights_sha256": None,
}

_HISTORIES = ("losses", "accuracies")


class Recording:
    """Collects what a run found, piece by piece, so that a run that ends early still leaves a report.

    Attributes:
      report: result of the checks.
      devices: what was made, None until then.
      transport: the ``transport`` entry of ``report.json``; empty where nothing was sent between devices.
      setup: the ``setup`` entry: what decides the result.
      training: the ``training`` entry of ``report.json``, as far as it is known; of a resumed run that of the run
        before, until there is more to say.
      console: where the run is told to the user.
      memory: what this process holds over time, once it was started.
      timelines: the same of other processes of the run, as ``memory.timelines`` of ``report.json`` has it.
      find_targets: finds the program and its data for a process that plans its memory; None until the run is known.
    """

    def __init__(self, folder: RunFolder, output: Output):
        self.report = Report()
        self.devices: Devices | None = None
        self.transport: dict[str, Any] = {}
        self.setup: dict[str, Any] = folder.read_report().get("setup", {}) if folder.resumed else {}
        self.training: dict[str, Any] = folder.read_report().get("training", {}) if folder.resumed else {}
        self.console = output.console
        self.memory = MemoryHistory()
        self.timelines: list[dict[str, Any]] = []
        self.find_targets: Callable[[], tuple[Target, Target]] | None = None
        self._folder = folder
        self._output = output
        self._before = self.training

    def keep(self, section: str, entry: Any) -> None:
        """Takes over what a process of the run tells: ``transport``, ``setup``, ``training``, more of the ``report``.

        What else it tells is not for the record.
        """
        keepers = {"transport": self.keep_transport, "setup": self.keep_setup, "training": self.add_training}
        if section == "report":
            self.report = self.report.merge(entry)
        elif section in keepers:
            keepers[section](entry)

    def keep_transport(self, entry: dict[str, Any]) -> None:
        """Takes over what was found on the ways between devices."""
        self.transport = entry

    def keep_setup(self, entry: dict[str, Any]) -> None:
        """Takes over what decides the result of the run."""
        self.setup = entry

    def add_training(self, entry: Mapping[str, Any]) -> None:
        """Takes over what this run did. What it did not measure, having no step left to do, stays as it was."""
        kept = self._before if self._before.get("steps") == entry["steps"] else {}
        histories = {name: StepHistory.joined(self._before.get(name), entry.get(name)) for name in _HISTORIES}
        entry = {**entry, **histories}
        self.training = {**kept, **{name: value for name, value in entry.items() if value is not None}}

    def find_need(self) -> MemoryNeed | str | None:
        """Plans what the run would need; None where it is not known what was to run."""
        if self.find_targets is None or self.devices is None:
            return None
        self.console.print("out of memory: planning what it needs and what would fit …")
        devices = self.devices
        return find_need(self.find_targets, num_replicas=len(devices.names), limit_mib=devices.memory_limit_mib)

    @property
    def has_found(self) -> bool:
        """Whether there is more to tell than that the run began."""
        return bool(self.report.checks) or self.training is not self._before

    def write_cut_short(self, exit_code: int, reason: str) -> None:
        """Writes ``report.json`` of a run that was stopped or failed by itself, unless an older one says more."""
        if not self._before or self.training is not self._before:
            self.write(exit_code, reason)
        else:
            self._output.write_record(self._folder.read_report())

    def write(self, exit_code: int, *notes: str) -> None:
        """Writes ``report.json`` and the page; its `ok` says that everything asked for passed, training included."""
        self.memory.stop()
        report, own = self.report.to_dict(), self.memory.to_dict()
        timelines = [*([{"process": "this process", **own}] if own else []), *self.timelines]
        record = {
            **report,
            "memory": {**report["memory"], "timelines": timelines},
            "ok": exit_code == 0,
            "environment": describe_environment(),
            "devices": self.devices.to_dict() if self.devices else {},
            "transport": self.transport,
            "setup": self.setup,
            "notes": [*self.report.notes, *notes],
            "training": {**EMPTY_TRAINING, **self.training},
        }
        try:
            self._folder.write_report(record)
        finally:
            self._output.write_record(record)
        leave_page(self._folder)

    def print_report(self, *, verbose: bool) -> None:
        """The verification: one screen, and with `verbose` every variable."""
        if self.report.checks:
            text = str(self.report) + ("\n" + variables_text(self.report) if verbose else "")
            self._output.judge(text, good=self.report.ok)

    def print_summary(self) -> None:
        """One table: what ran, on what, how well and how fast, and where the record is."""
        table = Table(show_header=False, box=None, pad_edge=False)
        training = {**EMPTY_TRAINING, **self.training}
        if self.devices:
            names = ", ".join(self.devices.names)
            table.add_row("replicas", f"{len(self.devices.names)} on {names} ({self.devices.placement})")
        table.add_row("steps", _shown(training["steps"], ",d"))
        table.add_row("final loss", _shown(training["final_loss"], ".4f"))
        measured = "accuracy" if training["test_accuracy"] is not None else "loss"
        table.add_row(f"test {measured}", _shown(training[f"test_{measured}"], ".4f"))
        table.add_row("examples/s", _shown(training["examples_per_second"], ",.0f"))
        self.console.print(table)


def leave_report(folder: RunFolder, run: Callable[[Recording], int], output: Output) -> int:
    """Calls `run` and writes ``report.json`` however it ends, except for input that was refused at the beginning.

    Returns:
      The exit code that `run` returned.

    Raises:
      ScriptError: what `run` raised; running out of memory becomes a `MachineError`.
      Stopped: a signal ended the run.
    """
    recording = Recording(folder, output)
    try:
        with failures_are_the_stop():
            exit_code = run(recording)
        raise_if_stopped()
    except Stopped as stop:
        recording.write_cut_short(stop.exit_code, stop.reason)
        raise
    except InputError as error:
        if recording.has_found:
            recording.write(error.exit_code, str(error))
        folder.remove_if_new()
        raise
    except ScriptError as error:
        recording.write(error.exit_code, str(error))
        raise
    except Exception as error:
        exhaustion = read_exhaustion(error)
        if exhaustion is None:
            recording.write_cut_short(1, f"{type(error).__name__}: {first_line(error)}")  # 1: as Python leaves
            raise
        memory = explain_out_of_memory(exhaustion, recording.devices, folder, recording.find_need)
        recording.write(memory.exit_code, str(memory))
        raise memory from error
    recording.write(exit_code)
    recording.console.print(folder.summary)
    return exit_code


def hash_weights(program: Program) -> str:
    """SHA-256 over the bytes of the model's variables, in the model's order: equal exactly when all bits are."""
    digest = hashlib.sha256()
    for variable in program.model.variables:
        digest.update(variable.numpy().tobytes())
    return digest.hexdigest()


def _shown(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)
