"""Runs both suites and prints what came of them, in Markdown.

python -m tests.mutations.table [--sample] [--jobs=N] [--output=FILE] [CAUSE or KIND …]

1. Every planted mistake: by cause and program, the numbers of replicas at which it was caught and named first.
2. Every innocent program: by kind and number of replicas, the greatest float64 residual of its gradients.
3. How far both are apart.

Without names everything runs, which takes long (one cause at every N: three minutes on two busy cores); `--sample` is
what `make test` runs. `--output` keeps all outcomes and the figures below as JSON. Ends with 2 if a verdict was wrong.
"""

import argparse
import dataclasses
import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from . import groups, registry
from .base_programs import PROGRAMS
from .cases import REPLICAS
from .suite import Outcome, line

ORDERS_APART = 6
"""The least distance between correct and wrong programs, in orders of magnitude."""


def mutation_table(outcomes: Sequence[Outcome]) -> list[str]:
    """By cause and program, the N at which every mistake was caught and named first; the others are struck out."""
    rows = []
    for cause in _order(outcomes, "mutation"):
        cells = []
        for program in PROGRAMS:
            found = [one for one in outcomes if (one.case, one.program) == (cause, program) and one.suite == "mutation"]
            cells.append(_by_replicas(found) or ("–" if (cause, program) in registry.NOT_APPLICABLE else ""))
        rows.append([f"`{cause}`", *cells])
    return _markdown(["cause", *PROGRAMS], rows)


def _by_replicas(outcomes: Sequence[Outcome]) -> str:
    cells = []
    for replicas in sorted({one.replicas for one in outcomes}):
        right = all(one.right for one in outcomes if one.replicas == replicas)
        cells.append(str(replicas) if right else f"~~{replicas}~~")
    return " ".join(cells)


def innocence_table(outcomes: Sequence[Outcome]) -> list[str]:
    """By kind and N, the greatest float64 residual of the gradients; ALARM where verify failed a correct program."""
    numbers = (1, *REPLICAS)
    rows = []
    for kind in _order(outcomes, "innocent"):
        found = {one.replicas: one for one in outcomes if one.suite == "innocent" and one.case == kind}
        rows.append([kind, *(_residual(found[n]) if n in found else "" for n in numbers)])
    return _markdown(["correct program", *(f"N={n}" for n in numbers)], rows)


def _residual(outcome: Outcome) -> str:
    if not outcome.right:
        return "**ALARM**"
    return "judged in float32" if outcome.residual is None else f"{outcome.residual:.1e}"


def separation(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The greatest residual of correct programs, the least figure of planted mistakes, and the orders in between."""
    innocent = [one for one in outcomes if one.suite == "innocent" and one.residual is not None]
    planted = [one for one in outcomes if one.suite == "mutation" and one.residual is not None]
    if not innocent or not planted:
        return {}
    highest = max(innocent, key=lambda one: _number(one.residual))
    lowest = min(planted, key=lambda one: _number(one.residual))
    orders = math.log10(_number(lowest.residual) / max(_number(highest.residual), 1e-17))
    return {
        "highest_correct": highest.residual,
        "highest_correct_in": f"{highest.case}, N={highest.replicas}",
        "lowest_planted": lowest.residual,
        "lowest_planted_in": f"{lowest.case}, {lowest.program}, {lowest.mistake}, N={lowest.replicas}",
        "orders_of_magnitude": round(orders, 1),
    }


def _number(figure: float | None) -> float:
    """NaN shows as plainly as anything can."""
    return math.inf if figure is None or math.isnan(figure) else figure


def _order(outcomes: Iterable[Outcome], suite: str) -> list[str]:
    return list(dict.fromkeys(one.case for one in outcomes if one.suite == suite))


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in lines
    ]


def report(outcomes: Sequence[Outcome]) -> list[str]:
    """All three parts, and every wrong verdict in words."""
    planted = [one for one in outcomes if one.suite == "mutation"]
    innocent = [one for one in outcomes if one.suite == "innocent"]
    named = sum(one.right for one in planted)
    caught = sum(not one.ok and not one.error for one in planted)
    alarms = sum(not one.right for one in innocent)
    lines = [f"Planted mistakes: {len(planted)} runs, {caught} caught, {named} with the right cause first.", ""]
    if planted:
        lines += [*mutation_table(outcomes), ""]
        lines += [f"{cause}, {where}: {reason}." for (cause, where), reason in registry.NOT_APPLICABLE.items()] + [""]
    lines += [f"Correct programs: {len(innocent)} runs, {alarms} false alarms; greatest residual of the gradients.", ""]
    lines += [*innocence_table(outcomes), ""] if innocent else []
    apart = separation(outcomes)
    if apart:
        lines += [
            f"Greatest residual of a correct program: {apart['highest_correct']:.1e} ({apart['highest_correct_in']}).",
            f"Least figure of a planted mistake: {apart['lowest_planted']:.1e} ({apart['lowest_planted_in']}).",
            f"Apart: {apart['orders_of_magnitude']} orders of magnitude (at least {ORDERS_APART} are asked for).",
        ]
    wrong = [line(one) for one in outcomes if not one.right]
    return lines + (["", "Wrong verdicts:", *wrong] if wrong else [])


def run(names: Sequence[str], sample: bool, jobs: int) -> list[Outcome]:
    """The outcomes of these causes and kinds, `jobs` processes at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        found = pool.map(lambda name: _told(name, groups.outcomes_of([name], sample)), names)
    return [outcome for group in found for outcome in group]


def _told(name: str, outcomes: list[Outcome]) -> list[Outcome]:
    wrong = sum(not one.right for one in outcomes)
    seconds = sum(one.seconds for one in outcomes)
    print(f"{name}: {len(outcomes)} runs, {wrong} wrong, {seconds:.0f} s", file=sys.stderr, flush=True)
    return outcomes


def saved(outcomes: Sequence[Outcome], output: Path) -> None:
    """Everything as JSON; a figure that is not finite as text."""
    rows = [{**dataclasses.asdict(one), "right": one.right} for one in outcomes]
    for row in rows:
        if row["residual"] is not None and not math.isfinite(row["residual"]):
            row["residual"] = str(row["residual"])
    output.write_text(json.dumps({"separation": separation(outcomes), "outcomes": rows}, indent=1, allow_nan=False))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations.table", description=__doc__.splitlines()[0])
    parser.add_argument("--sample", action="store_true", help="what `make test` runs")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--output", type=Path, help="JSON file for all outcomes")
    parser.add_argument("names", nargs="*", help="causes and kinds; everything where none is given")
    options = parser.parse_args(arguments)
    outcomes = run(options.names or (*registry.CAUSES, *registry.KINDS), options.sample, options.jobs)
    print("\n".join(report(outcomes)))
    if options.output:
        saved(outcomes, options.output)
    return 0 if all(one.right for one in outcomes) else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
