"""The report as text: one screen, the verdict first, then causes, what failed, what passed, variables worst first."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .report import Check, Report, Smallest

_MOST_VARIABLES = 3
_MOST_AT_LENGTH = 8
_WIDTH = 102


def report_text(report: "Report") -> str:
    """One screen; `variables_text` has every variable."""
    lines = [verdict(report)]
    lines += _causes(report)
    lines += _smallest(report.smallest) if report.smallest else []
    if report.accepted:
        lines.append(f"accepted: {', '.join(report.accepted)}")
    lines += _at_length(report.failures, "failed")
    lines += _at_length([check for check in report.checks if check.status == "accepted"], "accepted")
    lines += _passed([check for check in report.checks if check.status == "passed"])
    lines += _skipped([check for check in report.checks if check.status == "skipped"])
    others = all("@" in check.name for check in report.failures) and not report.ok
    lines += _worst_variables(report.variables, "in the first batch, worst first" if others else "worst first")
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join(lines)


def _causes(report: "Report") -> list[str]:
    """Each cause with its evidence, where it stands in the user's code, and the remedy."""
    explained = {explanation.cause: explanation for explanation in report.explanations}
    lines = []
    for cause in report.causes:
        one = explained.get(cause)
        lines += _wrapped("cause", f"{cause}: {one.mistake}" if one else cause)
        if one:
            lines += _wrapped("", f"seen: {one.evidence}")
            places = [text for text in (one.variable and f"first in {one.variable}", one.location) if text]
            lines += _wrapped("", f"where: {'; '.join(places)}") if places else []
            lines += _wrapped("", f"instead: {one.remedy}")
    return lines


def _smallest(one: "Smallest") -> list[str]:
    """The smallest case that fails, what plays no part, and how to run it again."""
    text = (
        f"{one.num_replicas} replicas and {_counted(one.num_rows, 'example')} fail in the same way:"
        f" {len(one.variables)} of {_counted(one.compared, 'variable')},"
        f" {', '.join(one.variables[:_MOST_VARIABLES])}"
    )
    text += " and more" if len(one.variables) > _MOST_VARIABLES else ""
    if one.passing_replicas:
        text += f"; {', '.join(map(str, one.passing_replicas))} replicas pass"
    if one.passing_rows:
        text += f"; {', '.join(map(str, one.passing_rows))} examples pass"
    if one.does_not_matter:
        text += f"; does not matter: {', '.join(one.does_not_matter)}"
    return [*_wrapped("small", text), f"        again: {one.rerun}"]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _wrapped(label: str, text: str) -> list[str]:
    """The text behind a label, later lines below its beginning."""
    return [
        f"{label if number == 0 else '':<8}{part}".rstrip() for number, part in enumerate(textwrap.wrap(text, _WIDTH))
    ]


def verdict(report: "Report") -> str:
    """One sentence: passed or failed, what that says of the replicas, how many checks it rests on."""
    replicas = report.devices.get("replicas") or len(report.memory.get("replicas") or ())
    who = f"{replicas} replica{'s' if replicas != 1 else ''}" if replicas else "the replicas"
    ran = [check for check in report.checks if check.status != "skipped"]
    if not ran:
        return "NOTHING WAS MEASURED: every check was skipped"
    failures = report.failures
    claims = " and ".join(_claims(failures or ran, alone=replicas == 1, denied=bool(failures)))
    if failures:
        return f"FAILED: {who} {claims} ({len(failures)} of {len(ran)} checks failed)"
    return f"OK: {who} {claims} ({len(ran)} checks, none failed)"


def _claims(checks: Sequence["Check"], *, alone: bool, denied: bool) -> list[str]:
    """What these checks say of the replicas: about what they compute, whether memory could be measured, its bounds."""

    def verb(stem: str) -> str:
        if denied:
            return f"{'does' if alone else 'do'} not {stem}"
        return f"{stem}s" if alone else stem

    names = [check.name for check in checks]
    bounds = [name for name in names if name.startswith("memory_bounds/")]
    runs = [name for name in names if name == "execution/memory"]
    whose = "its" if alone else "their"
    claims = {
        f"{verb('compute')} what one device computes": len(names) > len(bounds) + len(runs),
        f"{verb('run')} to the end of the memory check": bool(runs),
        f"{verb('stay')} within {whose} memory bounds": bool(bounds),
    }
    return [claim for claim, made in claims.items() if made]


def _at_length(checks: Sequence["Check"], status: str) -> list[str]:
    lines = []
    for check in checks[:_MOST_AT_LENGTH]:
        lines.append(f"{status:<7} {check.name}{_figures(check)}")
        lines += [f"        {part}" for part in textwrap.wrap(check.detail, _WIDTH)]
    if len(checks) > _MOST_AT_LENGTH:
        rest = ", ".join(check.name for check in checks[_MOST_AT_LENGTH:])
        lines.append(f"{status:<7} and {len(checks) - _MOST_AT_LENGTH} more: {rest}")
    return lines


def _figures(check: "Check") -> str:
    if check.observed is None:
        return ""
    allowed = "" if check.allowed is None else f" (up to {check.allowed:.3g} allowed)"
    return f": {check.observed:.3g}{allowed}"


def _passed(checks: Sequence["Check"]) -> list[str]:
    """A row for each question; the worst figure of the further batches (``@2``, ``@uneven``) beside the first's.

    Where the first batch did not pass, the row has the name of the further one.
    """
    if not checks:
        return []
    by_question: dict[str, list[Check]] = {}
    for check in checks:
        by_question.setdefault(check.name.partition("@")[0], []).append(check)
    width = max(34, *(len(first.name) for first, *_ in by_question.values()))
    lines = [f"        {'':<{width}}{'observed':>10}{'allowed':>10}  other batches"]
    for first, *others in by_question.values():
        further = [check.observed for check in others if check.observed is not None]
        worst = f"{max(further):>15.2g}" if further else ""
        lines.append(f"passed  {first.name:<{width}}{_number(first.observed)}{_number(first.allowed)}{worst}".rstrip())
    return lines


def _number(value: float | None) -> str:
    if value is None:
        return f"{'':>10}"
    return f"{value:>10.0f}" if 10 <= value < 1e6 else f"{value:>10.2g}"


def _skipped(checks: Sequence["Check"]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for check in checks:
        by_reason.setdefault(check.detail, []).append(check.name)
    return [
        f"{'skipped' if number == 0 else '':8}{line}"
        for reason, names in by_reason.items()
        for number, line in enumerate(textwrap.wrap(f"{', '.join(names)}: {reason}", _WIDTH))
    ]


def _worst_variables(rows: Sequence[Mapping[str, Any]], which: str) -> list[str]:
    if not rows:
        return []
    worst = sorted(rows, key=_badness, reverse=True)
    shown = [_variable_line(row) for row in worst[:_MOST_VARIABLES]]
    rest = len(rows) - len(shown)
    more = [f"          and {rest} more, none further off"] if rest else []
    return [f"variables, {which}:", *shown, *more]


def variables_text(report: "Report") -> str:
    """Every variable of the report, worst first: what ``--verbose`` shows."""
    return "\n".join(_variable_line(row) for row in sorted(report.variables, key=_badness, reverse=True))


def _badness(row: Mapping[str, Any]) -> float:
    value = row.get("residual", row.get("relative_l2"))
    if value is None:
        return -1.0
    return float("inf") if value != value else float(value)


def _variable_line(row: Mapping[str, Any]) -> str:
    shape = "x".join(str(length) for length in row.get("shape", [])) or "scalar"
    line = f"  {row['path']:<40} {shape:<14} {row.get('quantity', 'gradient'):<12}"
    if row.get("relative_l2") is None:
        return line.rstrip()
    line += f" off by {row['relative_l2']:.2e}"
    if row.get("ratio") is not None:
        line += f", ratio {row['ratio']:.6g}"
    line += f", cosine {row['cosine']:.6g}" if row.get("cosine") is not None else ""
    sums = row.get("reductions")
    if sums and sum(sums.values()) != row["reductions_expected"]:
        line += f", summed over replicas {' and '.join(f'{n} x by the {who}' for who, n in sums.items())}"
    return line
