"""Shrinks a failure: the fewest replicas and examples that still fail, and what does not matter.

The model is Hypothesis' shrunk examples. The search is bounded: no probe begins once the time granted is used up.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from distribute.diagnosis import diagnose
from distribute.equivalence_check import judgement
from distribute.equivalence_check.communication import communication_checks
from distribute.equivalence_check.inputs import Batch, split
from distribute.equivalence_check.judgement import Findings
from distribute.equivalence_check.tolerances import tolerance
from distribute.equivalence_check.trial import Trial
from distribute.report import Smallest

_PARTS = ("gradient", "update", "state")
_SYNC = "replica_sync"

# Cross-device ops that keep nothing of the devices they were made for, so that fewer replicas can use them, too.
_ANY_DEVICES = (tf.distribute.ReductionToOneDevice, tf.distribute.HierarchicalCopyAllReduce)


@dataclass(frozen=True)
class _Probe:
    """A run with fewer replicas or examples."""

    num_replicas: int
    num_rows: int
    found: Findings


@dataclass(frozen=True)
class _Failure:
    """What a smaller case has to show: the same part of the run fails, for the same reason where one is known."""

    part: str
    cause: list[str]
    in_communication: bool

    def alike(self, trial: Trial, found: Findings) -> bool:
        """Whether `found` is such a case."""
        if _failed_part(found) != self.part:
            return False
        if self.in_communication:
            found.replay = trial.replay(found.pair.batch)
            communication_checks(trial, found, tolerance(trial.dtype))
        return not self.cause or diagnose(trial, found, tolerance(trial.dtype)).causes[:1] == self.cause


def find_smallest(
    trial: Trial, found: Findings, first: Batch, *, causes: Sequence[str], fails_in: Sequence[str], budget_s: float
) -> Smallest | None:
    """Looks for a smaller case that fails as `found` does; None where the failure is not one of a step.

    Args:
      trial: the program.
      found: the failed checks of one batch.
      first: the first batch of the data: a failure of the rest of an epoch is looked for in it.
      causes: what `found` shows: the smaller case has to show the first of them, too.
      fails_in: the dtypes in which the gradient is wrong.
      budget_s: seconds after which no further probe begins.
    """
    part = _failed_part(found)
    if part is None:
        return None
    fails = _Failure(part, list(causes[:1]), found.failed("communication"))
    deadline = time.monotonic() + budget_s
    source = found.pair.batch if found.pair.batch.suffix != "@uneven" else first
    best = _Probe(trial.num_replicas, sum(found.pair.batch.sizes), found)
    passing: list[int] = []
    passing_replicas: list[int] = []
    for number in _fewer_replicas(trial):
        if time.monotonic() > deadline:
            break
        passing = []
        smaller = _smallest_rows(trial, number, source, fails, best.num_rows, deadline, passing)
        if smaller is not None:
            best = smaller
            break
        passing_replicas += [number] if passing and number < trial.num_replicas else []
    passes = (passing, passing_replicas)
    return _described(trial, best, found, part, passes, fails_in)


def _failed_part(found: Findings) -> str | None:
    if found.pair.error is not None or not found.pair.candidate:
        return None
    return next((part for part in _PARTS if found.failed(part)), _SYNC if found.apart else None)


def _fewer_replicas(trial: Trial) -> Iterator[int]:
    """Numbers of replicas to try, the present one last."""
    ops = getattr(trial.strategy.extended, "_cross_device_ops", None)
    if isinstance(ops, _ANY_DEVICES):
        yield from range(2, trial.num_replicas)
    yield trial.num_replicas


def _strategy_of(trial: Trial, num_replicas: int) -> tf.distribute.Strategy:
    if num_replicas == trial.num_replicas:
        return trial.strategy
    extended = trial.strategy.extended
    return tf.distribute.MirroredStrategy(
        list(extended.worker_devices)[:num_replicas], cross_device_ops=extended._cross_device_ops
    )


def _smallest_rows(
    trial: Trial, num_replicas: int, source: Batch, fails: _Failure, most: int, deadline: float, passing: list[int]
) -> _Probe | None:
    """The fewest of the batch's first rows that fail with so many replicas."""
    sizes = [rows for rows in _row_counts(num_replicas, most) if rows <= sum(source.sizes)]
    batches = [_head(source, rows, num_replicas) for rows in sizes]
    if not batches:
        return None
    probed = Trial(trial.build, _strategy_of(trial, num_replicas), trial.dtype, batches, trial.initial)
    for rows, batch in zip(sizes, batches, strict=True):
        pair = probed.pair(batch)
        if not pair.candidate:
            return None
        found = judgement.judge_pair(probed, pair, tolerance(trial.dtype))
        if fails.alike(probed, found):
            return _Probe(num_replicas, rows, found)
        passing += [rows] if _failed_part(found) is None else []
        if time.monotonic() > deadline:
            return None
    return None


def _row_counts(num_replicas: int, most: int) -> list[int]:
    """One example for each replica, then more, even and uneven; `most` last."""
    counts, rows = [], num_replicas
    while rows < most:
        counts += [rows, rows + 1]
        rows *= 2
    return sorted({count for count in counts if count < most} | {most})


def _head(batch: Batch, rows: int, num_replicas: int) -> Batch:
    whole = tf.nest.map_structure(lambda leaf: leaf[:rows], batch.whole)
    return Batch(f"@{rows}_rows", split(whole, num_replicas), whole, batch.dynamic)


def _described(
    trial: Trial,
    best: _Probe,
    found: Findings,
    part: str,
    passes: tuple[Sequence[int], Sequence[int]],
    fails_in: Sequence[str],
) -> Smallest:
    passing, passing_replicas = passes
    wrong, compared = _wrong_variables(best.found, part, tolerance(trial.dtype).relative)
    claims: list[tuple[str, Callable[[], bool]]] = [
        ("the optimizer", lambda: part == "gradient"),
        (f"the dtype ({' and '.join(fails_in)} alike)", lambda: len(fails_in) > 1 and part == "gradient"),
        ("the number of replicas", lambda: best.num_replicas < trial.num_replicas),
        ("the batch size", lambda: best.num_rows < sum(found.pair.batch.sizes) and not passing),
    ]
    return Smallest(
        num_replicas=best.num_replicas,
        num_rows=best.num_rows,
        variables=wrong,
        compared=compared,
        passing_rows=passing,
        passing_replicas=passing_replicas,
        does_not_matter=[what for what, holds in claims if holds()],
        rerun=_rerun(found.pair.batch.suffix, best, trial.dtype),
    )


def _wrong_variables(found: Findings, part: str, allowed: float) -> tuple[list[str], int]:
    comparison = found.judged[part].comparison if part in found.judged else None
    if comparison is None:
        return list(found.apart), len(found.pair.candidate[0].after)
    wrong = [one for one in comparison.differences if not one.residual <= allowed]
    wrong.sort(key=lambda one: -np.nan_to_num(one.residual, nan=np.inf))
    return [one.key for one in wrong], len(comparison.differences)


def _rerun(suffix: str, best: _Probe, dtype: str) -> str:
    position = suffix.removeprefix("@")
    data = f"data[{int(position) - 1}:]" if position.isdigit() else "data"
    return (
        f"verify(build, first_rows({data}, {best.num_rows}), devices=split_device({best.num_replicas}),"
        f' dtypes=("{dtype}",))'
    )
