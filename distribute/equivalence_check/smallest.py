"""Shrinks a failure: the fewest replicas and examples that still fail, and what does not matter.

The model is Hypothesis' shrunk examples. The search is bounded: no probe begins once the time granted is used up.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ..diagnosis import diagnose
from ..report import Smallest
from . import judgement
from .communication import communication_checks
from .inputs import Batch, split
from .judgement import Findings
from .sensitivity import excuse_rounding
from .trial import Trial

_PARTS = ("gradient", "update", "state")
_SYNC = "replica_sync"
_CLIPPED = "clip_before_all_reduce"  # which is an optimizer's own doing, or is undone by wrapping it


@dataclass(frozen=True)
class Failure:
    """What is shrunk.

    Attributes:
      trial, found: the program, and the batch that failed.
      failed: names of the checks that failed and were not accepted.
      causes: the mistakes found, without the accepted ones: the smaller case has to show the first of them, too.
      first: the first batch of the data: a failure of the rest of an epoch is looked for in it.
      fails_in: the dtypes in which the gradient is wrong.
      own_strategy: whether the user gave the strategy, which then is not taken apart.
      accept: what the user accepts.
    """

    trial: Trial
    found: Findings
    failed: Sequence[str]
    causes: Sequence[str]
    first: Batch
    fails_in: Sequence[str]
    own_strategy: bool
    accept: Sequence[str]

    @property
    def part(self) -> str | None:
        """The first part of the step that is wrong; None where the failure is none of a step."""
        judged = self.found.judged
        parts = (part for part in _PARTS if part in judged and judged[part].check.name in self.failed)
        sync = f"{_SYNC}{self.found.pair.batch.suffix}"
        return next(parts, _SYNC if sync in self.failed else None)

    def alike(self, trial: Trial, found: Findings) -> bool:
        """Whether a smaller case fails in the same part, for the same reason where one is known."""
        if self.part == _SYNC and not found.apart or self.part != _SYNC and not found.failed(str(self.part)):
            return False
        if self.found.failed("communication"):
            found.replay = trial.replay(found.pair.batch)
            communication_checks(trial, found, trial.row)
        if not self.causes:
            return True
        causes = diagnose(trial, found, trial.row).causes
        return [cause for cause in causes if cause not in self.accept][:1] == list(self.causes[:1])


@dataclass(frozen=True)
class _Case:
    """A run with fewer replicas or examples, and which others were tried before and pass."""

    num_replicas: int
    num_rows: int
    found: Findings
    passing_rows: Sequence[int] = ()
    passing_replicas: Sequence[int] = ()


def find_smallest(failure: Failure, budget_s: float) -> Smallest | None:
    """Looks for a smaller case that fails alike; no probe begins after `budget_s` seconds."""
    found, trial = failure.found, failure.trial
    if found.pair.error is not None or not found.pair.candidate or failure.part is None:
        return None
    deadline = time.monotonic() + budget_s
    best = _Case(trial.num_replicas, sum(found.pair.batch.sizes), found)
    passing: list[int] = []
    for number in [*_fewer_replicas(failure), trial.num_replicas]:
        if time.monotonic() > deadline:
            break
        smaller, passing_rows = _fewest_rows(failure, number, best.num_rows, deadline)
        if smaller is not None:
            best = dataclasses.replace(smaller, passing_rows=passing_rows, passing_replicas=passing)
            break
        passing += [number] if passing_rows else []
    return _described(failure, best)


def _fewer_replicas(failure: Failure) -> Sequence[int]:
    """Fewer replicas, where the strategy is one that can be made of them."""
    ops = getattr(failure.trial.strategy.extended, "_cross_device_ops", None)
    shared = isinstance(ops, tf.distribute.ReductionToOneDevice)  # which keeps nothing of its devices
    return range(2, failure.trial.num_replicas) if shared else ()


def _strategy_of(trial: Trial, num_replicas: int) -> tf.distribute.Strategy:
    if num_replicas == trial.num_replicas:
        return trial.strategy
    extended = trial.strategy.extended
    return tf.distribute.MirroredStrategy(
        list(extended.worker_devices)[:num_replicas], cross_device_ops=extended._cross_device_ops
    )


def _fewest_rows(failure: Failure, num_replicas: int, most: int, deadline: float) -> tuple[_Case | None, Sequence[int]]:
    """The fewest of the batch's first rows that fail with so many replicas, and the numbers that pass."""
    trial = failure.trial
    passing: list[int] = []
    source = failure.first if failure.found.pair.batch.suffix == "@uneven" else failure.found.pair.batch
    sizes = [rows for rows in _row_counts(num_replicas, most) if rows <= sum(source.sizes)]
    batches = [_head(source, rows, num_replicas) for rows in sizes]
    strategy = _strategy_of(trial, num_replicas)
    probed = Trial(trial.build, strategy, trial.dtype, batches, trial.initial, row=trial.row)
    for rows, batch in zip(sizes, batches, strict=True):
        pair = probed.pair(batch)
        if not pair.candidate or time.monotonic() > deadline:
            break
        found = judgement.judge_pair(probed, pair, trial.row)
        excuse_rounding(probed, found, trial.row)
        if failure.alike(probed, found):
            return _Case(num_replicas, rows, found), passing
        passing += [rows] if all(check.status != "failed" for check in found.checks) else []
    return None, passing


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


def _described(failure: Failure, best: _Case) -> Smallest:
    part, trial = str(failure.part), failure.trial
    wrong, compared = _wrong_variables(best.found, part, trial.row.relative)
    fewer_rows = best.num_rows < sum(failure.found.pair.batch.sizes)
    claims = (
        ("the optimizer", part == "gradient" and _CLIPPED not in failure.causes),
        (f"the dtype ({' and '.join(failure.fails_in)} alike)", len(failure.fails_in) > 1 and part == "gradient"),
        ("the number of replicas", best.num_replicas < trial.num_replicas and not best.passing_replicas),
        ("the batch size", fewer_rows and not best.passing_rows),
    )
    return Smallest(
        num_replicas=best.num_replicas,
        num_rows=best.num_rows,
        variables=wrong,
        compared=compared,
        passing_rows=best.passing_rows,
        passing_replicas=best.passing_replicas,
        does_not_matter=[what for what, holds in claims if holds],
        rerun=_rerun(failure, best),
    )


def _wrong_variables(found: Findings, part: str, allowed: float) -> tuple[list[str], int]:
    comparison = found.judged[part].comparison if part in found.judged else None
    if comparison is None:
        return list(found.apart), len(found.pair.candidate[0].after)
    wrong = [one for one in comparison.differences if not one.residual <= allowed]
    wrong.sort(key=lambda one: -np.nan_to_num(one.residual, nan=np.inf))
    return [one.key for one in wrong], len(comparison.differences)


def _rerun(failure: Failure, best: _Case) -> str:
    position = failure.found.pair.batch.suffix.removeprefix("@")
    data = f"data[{int(position) - 1}:]" if position.isdigit() else "data"
    where = "strategy=strategy" if failure.own_strategy else f"devices=split_device({best.num_replicas})"
    accepted = f", accept={tuple(failure.accept)!r}" if failure.accept else ""
    dtype = failure.trial.dtype
    return f'verify(build, first_rows({data}, {best.num_rows}), {where}, dtypes=("{dtype}",){accepted})'
