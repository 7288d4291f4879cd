"""Runs cases: one call of `verify` each, and what came of it."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
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
    "loss_scale_per_replica": "update_equivalence/overflow",
    "irreproducible_reference": "reference_reproducibility",
}
"""Which check shows a cause; the gradients' own where nothing is said."""


@dataclass(frozen=True)
class Outcome:
    """What `verify` said of one case.

    Attributes:
      suite: "mutation" or "innocent".
      case: the cause, or the kind of the innocent program.
      program, mistake: where it was planted, and how; empty for an innocent program.
      replicas: N.
      seeds: how many seeds of data were verified at once.
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
    seeds: int
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


def report_of(case: Mutation | Innocent, replicas: int, seeds: int = 1) -> Report:
    """What `verify` says; of an innocent program with the batches of several seeds, each from the initial values.

    Failures are not shrunk: it is the verdict that is tested here.
    """
    options = {"dtypes": ("float64",), "shrink": False, **case.options}
    if isinstance(case, Mutation):
        return verify(case.build, case.data(replicas), strategy=case.strategy(replicas), **options)
    data = [batch for seed in range(seeds) for batch in case.data(replicas, seed)]
    return verify(_with_weights_of(replicas, case.build), data, strategy=strategy_of(replicas), **options)


def _with_weights_of(seed: int, build: Callable[[], Any]) -> Callable[[], Any]:
    """The same program with other initial values."""

    def seeded() -> Any:
        keras.utils.set_random_seed(seed)
        return build()

    return seeded


def outcome_of(case: Mutation | Innocent, replicas: int, seeds: int = 1) -> Outcome:
    """As `report_of`, with an exception of `verify` as a wrong verdict."""
    begin = time.perf_counter()
    error, report = "", Report()
    try:
        report = report_of(case, replicas, seeds)
    except Exception:  # noqa: BLE001 - one broken case must not hide the others
        error = traceback.format_exc()
    planted = isinstance(case, Mutation)
    name = case.cause if planted else case.kind
    return Outcome(
        suite="mutation" if planted else "innocent",
        case=name,
        program=case.program if planted else "",
        mistake=case.mistake if planted else "",
        replicas=replicas,
        seeds=seeds,
        ok=report.ok,
        causes=tuple(report.causes),
        residual=_greatest(report, NAMING_CHECKS.get(name, "gradient_equivalence/float64")),
        failed=tuple(check.name for check in report.failures),
        error=error,
        seconds=round(time.perf_counter() - begin, 2),
    )


def _greatest(report: Report, prefix: str) -> float | None:
    figures = [check.observed for check in report.checks if check.name.startswith(prefix)]
    return max((figure for figure in figures if figure is not None), default=None)


def line(outcome: Outcome) -> str:
    """One outcome in one line."""
    name = " / ".join(filter(None, [outcome.case, outcome.program, outcome.mistake]))
    verdict = f"causes {', '.join(outcome.causes) or 'none'}"
    if outcome.error:
        verdict = outcome.error.strip().splitlines()[-1]
    elif not outcome.right:
        verdict += f"; failed checks: {', '.join(outcome.failed) or 'none'}"
    figure = "" if outcome.residual is None else f", {outcome.residual:.2g}"
    return f"{'right' if outcome.right else 'WRONG'}  {name}  N={outcome.replicas}{figure}  {verdict}"
