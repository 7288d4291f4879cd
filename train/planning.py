"""A plan of memory as the user reads it, and the runs that prove it."""

from collections.abc import Iterator, Sequence
from typing import Any

from distribute.memory_plan import MemoryPlan, MemoryPlanner
from distribute.targets import Target
from train.output import Output
from train.run_folder import RunFolder
from train.working import counted, under_way

_LARGEST_SHOWN = 3


def plan(
    build: Target,
    data: Target,
    folder: RunFolder,
    output: Output,
    *,
    num_replicas: int,
    limit_mib: int | None,
    check_runs: int,
) -> int:
    """Plans, prints, writes ``plan.json`` and runs under the planned limit `check_runs` times.

    Args:
      build: what to plan, as `check_memory` takes it.
      data: of it one batch is used, as the global batch.
      folder: where ``plan.json`` goes.
      output: where the plan is shown, line by line as it is found.
      num_replicas: over how many the batch is split.
      limit_mib: limit of each replica, for which the largest batch is looked for; None for none.
      check_runs: how often to run one replica's share under exactly the planned limit.

    Returns:
      The exit code: 0, 2 where a run under the planned limit failed, 3 where the given limit is too small.

    Raises:
      ValueError, RuntimeError: as `MemoryPlanner` says.
    """
    with MemoryPlanner(build, data, num_replicas=num_replicas) as planner:
        with under_way(output.console, "recording a step's allocations"):
            found = planner.plan()
        for line in describe(found):
            output.show(line)
        record: dict[str, Any] = {**found.to_dict(), "given_limit_mib": limit_mib, "largest_rows": None, "checks": []}
        if limit_mib is not None:
            with under_way(output.console, "looking for the largest batch"):
                record["largest_rows"] = rows = planner.largest_rows(limit_mib)
            output.show(describe_largest(found, limit_mib, rows))
        if check_runs:
            runs = planner.runs_under(found.limit_mib, found.rows, check_runs)
            record["checks"] = ends = list(counted(output.console, "run under the planned limit", runs, check_runs))
            output.show(describe_check(found, ends))
    path = output.save(folder, "plan.json", record)
    output.console.print(_row("plan", str(path)))
    if any(record["checks"]):
        return 2
    return 3 if limit_mib is not None and limit_mib < found.limit_mib else 0


def describe(found: MemoryPlan) -> Iterator[str]:
    """The plan, a line for each thing."""
    number = len(found.limits_mib)
    yield _row("one replica", f"{found.rows} examples; replicas: {found.num_replicas}; on CPU, with its kernels")
    yield _row(
        "model state",
        f"parameters {found.parameters_mib:.2f}, gradients {found.gradients_mib:.2f}, optimizer "
        f"{found.optimizer_mib:.2f} MiB, exact",
    )
    yield _row(
        "a step",
        f"activations {found.activations_mib:.1f}, temporaries {found.temporaries_mib:.1f}, other "
        f"{found.other_mib:.1f} MiB at its peak; {found.peak_mib:.1f} MiB in all, the most of {number} runs",
    )
    yield _row("largest pieces", "; ".join(map(str, found.largest[:_LARGEST_SHOWN])))
    if found.num_replicas > 1:
        yield _row(
            "all-reduce",
            f"{found.gradients_mib:.2f} MiB of gradients: not in this plan, --isolation=process needs about as "
            "much more, and what the input caches",
        )
    if found.extrapolated_mib is not None:
        few, more = found.small_rows
        yield _row("extrapolated", f"{found.extrapolated_mib} MiB, from runs with {few} and {more} examples alone")
    least, most = min(found.limits_mib), max(found.limits_mib)
    spread = f"{most}" if least == most else f"{least} to {most}"
    text = f"--memory_limit={found.limit_mib}: {number} recordings need {spread} MiB; and a tenth"
    yield _row("smallest limit", text)


def describe_largest(found: MemoryPlan, limit_mib: int, rows: int) -> str:
    """What fits under the limit that was given."""
    if rows == 0:
        return _row("largest batch", f"none: not one example fits under --memory_limit={limit_mib}")
    batch = f"--global_batch_size={rows * found.num_replicas}"
    return _row("largest batch", f"{rows} examples on each replica under --memory_limit={limit_mib}: {batch}")


def describe_check(found: MemoryPlan, ends: Sequence[str]) -> str:
    """How the runs under the planned limit ended."""
    failed = [end for end in ends if end]
    text = f"{len(ends) - len(failed)} of {len(ends)} runs under {found.limit_mib} MiB worked"
    return _row("check", f"{text}; one of the others {failed[0]}" if failed else text)


def _row(name: str, text: str) -> str:
    return f"{name:<15} {text}"
