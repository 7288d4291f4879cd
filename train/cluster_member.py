"""A run on a cluster: this process is one of several that ``TF_CONFIG``, or Slurm, names; each has devices of its own.

As with ``--isolation=process`` it trains nothing itself and watches the process that does. TensorFlow aborts a process
that has lost another one, or lets it wait: only from outside does every end become a message and an exit code.
"""

import dataclasses
import functools
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psutil
from absl import flags

from configs.recipe import Recipe
from distribute import Devices, Report
from distribute.cluster import Member, WorkerFailedError, run_on_this_machine
from distribute.cluster_processes.address import split_address
from distribute.cluster_processes.config_error import ClusterConfigError
from distribute.cluster_processes.network import check_network, exposure_warning
from distribute.cluster_processes.slurm import slurm_member
from distribute.cluster_processes.tf_config import read_tf_config
from distribute.process_devices import plan_member_devices
from train.device_flags import with_device_flags
from train.errors import InputError, MachineError, tell
from train.from_flags import require_batch_for_each_replica
from train.isolation import explaining, prove_in_process, with_log, with_memory
from train.loop_check import CLUSTER, skipped_loop_check
from train.proof import exit_code_of
from train.rerun import with_command
from train.run_folder import RunFolder, open_run_folder
from train.verification import reason_against_loop_check

if TYPE_CHECKING:
    from train.record import Recording

# Of the first task of a node. Jobs that share a node differ by their numbers, so that most take other ports.
_FIRST_SLURM_PORT, _PORTS_OF_A_JOB, _NUM_JOBS = 20_000, 32, 300
# The name of a Kubernetes Service may appear seconds after its pod.
_KUBERNETES_NAME_S = 20.0
# TensorFlow is first to say that somebody did not come; this process ends it if it does not.
_GRACE_S = 5.0
_KNOCK_S = 0.5


def find_member(environment: Mapping[str, str]) -> Member | None:
    """Which process of a cluster this one is, by ``TF_CONFIG`` or by Slurm's variables; None for a run of its own.

    Raises:
      InputError: TensorFlow would hang, fail, or silently train alone, with what is set.
    """
    patience = {"own_host_within_s": _KUBERNETES_NAME_S} if "KUBERNETES_SERVICE_HOST" in environment else {}
    try:
        if "TF_CONFIG" in environment:
            member = read_tf_config(environment["TF_CONFIG"], **patience)
        else:
            found = slurm_member(environment, _slurm_port(environment))
            if found is None:
                return None
            member = found
            check_network(member)
    except ClusterConfigError as error:
        raise InputError(str(error)) from error
    return member if len(member.addresses) > 1 else None


def _slurm_port(environment: Mapping[str, str]) -> int:
    job = environment.get("SLURM_JOB_ID", "")
    return _FIRST_SLURM_PORT + _PORTS_OF_A_JOB * (int(job) % _NUM_JOBS if job.isdigit() else 0)


def open_member_folder(values: flags.FlagValues, member: Member) -> tuple[RunFolder, RunFolder]:
    """The folder of the run, which all processes share, and the one for this process's own report.

    Raises:
      InputError: as `open_run_folder`.
    """
    folder = open_run_folder(values.output_dir, resume=values.resume)
    if member.is_chief:
        return folder, folder
    return folder, open_run_folder(str(folder.path / f"worker-{member.index}"), resume=False)


def run_as_member(
    values: flags.FlagValues, recipe: Recipe, member: Member, folder: RunFolder, recording: "Recording"
) -> int:
    """What `train.main.run` does, as one process of a cluster; returns the exit code.

    Raises:
      ScriptError: what ended the run; the other processes end as well, when they notice.
      Stopped: a signal ended the run, on all processes.
    """
    console, num_processes = recording.console, len(member.addresses)
    plan = functools.partial(plan_member_devices, num_processes=num_processes)
    devices, environment = with_device_flags(plan, values)
    recording.devices = devices
    console.print(f"process {member.index} of {num_processes}, {member.address}")
    console.print(devices.summary)
    if warning := exposure_warning(member):
        tell(f"warning: {warning}")
    require_batch_for_each_replica(recipe, devices)

    own = dataclasses.replace(devices, names=_own_names(devices, member))
    if values.verify != "off":
        recording.report = with_command(prove_in_process(values, recording), values, sys.argv[0])
        recording.print_report(verbose=values.verbose)
    recording.report = with_memory(recording.report, own)
    if not recording.report.ok or values.steps == 0:
        return exit_code_of(recording.report)
    check_step = _checks_step(values, recording)
    result = _train(values, devices, member, environment, folder, recording, check_step=check_step)
    if result is None:
        recording.print_report(verbose=values.verbose)
        return exit_code_of(recording.report)
    recording.training |= result["test"]
    recording.timelines = [{"process": f"process {member.index}", **result["timeline"]}]
    if member.is_chief:
        recording.print_summary()
    return 0


def _own_names(devices: Devices, member: Member) -> tuple[str, ...]:
    number = len(devices.names) // len(member.addresses)
    return devices.names[member.index * number : (member.index + 1) * number]


def _checks_step(values: flags.FlagValues, recording: "Recording") -> bool:
    """Whether the step over all processes is to be verified; notes why not, where verification was asked for.

    All processes decide alike: they have proved the same recipe.
    """
    if values.verify not in ("all", "gradients"):
        return False
    reason = reason_against_loop_check(recording.report)
    if reason:
        recording.keep("report", Report(checks=[skipped_loop_check(reason, CLUSTER)]))
    return not reason


def _train(
    values: flags.FlagValues,
    devices: Devices,
    member: Member,
    environment: Mapping[str, str],
    folder: RunFolder,
    recording: "Recording",
    *,
    check_step: bool,
) -> dict[str, Any] | None:
    """What the process that trains finished with; None where the step over all processes is wrong."""
    environment = {**environment, "TF_CONFIG": member.tf_config()}
    watch = _Watch(member, values.form_timeout, values.notice_timeout)
    with (
        tempfile.TemporaryDirectory(prefix="train-member-") as scratch,
        explaining(functools.partial(_who, member), devices.memory_limit_mib) as stop,
    ):
        (result,) = run_on_this_machine(
            "train.worker:train",
            {
                "argv": sys.argv,
                "device": {
                    "num_devices": len(_own_names(devices, member)),
                    "kind": devices.kind,
                    "memory_limit_mib": devices.memory_limit_mib,
                    "policy": values.memory_policy,
                },
                "cluster": {
                    "num_processes": len(member.addresses),
                    "num_local_processes": member.num_on_its_host,
                    "shares_device": devices.placement == "virtual" or devices.kind == "cpu",
                    "patience": [values.form_timeout, values.notice_timeout],
                },
                "folder": str(folder.path),
                "scratch": scratch,
                "first_index": member.index,
                "check_step": check_step,
            },
            [environment if values.debug else with_log(environment)],
            on_news=lambda index, news: watch.joined() if news[0] == "joined" else recording.keep(*news),
            stop=lambda: watch.check() or stop.number,
            show_all=values.debug,
        )
    return result


def _who(member: Member, failure: WorkerFailedError) -> str:
    """The process that failed by its number and address: this one, or one that is lost."""
    index = member.index
    if failure.lost:
        index = failure.index + (member.has_chief and failure.lost == "worker")
    return f"process {index} ({member.addresses[index]})"


class _Watch:
    """Bounds how long this process waits: for all others to come, and for its own child to run.

    Of a peer that does not answer TensorFlow tells the child.
    """

    def __init__(self, member: Member, form_timeout_s: float, notice_timeout_s: float):
        self._member, self._timeout_s, self._notice_timeout_s = member, form_timeout_s, notice_timeout_s
        self._deadline = time.monotonic() + form_timeout_s + _GRACE_S
        self._seen_running = time.monotonic()

    def joined(self) -> None:
        """They have all come."""
        self._deadline = float("inf")

    def check(self) -> int:
        """0, as long as there is time.

        Raises:
          MachineError: somebody did not come, or the child was stopped.
        """
        now = time.monotonic()
        if not any(map(_is_stopped, psutil.Process().children())):
            self._seen_running = now
        if now - self._seen_running > self._notice_timeout_s:
            raise MachineError(
                f"process {self._member.index} ({self._member.address}) was stopped, as by SIGSTOP, for "
                f"--notice_timeout={self._notice_timeout_s:g} s, so all processes were ended; --resume goes on"
            )
        if now < self._deadline:
            return 0
        raise _did_not_come(self._member, self._timeout_s)


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:  # it has just ended
        return False


def _did_not_come(member: Member, timeout_s: float) -> MachineError:
    silent = [
        f"process {index} ({address})"
        for index, address in enumerate(member.addresses)
        if index != member.index and not _answers(address)
    ]
    who = f"{', '.join(silent)}: nothing answers there" if silent else "all addresses answer, so it may be a firewall"
    return MachineError(
        f"not all {len(member.addresses)} processes came within --form_timeout={timeout_s:g} s; {who}; start all with "
        "the same TF_CONFIG but for the task, then all with --resume where there is a checkpoint"
    )


def _answers(address: str) -> bool:
    try:
        with socket.create_connection(split_address(address), timeout=_KNOCK_S):
            return True
    except OSError:
        return False
