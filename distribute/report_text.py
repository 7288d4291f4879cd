"""The report as text: one screen, the verdict first, then causes, what failed, what passed, variables worst first."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distribute.report import Check, Report

_MOST_VARIABLES = 5
_MOST_FAILURES = 8
_WIDTH = 110


def report_text(report: "Report") -> str:
    """One screen; `variables_text` has every variable."""
    lines = [_verdict(report)]
    lines += [f"cause: {cause}" for cause in report.causes]
    if report.accepted:
        lines.append(f"accepted: {', '.join(report.accepted)}")
    lines += _failures(report.failures)
    for status in ("accepted", "passed", "skipped"):
        lines += _brief(status, [check for check in report.checks if check.status == status])
    lines += _worst_variables(report.variables)
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join(lines)


def _verdict(report: "Report") -> str:
    replicas = report.devices.get("replicas")
    who = f"{replicas} replica{'s' if replicas != 1 else ''}" if replicas else "the replicas"
    ran = sum(check.status != "skipped" for check in report.checks)
    if not ran:
        return "NOTHING WAS MEASURED: every check was skipped"
    if report.ok:
        return f"OK: {who} compute what one device computes ({ran} checks, none failed)"
    return f"FAILED: {who} do not compute what one device computes ({len(report.failures)} of {ran} checks failed)"


def _failures(failures: Sequence["Check"]) -> list[str]:
    lines = []
    for check in failures[:_MOST_FAILURES]:
        lines.append(f"failed  {check.name}{_figures(check)}")
        lines += [f"        {part}" for part in _wrapped(check.detail)]
    if len(failures) > _MOST_FAILURES:
        rest = ", ".join(check.name for check in failures[_MOST_FAILURES:])
        lines.append(f"failed  and {len(failures) - _MOST_FAILURES} more: {rest}")
    return lines


def _figures(check: "Check") -> str:
    if check.observed is None:
        return ""
    allowed = "" if check.allowed is None else f" (up to {check.allowed:.3g} allowed)"
    return f": {check.observed:.3g}{allowed}"


def _wrapped(text: str) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) + 9 > _WIDTH:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def _brief(status: str, checks: Sequence["Check"]) -> list[str]:
    if status == "skipped":
        by_reason: dict[str, list[str]] = {}
        for check in checks:
            by_reason.setdefault(check.detail, []).append(check.name)
        return [f"skipped {', '.join(names)}: {reason}" for reason, names in by_reason.items()]
    return [f"{status:8}{check.name}{_figures(check)}" for check in checks]


def _worst_variables(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    worst = sorted(rows, key=_badness, reverse=True)
    shown = [_variable_line(row) for row in worst[:_MOST_VARIABLES]]
    rest = len(rows) - len(shown)
    more = [f"          and {rest} more, none further off"] if rest else []
    return ["variables, worst first:", *shown, *more]


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
    return line + (f", cosine {row['cosine']:.6g}" if row.get("cosine") is not None else "")
