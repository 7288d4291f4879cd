"""From measured memory to checks: what passes, what fails, and what a reader is told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..report import Check, Report
from .advice import Advice
from .trace import MIB, MemoryTrace, split_sum

LIMIT = "memory_bounds/limit"
REFERENCE = "memory_bounds/reference"
GROWTH = "memory_bounds/growth"
# What a program itself gets wrong when it runs as a replica; `execution` alone is the name of verify's own
# check.
EXECUTION = "execution/memory"


@dataclass(frozen=True)
class OutOfLimit:
    """A replica that ended under its limit, and runs without one.

    Attributes:
      message: how it ended.
      advice: a limit that works, None where none was looked for because the program grows without end.
    """

    message: str
    advice: Advice | None


@dataclass(frozen=True)
class Measured:
    """Everything that one check measured.

    Attributes:
      limit_mib: limit per replica, None where there is none.
      devices: names of the replicas' devices.
      replicas: one trace per replica; a single one stands for all of them.
      reference: the single device with the whole global batch, None where it could not be measured.
      no_reference: why there is none.
      out_of_limit: set where a replica did not get through under its limit; ``replicas`` are then without a
      limit.
      how: how a replica was measured, a sentence for the report.
      process: the ledger of the process, as ``report.json`` has it.
      first_compared: the step from which on replicas and reference are held against each other.
    """

    limit_mib: int | None
    devices: Sequence[str]
    replicas: Sequence[MemoryTrace]
    reference: MemoryTrace | None = None
    no_reference: str = ""
    out_of_limit: OutOfLimit | None = None
    how: str = ""
    process: Mapping[str, Any] = field(default_factory=dict)
    first_compared: int = 0

    @property
    def peak_mib(self) -> float:
        """The greatest peak of any replica, evaluation included."""
        return max(trace.peak_mib for trace in self.replicas)


def report_on(measured: Measured) -> Report:
    """Judges the three bounds and fills the ``memory`` section of the report."""
    checks = (_limit(measured), _reference(measured), _growth(measured))
    return Report(checks=checks, memory=_ledgers(measured))


def report_failure(message: str, limit_mib: int | None) -> Report:
    """The report on a program that fails as a replica with any limit and without one."""
    reason = f"the replica did not run, see {EXECUTION}"
    skipped = (Check(name, "skipped", detail=reason) for name in (LIMIT, REFERENCE, GROWTH))
    failed = Check(EXECUTION, "failed", detail=f"one replica's share, alone in a process without a cap: {message}")
    return Report(checks=(failed, *skipped), memory={"limit_mib": limit_mib})


def report_out_of_memory(what: str, message: str, limit_mib: int | None) -> Report:
    """The report on a replica that ran out of what no other limit would give it in this process.

    Args:
      what: what it ran out of: the machine's memory, or on a GPU its limit, which is fixed in a process.
      message: how it ended.
      limit_mib: limit per replica, None where there is none.
    """
    detail = f"a replica ran out of {what}: it {message}. Give more, or a smaller global batch."
    skipped = (
        Check(name, "skipped", detail=f"the replicas ran out of memory, see {LIMIT}") for name in (REFERENCE, GROWTH)
    )
    checks = (Check(LIMIT, "failed", allowed=limit_mib, detail=detail), *skipped)
    return Report(checks=checks, memory={"limit_mib": limit_mib})


def _limit(measured: Measured) -> Check:
    limit, peak = measured.limit_mib, measured.peak_mib
    if limit is None:
        return Check(LIMIT, "skipped", observed=peak, detail="no memory limit was set")
    if measured.out_of_limit is not None:
        return Check(LIMIT, "failed", peak, limit, _say_out_of_limit(measured, measured.out_of_limit))
    detail = f"peak of a replica {peak:.1f} MiB, limit {limit} MiB; {measured.how}"
    return Check(LIMIT, "passed" if peak <= limit else "failed", peak, limit, detail)


def _say_out_of_limit(measured: Measured, out: OutOfLimit) -> str:
    batch_size = measured.replicas[0].batch_size
    begin = (
        f"a limit of {measured.limit_mib} MiB is too small: one replica's share ({batch_size} examples) "
        f"{out.message} under it; without a limit it runs, and needs {measured.peak_mib:.1f} MiB at its "
        f"peak. "
    )
    if out.advice is None:
        return f"{begin}No limit is enough for long: the program grows with every step, see {GROWTH}."
    if out.advice.limit_mib is None:
        tried = ", ".join(f"{limit} MiB" for limit in out.advice.tried_mib) or "none to the end"
        return f"{begin}No limit was found to work in a search of {out.advice.seconds:.0f} s; tried: {tried}."
    return (
        f"{begin}Use --memory_limit={out.advice.limit_mib}: under that it ran "
        f"{out.advice.num_runs} times out of {out.advice.num_runs}."
    )


def _reference(measured: Measured) -> Check:
    if measured.reference is None:
        return Check(REFERENCE, "skipped", detail=measured.no_reference)
    # Over equally many steps: a program that grows was run for longer, and its growth is another check's
    # matter.
    steps = min(len(trace.peaks) for trace in (*measured.replicas, measured.reference))
    compared = slice(measured.first_compared, steps)
    peak = max(trace.peak_over_mib(compared) for trace in measured.replicas)
    reference, spread = measured.reference.peak_over_mib(compared), measured.reference.spread_mib
    detail = (
        f"peak of a replica in training {peak:.1f} MiB at {measured.replicas[0].batch_size} examples; "
        f"of a single device {reference:.1f} MiB at {measured.reference.batch_size}, spread {spread:.1f} MiB"
    )
    return Check(REFERENCE, "passed" if peak <= reference + spread else "failed", peak, reference + spread, detail)


def _growth(measured: Measured) -> Check:
    worst = max(measured.replicas, key=lambda trace: trace.growth_mib)
    steps = len(worst.ends) - 1
    if not worst.growth_mib:
        return Check(GROWTH, "passed", 0.0, 0.0, f"no growth over {steps} steps after the first")
    detail = (
        f"memory in use after a step grows by {worst.growth_per_step_mib:.3g} MiB a step, in every window of "
        f"{steps} steps after the first: something keeps tensors"
    )
    return Check(GROWTH, "failed", worst.growth_mib, 0.0, detail)


def _by_device(measured: Measured) -> Iterator[tuple[MemoryTrace, Sequence[str]]]:
    """Each replica's trace with the devices that it stands for."""
    if len(measured.replicas) == 1:
        yield measured.replicas[0], measured.devices
    else:
        yield from ((trace, [device]) for trace, device in zip(measured.replicas, measured.devices, strict=True))


def _steps(trace: MemoryTrace, devices: Sequence[str]) -> dict[str, Any]:
    """Step by step what was in use at most and afterwards; of the single device where there are no `devices`."""
    return {
        "devices": list(devices),
        "examples": trace.batch_size,
        "peak_mib": [peak / MIB for peak in trace.peaks],
        "after_mib": [end / MIB for end in trace.ends],
    }


def _ledgers(measured: Measured) -> dict[str, Any]:
    traces = list(measured.replicas)
    if len(traces) == 1:
        traces *= len(measured.devices)
    reference, out = measured.reference, measured.out_of_limit
    return {
        "limit_mib": measured.limit_mib,
        "replicas": [
            {"device": device, "peak_mib": trace.peak_mib}
            for device, trace in zip(measured.devices, traces, strict=True)
        ],
        "reference_peak_mib": reference.training_peak_mib if reference else None,
        "spread_mib": reference.spread_mib if reference else None,
        "process_peak_mib": None,
        "overhead_mib": None,
        "predicted_peak_mib": None,
        **measured.process,
        "steps": [_steps(trace, devices) for trace, devices in _by_device(measured)]
        + ([_steps(reference, [])] if reference else []),
        "sum": split_sum(traces[0], reference or traces[0], len(measured.devices)),
        "need_mib": measured.peak_mib if out else None,
        "advised_limit_mib": out.advice.limit_mib if out and out.advice else None,
    }
