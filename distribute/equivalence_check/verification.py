"""One call of `verify`: asks every question about a program, and collects the answers in a report."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from ..causes import Explanation
from ..diagnosis import Diagnosis, diagnose
from ..report import Check, Report, Smallest
from . import (
    communication,
    input_checks,
    judgement,
    low_precision,
    overflow,
    random_check,
)
from .acceptance import accepted_checks, follow_arbiter
from .host_memory import require_host_memory
from .inputs import Batch, Inputs
from .judgement import Findings
from .sensitivity import excuse_rounding
from .smallest import Failure, find_smallest
from .tolerances import tolerance
from .trial import Pair, Trial
from .variable_table import variable_rows

ARBITER = "float64"

_SHARE_OF_SHRINKING = 0.5


class _TooLargeError(Exception):
    """The replicas ran out of memory in float64."""


class Verification:
    """One call of `verify`: the trials, and what was found so far."""

    def __init__(
        self,
        build: Callable[[], Any],
        strategy: tf.distribute.Strategy,
        inputs: Inputs,
        steps: int,
        dtypes: Sequence[str],
        accept: Sequence[str],
        own_strategy: bool,
    ) -> None:
        self.build, self.strategy, self.inputs = build, strategy, inputs
        self.steps, self.dtypes, self.accept = steps, dtypes, accept
        self.own_strategy = own_strategy
        self.num_replicas = strategy.num_replicas_in_sync
        self.checks: list[Check] = []
        self.explanations: list[Explanation] = []
        self.notes: list[str] = list(inputs.notes)
        self.found: list[Findings] = []  # of the first batch, and of others that fail
        self.pairs: list[tuple[Trial, Pair]] = []  # of the first batch, in each dtype
        self.lower: dict[str, Findings] = {}  # of the first batch, in each dtype below the arbiter's

    def report(self, devices: dict[str, Any], shrink: bool, on_progress: Callable[[int, int], None]) -> Report:
        """Asks every question and collects the answers."""
        begin = time.monotonic()
        self._on_progress = on_progress
        main = self._main_trial()
        require_host_memory(main.slots, self.num_replicas, tf.as_dtype(main.dtype).size)
        self._count_parts(main)
        try:
            first = self._batches(main)
        except _TooLargeError:
            main = self._narrower(f"the replicas run out of memory in {ARBITER}, twice what they train in")
            self._count_parts(main)
            first = self._batches(main)
        self.pairs.append((main, first.pair))
        if main.on_host:
            self.notes.append("the whole batch does not fit on one device: the reference ran on the host's CPU")
        self._lower_precision(main, first)
        self._single_questions(main, first)
        self._advance()
        self.notes += dict.fromkeys(main.notes)
        found = list(dict.fromkeys(explanation.cause for explanation in self.explanations))
        accepted = [cause for cause in self.accept if cause in found]
        self.notes += [f"{cause} was accepted and did not occur" for cause in self.accept if cause not in accepted]
        causes = tuple(cause for cause in found if cause not in accepted)
        budget_s = (time.monotonic() - begin) * _SHARE_OF_SHRINKING
        smallest = self._smallest(main, causes, budget_s) if shrink else None
        return Report(
            checks=tuple(self.checks),
            causes=causes,
            explanations=_first_of_each(self.explanations, causes),
            accepted=tuple(accepted),
            notes=tuple(self.notes),
            variables=variable_rows(main, first, self.lower),
            shards=[{"batch": batch.suffix, "sizes": batch.sizes} for batch in self.inputs.batches],
            devices=devices,
            smallest=smallest,
        )

    def _smallest(self, trial: Trial, causes: Sequence[str], budget_s: float) -> Smallest | None:
        """The smallest case of the first batch with a failed check."""
        names = [check.name for check in self.checks if check.status == "failed"]
        failed = [found for found in self.found if any(check.name in names for check in found.checks)]
        if not failed or "irreproducible_reference" in causes:
            return None
        failure = Failure(
            trial,
            failed[0],
            names,
            causes=[cause for cause in failed[0].causes if cause in causes],
            first=self.inputs.batches[0],
            fails_in=[dtype for dtype in self.dtypes if f"gradient_equivalence/{dtype}" in names],
            own_strategy=self.own_strategy,
            accept=self.accept,
        )
        try:
            return find_smallest(failure, budget_s)
        except Exception as error:  # noqa: BLE001 - a case that cannot be made smaller is no fault of the program
            self.notes.append(f"the search for a smaller case ended with {type(error).__name__}: {error}")
            return None

    def _main_trial(self) -> Trial:
        """The trial that decides: float64 where the program allows it."""
        batches = self.inputs.batches
        if ARBITER not in self.dtypes:
            self._skip(f"gradient_equivalence/{ARBITER}", "float64 is not among the dtypes asked for")
            return Trial(self.build, self.strategy, self.dtypes[0], batches)
        try:
            trial = Trial(self.build, self.strategy, ARBITER, batches)
        except Exception as error:
            narrow = self._in_float32_or_none()
            if narrow is None:
                raise
            why = f"the program runs in float32 and not in {ARBITER} ({type(error).__name__}: {_one_line(error)})"
            self._weaker(why, "float32")
            return narrow
        pinned = trial.pinned_dtype() or ARBITER
        if pinned == ARBITER:
            return trial
        return self._narrower(f"the program pins its dtype ({pinned})", pinned)

    def _narrower(self, why: str, dtype: str = "float32") -> Trial:
        """The trial that decides where float64 cannot."""
        self._weaker(why, dtype)
        return Trial(self.build, self.strategy, "float32", self.inputs.batches, row=tolerance(dtype))

    def _weaker(self, why: str, dtype: str) -> None:
        reason = f"{why}: it is judged by the table of {dtype}, weaker evidence"
        self._skip(f"gradient_equivalence/{ARBITER}", reason)
        self.notes.append(reason)

    def _in_float32_or_none(self) -> Trial | None:
        """The program there, after float64 failed; None where it fails, too: the first exception is the user's."""
        try:
            return Trial(self.build, self.strategy, "float32", self.inputs.batches)
        except Exception:  # noqa: BLE001 - the float64 exception is the one to show
            return None

    def _batches(self, trial: Trial) -> Findings:
        """Every batch from the initial values; the first one with all steps. Returns the first one's findings."""
        row = trial.row
        self.found = []
        for number, batch in enumerate(self._compared_batches()):
            pair = trial.pair(batch, self.steps if number == 0 else 1)
            if number == 0 and trial.dtype == ARBITER and isinstance(pair.error, tf.errors.ResourceExhaustedError):
                raise _TooLargeError  # of a limit that is meant for training in float32, verification must not die
            found = judgement.judge_pair(trial, pair, row)
            failed = any(check.status == "failed" for check in found.checks)
            if self.num_replicas > 1 and pair.candidate and (number == 0 or failed):
                self._replay(trial, found)
                found.others += communication.communication_checks(trial, found, row)
            elif number == 0:
                found.others += communication.communication_checks(trial, found, row)
            excuse_rounding(trial, found, row)
            self._conclude(trial, found)
            if number == 0 or any(check.status == "failed" for check in found.checks):
                self.found.append(found)  # what it rests on is as large as the model, many times over
            self._advance()
        if all(batch.suffix == "" for batch in self.inputs.batches) or self.num_replicas == 1:
            self._no_uneven(trial.dtype)
        return self.found[0]

    def _compared_batches(self) -> list[Batch]:
        return [batch for batch in self.inputs.batches if batch.suffix != "@uneven" or self.num_replicas > 1]

    def _count_parts(self, main: Trial) -> None:
        """Parts are a batch, the first batch in a lower precision, and what is asked once."""
        self._done, self._num_parts = 0, len(self._compared_batches()) + len(self._lower_dtypes(main)) + 1

    def _advance(self) -> None:
        self._done += 1
        self._on_progress(self._done, self._num_parts)

    def _replay(self, trial: Trial, found: Findings) -> None:
        """Shard replay; where it is at its wits' end with a program, that is no fault of the program."""
        try:
            found.replay = trial.replay(found.pair.batch)
            found.no_replay = "its reductions did not settle"
        except Exception as error:  # noqa: BLE001 - the step runs elsewhere: what fails here is the replay
            found.no_replay = f"it raised {type(error).__name__}: {' '.join(str(error).split())[-300:]}"

    def _conclude(self, trial: Trial, found: Findings) -> None:
        diagnosis = self._diagnosed(trial, found)
        self.explanations += diagnosis.explanations
        found.causes = diagnosis.causes
        self.checks += accepted_checks(trial, found, diagnosis, self.accept, trial.row)

    def _diagnosed(self, trial: Trial, found: Findings) -> Diagnosis:
        try:
            return diagnose(trial, found, trial.row)
        except Exception as error:  # noqa: BLE001 - the checks stand, whatever the search for their cause ran into
            self.notes.append(f"the search for the cause ended with {type(error).__name__}: {error}")
            return Diagnosis()

    def _no_uneven(self, dtype: str) -> None:
        if self.inputs.truth is None and self.inputs.delivered is None:
            return  # a list says itself which batches there are
        reason = "there is one replica only" if self.num_replicas == 1 else self.inputs.reason_even
        self._skip(f"gradient_equivalence/{dtype}@uneven", reason)

    def _lower_precision(self, main: Trial, first: Findings) -> None:
        """The other dtypes, on the first batch."""
        for dtype in self._lower_dtypes(main):
            if first.pair.error is None:
                self._in_lower_precision(main, first, dtype)
            else:
                self._skip(f"gradient_equivalence/{dtype}", "the replicas raised an exception: see execution")
            self._advance()

    def _lower_dtypes(self, main: Trial) -> list[str]:
        return [dtype for dtype in self.dtypes if dtype not in (main.dtype, ARBITER)]

    def _in_lower_precision(self, main: Trial, first: Findings, dtype: str) -> None:
        batch = self.inputs.batches[0]
        trial = Trial(self.build, self.strategy, dtype, [batch], main.initial)
        arbiter = first.pair if main.dtype == ARBITER else None
        pair = trial.pair(batch)
        self.pairs.append((trial, pair))
        found = low_precision.judge_low_precision(trial, pair, arbiter, trial.row)
        self.lower[dtype] = found
        self.checks += follow_arbiter(found, self.checks)
        self._note_accuracy(found, dtype)

    def _note_accuracy(self, found: Findings, dtype: str) -> None:
        accuracy = found.judged["gradient"].accuracy if "gradient" in found.judged else {}
        worst = max(accuracy, key=lambda key: accuracy[key].reference, default=None)
        if worst is not None and accuracy[worst].reference > 1e-2 and not found.failed("gradient"):
            self.notes.append(
                f"in {dtype} the single-device run itself is {accuracy[worst].reference:.2g} (relative L2) off the"
                f" {ARBITER} result in {worst}: both runs agree and both are wrong"
            )

    def _single_questions(self, trial: Trial, first: Findings) -> None:
        """What is asked once, not per batch."""
        coverage, explained, notes = input_checks.coverage(self.inputs, self.num_replicas)
        again = random_check.reproducibility(trial, first.pair, trial.row)
        randomness, same_draws = random_check.randomness_check(trial, first.pair, self.accept)
        self.checks += [coverage, again, randomness]
        self.notes += notes
        self.explanations = [*explained, *self.explanations]
        if again.status == "failed":
            evidence = f"the same step on the same examples, run twice: {again.detail}"
            self.explanations = [Explanation("irreproducible_reference", evidence)]
        self.explanations += same_draws
        self._overflow()
        for bound in ("limit", "reference", "growth"):
            self._skip(f"memory_bounds/{bound}", "verify measures no memory: check_memory does")

    def _overflow(self) -> None:
        check, explanations = overflow.overflow_check(self.pairs)
        if check.status == "failed" and overflow.CAUSE in self.accept:
            check = dataclasses.replace(check, status="accepted")
        self.checks.append(check)
        self.explanations += explanations

    def _skip(self, name: str, reason: str) -> None:
        self.checks.append(Check(name, "skipped", detail=reason))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _first_of_each(explanations: Sequence[Explanation], causes: Sequence[str]) -> tuple[Explanation, ...]:
    """The first explanation of each cause: that of the first batch that shows it."""
    return tuple(next(one for one in explanations if one.cause == cause) for cause in causes)
