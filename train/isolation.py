"""``--isolation=process``: this process verifies and trains nothing itself, it watches those that do.

One process proves the recipe on logical devices, as without isolation, and ends, so that nothing of it is left on a
GPU. Then one process for each replica trains, under a limit of its own. No device is touched here.
"""

import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from configs.recipe import Recipe
from distribute import Devices, Report
from distribute.cluster import WorkerFailedError, run_on_this_machine
from distribute.process_devices import plan_process_devices
from train.device_flags import with_device_flags
from train.from_flags import require_batch_for_each_replica
from train.proof import exit_code_of
from train.rerun import with_command
from train.stop_signals import StopSignals, raise_if_stopped
from train.worker_failure import explained
from train.working import under_way

if TYPE_CHECKING:
    from train.record import Recording
    from train.run_folder import RunFolder


def run_in_processes(values: flags.FlagValues, recipe: Recipe, folder: "RunFolder", recording: "Recording") -> int:
    """What `train.main.run` does, in processes; returns the exit code.

    Raises:
      ScriptError: what the first process that failed told; all processes have ended.
      Stopped: a signal ended the run.
    """
    devices, environments = with_device_flags(plan_process_devices, values)
    recording.devices = devices
    recording.console.print(devices.summary)
    require_batch_for_each_replica(recipe, devices)

    if values.verify != "off":
        with under_way(recording.console, "verifying"):
            found = prove_in_process(values, recording)
        recording.report = with_command(found, values, sys.argv[0])
        recording.print_report(verbose=values.verbose)
    recording.report = with_memory(recording.report, devices)
    if not recording.report.ok or values.steps == 0:
        return exit_code_of(recording.report)

    results = _train(values, devices, environments, folder, recording)
    recording.timelines = [
        {"process": f"replica {index}", **result["timeline"]} for index, result in enumerate(results)
    ]
    peaks = [result["peak_mib"] for result in results]
    recording.report = with_memory(recording.report, devices, peaks)
    recording.print_summary()
    if None not in peaks:
        each = ", ".join(f"{peak:.1f}" for peak in peaks)
        recording.console.print(f"peak memory    {each} MiB")
    return 0


def with_log(environment: Mapping[str, str]) -> dict[str, str]:
    """TensorFlow's whole log, which nobody sees: it explains what ends a process."""
    return {**environment, "TF_CPP_MIN_LOG_LEVEL": "0"}


def prove_in_process(values: flags.FlagValues, recording: "Recording") -> Report:
    """Verifies on logical devices of a process that ends with them.

    Raises:
      ScriptError: what that process told.
      Stopped: a signal ended it.
    """
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    with explaining(lambda failure: "the process that verifies", None) as stop:
        (report,) = run_on_this_machine(
            "train.worker:prove",
            {"argv": sys.argv},
            [environment],
            on_news=lambda index, news: recording.keep(*news),
            stop=lambda: stop.number,
        )
    return report


def _train(
    values: flags.FlagValues,
    devices: Devices,
    environments: Sequence[Mapping[str, str]],
    folder: "RunFolder",
    recording: "Recording",
) -> list[dict[str, Any]]:
    device = {
        "num_devices": 1,
        "kind": devices.kind,
        "memory_limit_mib": devices.memory_limit_mib,
        "policy": values.memory_policy,
    }
    with (
        tempfile.TemporaryDirectory(prefix="train-replicas-") as scratch,
        explaining(lambda failure: f"replica {failure.index}", devices.memory_limit_mib) as stop,
    ):
        arguments = {
            "argv": sys.argv,
            "device": device,
            "cluster": {
                "num_processes": len(environments),
                "num_local_processes": len(environments),
                "shares_device": devices.placement == "virtual",
            },
            "folder": str(folder.path),
            "scratch": scratch,
        }
        return run_on_this_machine(
            "train.worker:train",
            arguments,
            environments if values.debug else [with_log(one) for one in environments],
            on_news=lambda index, news: recording.keep(*news),
            stop=lambda: stop.number,
            show_all=values.debug,
        )


@contextlib.contextmanager
def explaining(who: Callable[[WorkerFailedError], str], limit_mib: int | None) -> Iterator[StopSignals]:
    """Hands a signal on to the processes, which say what they do about it, and explains what ended them.

    Args:
      who: names the process that failed.
      limit_mib: that it ran under, None without one.
    """
    with StopSignals(finish_step=True, silent=True) as stop:
        try:
            yield stop
        except WorkerFailedError as failure:
            raise_if_stopped()
            error = explained(failure, who(failure), limit_mib)
            raise error from (None if error is failure else failure)
    raise_if_stopped()


def with_memory(report: Report, devices: Devices, peaks: Sequence[float | None] = ()) -> Report:
    """`report` with the limit, the names of the processes, and what their allocators counted over their whole life.

    What the memory check measured of a replica stays its ``peak_mib``.
    """
    checked = report.memory.get("replicas") or [{"peak_mib": peak} for peak in peaks]
    replicas = [{**replica, "device": name} for name, replica in zip(devices.names, checked, strict=False)]
    for replica, peak in zip(replicas, peaks, strict=False):
        replica["training_peak_mib"] = peak
    memory = {"limit_mib": devices.memory_limit_mib, **report.memory, "replicas": replicas}
    return dataclasses.replace(report, memory=memory)
