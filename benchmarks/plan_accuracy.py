"""How far planned memory limits are from limits that fail, as a table in Markdown.

python -m benchmarks.plan_accuracy [--runs=10] [NAME …]

For three models and three batch sizes: the plan; the runs that work under it; and the largest limit tried under which a
run fails. Limits are tried from just below what the recordings need downwards, so the ratio in the table is at least
what it would be against the very largest limit that fails.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from distribute.memory_plan import MemoryPlan, MemoryPlanner

TARGETS = "benchmarks.plan_targets:"
MODELS = {
    "conv_net": {"shape": [28, 28, 1]},
    "wide_net": {"shape": [784]},
    "attention_net": {"shape": [64], "most": 2000},
}
ROWS = (16, 64, 256)
_STEP = 0.97


def measure(name: str, rows: int, num_runs: int) -> str:
    """A row of the table."""
    data = (TARGETS + "batches", {"rows": rows, **MODELS[name]})
    with MemoryPlanner(TARGETS + name, data, num_replicas=1) as planner:
        plan = planner.plan()
        works = sum(not end for end in planner.runs_under(plan.limit_mib, rows, num_runs))
        fails = next(limit for limit in _below(plan) if _some_run_fails(planner, limit, rows, num_runs))
    extrapolated = "" if plan.extrapolated_mib is None else str(plan.extrapolated_mib)
    least, most = min(plan.limits_mib), max(plan.limits_mib)
    replayed = f"{most}" if least == most else f"{least} to {most}"
    cells = [name, rows, f"{plan.peak_mib:.1f}", replayed, extrapolated, plan.limit_mib, f"{works}/{num_runs}", fails]
    return "| " + " | ".join(map(str, [*cells, f"{plan.limit_mib / fails:.2f}"])) + " |"


def _below(plan: MemoryPlan) -> Iterator[int]:
    """Limits to try, from just below what the recordings need."""
    limit = max(plan.limits_mib) - 1
    while True:
        yield limit
        limit = min(limit - 1, int(limit * _STEP))


def _some_run_fails(planner: MemoryPlanner, limit: int, rows: int, num_runs: int) -> bool:
    return any(planner.runs_under(limit, rows, num_runs))


def main(arguments: Sequence[str]) -> int:
    """Prints the table; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan_accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="runs under each limit")
    parser.add_argument("names", nargs="*", default=[], help=f"models, of {', '.join(MODELS)}; all where none is given")
    options = parser.parse_args(arguments)
    header = "model", "examples", "peak", "replayed", "extrapolated", "planned limit", "works", "fails", "planned/fails"
    print("| " + " | ".join(header) + " |", "|" + " --- |" * len(header), sep="\n", flush=True)
    for name in options.names or MODELS:
        for rows in ROWS:
            print(measure(name, rows, options.runs), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
