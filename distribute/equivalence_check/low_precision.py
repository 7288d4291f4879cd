"""float32 and below, held to how far the single-device run itself is from the float64 result."""

from collections.abc import Mapping, Sequence

from . import checks, variables
from .checks import Judged
from .compare import compared
from .judgement import Findings, PerReplica, judge_pair
from .tolerances import Tolerance
from .trial import Pair, Trial


def judge_low_precision(trial: Trial, pair: Pair, arbiter: Pair | None, row: Tolerance) -> Findings:
    """float32 and below: held to the reference's own distance from float64, or to the table where there is none."""
    if arbiter is None or pair.error is not None or not pair.candidate:
        return judge_pair(trial, pair, row)
    found = Findings(pair)
    dtype = trial.dtype
    runs = (pair.candidate[0], pair.reference[0], arbiter.reference[0])
    trained = checks.with_role(trial.slots, variables.TRAINABLE)
    state = checks.with_role(trial.candidate.slots, variables.STATE)
    start = pair.reference[0].before
    values = [checks.state_values(pair.candidate[0], start, state)]
    values += [{slot.key: one.after[slot.key] for slot in state} for one in runs[1:]]
    slack = checks.update_slack(start, trained, 1)
    found.judged["gradient"] = _own_accuracy(f"gradient_equivalence/{dtype}", row, [one.gradients for one in runs])
    found.judged["update"] = _own_accuracy(
        f"update_equivalence/{dtype}", row, [checks.updates(one, trained) for one in runs], slack
    )
    found.judged["state"] = _own_accuracy(f"state_equivalence/{dtype}", row, values)
    return found


def _own_accuracy(
    name: str, row: Tolerance, runs: Sequence[PerReplica], slack: Mapping[str, float] | None = None
) -> Judged:
    candidate, reference, truth = runs
    right = checks.first_copies(truth)
    return checks.own_accuracy_check(
        name,
        compared(candidate, right, row, slack=slack, common_ratio=False),
        compared(reference, right, row, slack=slack, common_ratio=False),
        row,
    )
