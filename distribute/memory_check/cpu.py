"""The check of memory on CPU: two children where all is well, and what is run again where it is not."""

from collections.abc import Sequence

from ..report import Report
from .advice import search_limit
from .child import FINDING_TARGETS
from .child_process import Outcome
from .runs import Runs, is_out_of_memory, may_be_out_of_memory, trace_of
from .trace import MemoryTrace
from .verdict import Measured, OutOfLimit, report_failure, report_on, report_out_of_memory

_SEARCH_BUDGET_S = 60.0


def check_in_children(runs: Runs, devices: Sequence[str], limit_mib: int | None) -> Report:
    """Runs one replica's share under the limit and, beside it, the reference without one, and judges both.

    Raises:
      ValueError, RuntimeError: as `check_memory` says.
    """
    reference_child, replica_child = runs.start("reference"), runs.start("replica", limit_mib)
    shard = reference_child.receive("shard")
    if shard is None:
        raise _error(reference_child.outcome())
    replica_child.send(shard)
    reference = reference_child.outcome()
    if not reference.ok and not may_be_out_of_memory(reference):
        raise _error(reference)
    replica = replica_child.outcome()
    message = ""
    if not replica.ok and limit_mib is not None:
        # Judged by running it again without the cap: running out of memory can look like anything, a segfault
        # inside a oneDNN convolution above all, and a segfault can be the program's own.
        message, replica = replica.message, runs.start_replica(shard).outcome()
    trace = trace_of(replica)
    if trace is None:
        if is_out_of_memory(replica):
            return report_out_of_memory("this machine's memory", replica.message, limit_mib)
        return report_failure(replica.message, limit_mib)
    return report_on(
        Measured(
            limit_mib=limit_mib,
            devices=devices,
            replicas=[trace],
            reference=trace_of(reference),
            no_reference=f"the whole global batch does not run on one device here: it {reference.message}",
            out_of_limit=_out_of_limit(runs, shard, trace, message, limit_mib) if message and limit_mib else None,
            how=_how(trace, len(devices)),
        )
    )


def _out_of_limit(runs: Runs, shard: bytes, trace: MemoryTrace, message: str, limit_mib: int) -> OutOfLimit:
    if trace.growth_mib:
        return OutOfLimit(message, advice=None)
    advice = search_limit(
        lambda limit, timeout_s: runs.start_replica(shard, limit, timeout_s),
        need_mib=trace.peak_mib,
        failed_mib=limit_mib,
        budget_s=_SEARCH_BUDGET_S,
    )
    return OutOfLimit(message, advice)


def _how(trace: MemoryTrace, num_replicas: int) -> str:
    return (
        f"measured on one replica's share ({trace.batch_size} examples) in a process of its own under the "
        f"limit; its peak stands for all {num_replicas} replicas, and buffers of an all-reduce are not in it"
    )


def _error(outcome: Outcome) -> Exception:
    if outcome.phase == FINDING_TARGETS and outcome.error_types[:1] == ("ValueError",):
        return ValueError(outcome.text)
    return RuntimeError(
        f"check_memory: the program fails on a single device, in a process of its own without a memory "
        f"limit: it {outcome.message}\n\nThat process said:\n{outcome.report}"
    )
