"""Runs cases: one call of `verify` each, and what came of it."""

import time
import traceback
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from distribute import Report, verify

from .cases import Innocent, Mutation, strategy_of

MOST_REPLICAS = 8

NAMING_CHECKS = {
    "moving_statistics_not_aggregated": "state_equivalence/",
    "identical_randomness": "randomness",
    "replicated_input": "input_coverage",
    "unsynchronized_variable": "replica_sync",
    "metric_aggregation": "metrics/",
    "learning_rate_scaling": "update_equivalence/",
    "irreproducible_reference": "reference_reproducibility",
}
"""Which check shows a cause; the gradients' own where nothing is said."""


@dataclass(frozen=True)
class Outcome:
    """What `verify` said of one case.

    Attributes:
      suite: "mutation" or "innocent".
      case: the cause, or the kind of the innocent program.
      program: the base program; of an innocent one its kind again.
      mistake: what was planted.
      replicas: N.
      seed: of the data.
      ok: `Report.ok`.
      causes: `Report.causes`.
      residual: of a mutation the greatest figure of the check that names the cause, of an innocent program the
        greatest residual of its float64 gradients.
      failed: the failed checks.
      error: the exception, where verify raised one.
      seconds: of wall time.
    """

    suite: str
    case: str
    program: str
    mistake: str
    replicas: int
    seed: int
    ok: bool
    causes: tuple[str, ...]
    residual: float | None
    failed: tuple[str, ...]
    error: str
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the verdict is the true one."""
        if self.error:
            return False
        return self.ok if self.suite == "innocent" else not self.ok and self.causes[:1] == (self.case,)


def split_cpu() -> None:
    """Eight logical CPUs, as tests/conftest.py makes them; for runs outside of pytest."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * MOST_REPLICAS
    if tf.config.get_logical_device_configuration(cpu) is None:
        tf.config.set_logical_device_configuration(cpu, logical)


def report_of(case: Mutation | Innocent, replicas: int, seed: int = 0) -> Report:
    """What `verify` says."""
    options = {"dtypes": ("float64",), **case.options}
    if isinstance(case, Mutation):
        return verify(case.build, case.data(replicas), strategy=case.strategy(replicas), **options)
    return verify(case.build, case.data(replicas, seed), strategy=strategy_of(replicas), **options)


def outcome_of(case: Mutation | Innocent, replicas: int, seed: int = 0) -> Outcome:
    """As `report_of`, with an exception of `verify` as a wrong verdict."""
    begin = time.perf_counter()
    error, report = "", Report()
    try:
        report = report_of(case, replicas, seed)
    except Exception:  # noqa: BLE001 - one broken case must not hide the others
        error = traceback.format_exc()
    planted = isinstance(case, Mutation)
    named = case.cause if isinstance(case, Mutation) else case.kind
    return Outcome(
        suite="mutation" if planted else "innocent",
        case=named,
        program=case.program if isinstance(case, Mutation) else case.kind,
        mistake=case.mistake if isinstance(case, Mutation) else "",
        replicas=replicas,
        seed=seed,
        ok=report.ok,
        causes=tuple(report.causes),
        residual=_greatest(report, NAMING_CHECKS.get(named, "gradient_equivalence/float64")),
        failed=tuple(check.name for check in report.failures),
        error=error,
        seconds=round(time.perf_counter() - begin, 2),
    )


def _greatest(report: Report, prefix: str) -> float | None:
    figures = [check.observed for check in report.checks if check.name.startswith(prefix)]
    return max((figure for figure in figures if figure is not None), default=None)


def described(outcome: Outcome) -> dict[str, Any]:
    """For JSON: figures that are not finite as text."""
    values = {**outcome.__dict__, "right": outcome.right}
    residual = outcome.residual
    if residual is not None and residual - residual != 0:
        values["residual"] = str(residual)
    return values
