"""One message for a run that is out of memory, however TensorFlow words it, and all of it as ``oom_report.json``.

Modelled on XLA's own error: what was wanted, of what, who holds the rest, what to do, with figures.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distribute import Devices
from distribute.allocator_dump import AllocatorDump, read_allocator_dump
from distribute.log_explanation import Explained
from distribute.memory_check.child_process import Outcome
from distribute.out_of_memory import explained_as_memory, is_out_of_memory
from train.errors import MachineError
from train.machine_checks.nvidia import GpuFacts, read_nvidia
from train.memory_need import MemoryNeed
from train.messages import first_line
from train.run_folder import RunFolder

_LARGEST_SHOWN = 3


class ProcessOutOfMemoryError(RuntimeError):
    """Another process of the run ran out of memory.

    Attributes:
      what: which one, under which limit, where.
      outcome: how it ended.
    """

    def __init__(self, what: str, outcome: Outcome):
        super().__init__(f"{what}\n\nThat process said:\n{outcome.report}")
        self.what = what
        self.outcome = outcome


@dataclasses.dataclass(frozen=True)
class Exhaustion:
    """What is known of an allocation that failed.

    Attributes:
      error: what was raised, with its type.
      what: what that means, without figures.
      explained: as the doctor explains it; None for an allocator's own plain error.
      dump: the allocator's figures.
    """

    error: str
    what: str
    explained: Explained | None
    dump: AllocatorDump | None

    @property
    def headline(self) -> str:
        """One line: what happened, with the figures that the allocator gave."""
        return f"{self.what}: {self.dump or first_line(self.error.partition(': ')[2])}"


def read_exhaustion(error: BaseException) -> Exhaustion | None:
    """What an exception says of memory that has run out; None where it means something else."""
    if isinstance(error, ProcessOutOfMemoryError):
        outcome = error.outcome
        explained = explained_as_memory(outcome.text or outcome.log)
        dump = read_allocator_dump(f"{outcome.log}\n{outcome.text}")
        said = f"{outcome.error_types[0]}: {outcome.text}" if outcome.error_types else outcome.message
        return Exhaustion(said, error.what, explained, dump)
    if is_out_of_memory(error):
        explained = explained_as_memory(error)
        what = explained.what if explained else "out of memory"
        return Exhaustion(f"{type(error).__name__}: {error}", what, explained, read_allocator_dump(str(error)))
    return None


def explain_out_of_memory(
    exhaustion: Exhaustion,
    devices: Devices | None,
    folder: RunFolder,
    find_need: Callable[[], MemoryNeed | str | None] = lambda: None,
) -> MachineError:
    """The error to raise instead; writes ``oom_report.json`` into the folder of the run.

    Args:
      exhaustion: what is known.
      devices: what the run was made on, None where it had not come so far.
      folder: of the run.
      find_need: plans what the run needs, which takes a while; a text says why it cannot, None that nothing is known
        of the program.
    """
    gpus = read_nvidia().gpus
    report = _record(exhaustion, devices, gpus)
    folder.write_record("oom_report.json", report)  # before the planning, which can be interrupted
    need = find_need()
    path = folder.write_record("oom_report.json", {**report, "plan": _plan_record(need)})
    lines = [
        exhaustion.headline,
        *_policy(devices),
        *_others(gpus),
        *_held(need),
        _remedy(exhaustion.explained, devices, need),
    ]
    return MachineError("\n  ".join([*lines, f"all of it: {path}; the raw error: --debug"]))


def _policy(devices: Devices | None) -> Iterator[str]:
    if devices is not None:
        limit = f"--memory_limit={devices.memory_limit_mib}" if devices.memory_limit_mib else "no limit"
        yield f"in force: memory policy {devices.policy}, {limit}, {len(devices.names)} replicas on {devices.kind}"


def _others(gpus: Sequence[GpuFacts]) -> Iterator[str]:
    """Who else holds memory, by NVML; nothing without a GPU."""
    for gpu in gpus:
        others = [process for process in gpu.processes if process.pid != os.getpid()]
        held = ", ".join(f"{one.pid} {one.name or '(name not visible)'} {_mib(one.mib)}" for one in others)
        yield f"GPU {gpu.index}: {_mib(gpu.free_mib)} of {_mib(gpu.total_mib)} free; other processes: {held or 'none'}"


def _mib(mib: int | None) -> str:
    return "? MiB" if mib is None else f"{mib} MiB"


def _held(need: MemoryNeed | str | None) -> Iterator[str]:
    """What one step of a replica holds, by a recording of it without a limit."""
    if isinstance(need, MemoryNeed):
        plan = need.plan
        parts = ("parameters", "optimizer", "gradients", "activations", "temporaries", "other")
        held = ", ".join(f"{part} {getattr(plan, f'{part}_mib'):.1f}" for part in parts)
        yield f"a step of {plan.rows} examples holds {plan.peak_mib:.1f} MiB without a limit, on a CPU: {held}"
        yield f"its largest pieces: {'; '.join(map(str, plan.largest[:_LARGEST_SHOWN]))}"
    elif need:
        yield f"no plan of what it needs: {need}"


def _remedy(explained: Explained | None, devices: Devices | None, need: MemoryNeed | str | None) -> str:
    remedies = explained.remedies[:2] if explained else ()
    if isinstance(need, MemoryNeed):
        planned = _needed_beside(need, devices) if devices and devices.kind == "gpu" else _planned(need)
        return "; or ".join([f"try: {planned}", *remedies[:1]])
    if need is not None:  # it could not be planned, and cannot the next time
        return "; or ".join(["try: a smaller batch, or a larger --memory_limit", *remedies])
    replicas = f"--virtual_gpus={len(devices.names)} " if devices else ""
    limit = (
        f"--memory_limit={devices.memory_limit_mib}" if devices and devices.memory_limit_mib else "--memory_limit=MiB"
    )
    plan = f"python train/plan.py {replicas}{limit} says which --global_batch_size fits, and which limit this one needs"
    return "; or ".join([f"try: {plan}", *remedies])


def _planned(need: MemoryNeed) -> str:
    limit = f"--memory_limit={need.plan.limit_mib}"
    beside = "planned on a CPU for the step alone: cached input and sums over replicas come on top"
    if need.fitting_rows is None:
        return f"{limit}, {beside}"
    if need.fitting_rows >= need.plan.rows:
        return f"look for what else takes memory, such as a leak, since the step needs no more than {limit}, {beside}"
    if need.fitting_rows == 0:
        return f"{limit}, {beside}; under this limit not even one example on each replica fits"
    return f"{limit}, or --global_batch_size={need.fitting_rows * need.plan.num_replicas} under this one, {beside}"


def _needed_beside(need: MemoryNeed, devices: Devices) -> str:
    """On a GPU, where the plan is but a part: cuDNN's work space was three times as much when that was measured."""
    limit = devices.memory_limit_mib
    larger = f"--memory_limit={2 * max(limit, need.plan.limit_mib)}" if limit else "fewer replicas on a GPU"
    tensors = f"the step's own tensors need {need.plan.limit_mib} MiB, planned on a CPU"
    return f"{larger}, or a smaller --global_batch_size: {tensors}, and cuDNN's work space comes on top"


def _plan_record(need: MemoryNeed | str | None) -> dict[str, Any]:
    if isinstance(need, MemoryNeed):
        return {**need.plan.to_dict(), "fitting_rows": need.fitting_rows}
    return {"failed": need} if need else {}


def _record(exhaustion: Exhaustion, devices: Devices | None, gpus: Sequence[GpuFacts]) -> dict[str, Any]:
    return {
        "error": exhaustion.error,
        "what": exhaustion.what,
        "explained": dataclasses.asdict(exhaustion.explained) if exhaustion.explained else {},
        "allocator": dataclasses.asdict(exhaustion.dump) if exhaustion.dump else {},
        "devices": devices.to_dict() if devices else {},
        "memory_policy": devices.policy if devices else None,
        "gpus": [dataclasses.asdict(gpu) for gpu in gpus],
        "plan": {},
    }
