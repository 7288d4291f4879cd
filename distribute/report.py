"""The result of a verification: checks with numbers, their causes, and the text and JSON that show them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .causes import Explanation

SCHEMA_VERSION = 1

Status = Literal["passed", "failed", "accepted", "skipped"]

EMPTY_MEMORY: Mapping[str, Any] = {
    "limit_mib": None,
    "replicas": [],
    "reference_peak_mib": None,
    "spread_mib": None,
    "process_peak_mib": None,
    "overhead_mib": None,
    "predicted_peak_mib": None,
}


class EquivalenceError(AssertionError):
    """Raised by `Report.raise_if_failed`; its text is the whole report."""


@dataclass(frozen=True)
class Check:
    """One question that was asked of a program, and the measured answer.

    Attributes:
      name: unique in its report, such as ``gradient_equivalence/float64@uneven``.
      status: ``accepted`` is a difference that the user declared as wanted; ``skipped`` was not measured.
      observed: the measured figure, None where the check has none.
      allowed: the greatest figure that passes, None where the check has none.
      detail: what the figures are, where they show first; for a skipped check the reason.
    """

    name: str
    status: Status
    observed: float | None = None
    allowed: float | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        if self.status == "skipped" and not self.detail:
            raise ValueError(f"check {self.name!r} is skipped without a reason: give one in `detail`")

    @property
    def excess(self) -> float:
        """How many times the allowed figure was exceeded; infinite where that cannot be said."""
        if self.observed is None or not self.allowed or math.isnan(self.observed):
            return math.inf
        return self.observed / self.allowed


@dataclass(frozen=True)
class Smallest:
    """The smallest case that still fails in the same way.

    Attributes:
      num_replicas, num_rows: how many replicas and examples it has.
      variables: those that are wrong in it, worst first.
      compared: how many variables were compared.
      passing_rows: numbers of examples that were tried with so many replicas and pass.
      passing_replicas: fewer replicas, with which nothing failed.
      does_not_matter: what the probes and the checks showed to play no part.
      rerun: a line of code that runs it again.
    """

    num_replicas: int
    num_rows: int
    variables: Sequence[str]
    compared: int
    passing_rows: Sequence[int]
    passing_replicas: Sequence[int]
    does_not_matter: Sequence[str]
    rerun: str


@dataclass(frozen=True)
class Report:
    """Everything that one verification found.

    Attributes:
      checks: in the order in which they were made; names are unique.
      causes: identifiers of the mistakes found, most certain first, without the accepted ones.
      explanations: for each of the causes, in their order, its evidence, where it shows and what to do.
      accepted: identifiers that the user accepted and that did occur.
      notes: what a reader should know and no check says.
      variables: one mapping per variable, as ``report.json`` has them.
      memory: the ledgers of `check_memory`, as ``report.json`` has them; empty where not measured.
      devices: what the program ran on, as ``report.json`` has it; empty where not known.
      smallest: the smallest case that fails in the same way; None where none was looked for.
      shards: for each batch that was compared how many of its examples each replica got, as ``report.json`` has it;
        ``batch`` is what the names of its checks end with.
    """

    checks: Sequence[Check] = ()
    causes: Sequence[str] = ()
    explanations: Sequence[Explanation] = ()
    accepted: Sequence[str] = ()
    notes: Sequence[str] = ()
    variables: Sequence[Mapping[str, Any]] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)
    devices: Mapping[str, Any] = field(default_factory=dict)
    smallest: Smallest | None = None
    shards: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        names = [check.name for check in self.checks]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"check names must be unique in a report; repeated: {', '.join(repeated)}")

    @property
    def ok(self) -> bool:
        """True when no check failed."""
        return not self.failures

    @property
    def failures(self) -> list[Check]:
        """The failed checks, worst first."""
        failed = [check for check in self.checks if check.status == "failed"]
        return sorted(failed, key=lambda check: check.excess, reverse=True)

    def raise_if_failed(self) -> None:
        """Raises `EquivalenceError` with the whole text when a check failed."""
        __tracebackhide__ = True  # pytest then shows the line that called, and not this one
        if not self.ok:
            raise EquivalenceError(str(self))

    def merge(self, other: "Report") -> "Report":
        """Joins two reports on the same program, such as those of `verify` and `check_memory`.

        Of two checks with one name the one that was not skipped stays.

        Raises:
          ValueError: two checks with one name both ran.
        """
        checks = {check.name: check for check in self.checks}
        for check in other.checks:
            mine = checks.get(check.name)
            if mine is None or mine.status == "skipped":
                checks[check.name] = check
            elif check.status != "skipped":
                raise ValueError(f"both reports hold a result of {check.name!r}: measure it once")
        return Report(
            checks=tuple(checks.values()),
            causes=_union(self.causes, other.causes),
            explanations=(*self.explanations, *other.explanations),
            accepted=_union(self.accepted, other.accepted),
            notes=_union(self.notes, other.notes),
            variables=self.variables or other.variables,
            memory=self.memory or other.memory,
            devices=self.devices or other.devices,
            smallest=self.smallest or other.smallest,
            shards=self.shards or other.shards,
        )

    def __str__(self) -> str:
        # Imported here: the text needs the types of this module.
        from .report_text import report_text

        return report_text(self)

    def to_dict(self) -> dict[str, Any]:
        """The shape of ``report.json``: every key is present, ``{}``, ``[]`` or None where nothing was measured."""
        return {
            "schema_version": SCHEMA_VERSION,
            "ok": self.ok,
            "environment": {},
            "devices": dict(self.devices),
            "checks": [_strict(check) for check in self.checks],
            "causes": list(self.causes),
            "explanations": [_explained(one) for one in self.explanations],
            "smallest_failure": dataclasses.asdict(self.smallest) if self.smallest else {},
            "accepted": list(self.accepted),
            "notes": list(self.notes),
            "variables": [_finite(row) for row in self.variables],
            "shards": [dict(one) for one in self.shards],
            "memory": {**EMPTY_MEMORY, **self.memory},
            "training": {},
        }


def _explained(explanation: Explanation) -> dict[str, Any]:
    return {**dataclasses.asdict(explanation), "mistake": explanation.mistake, "remedy": explanation.remedy}


def _finite(value: Any) -> Any:
    """The value with None for each figure that JSON has no word for."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _strict(check: Check) -> dict[str, Any]:
    """The check for JSON; figures that are not finite go into its detail as text."""
    figures = {"observed": check.observed, "allowed": check.allowed}
    lost = [f"{name} {value:g}" for name, value in figures.items() if value is not None and not math.isfinite(value)]
    return {
        **dataclasses.asdict(check),
        **{name: _finite(value) for name, value in figures.items()},
        "detail": "; ".join([*lost, check.detail] if check.detail else lost),
    }


def _union(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
