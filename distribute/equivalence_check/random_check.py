"""Two questions about randomness: does one device repeat itself, and do replicas draw different numbers?"""

from collections.abc import Sequence

import tensorflow as tf

from ..batches import num_examples
from ..causes import Explanation
from ..report import Check, Status
from . import global_state, judgement, randomness
from .runs import Shards
from .tolerances import Tolerance
from .trial import Pair, Trial

CAUSE = "identical_randomness"

_OTHER_SEED = 977


def reproducibility(trial: Trial, pair: Pair, row: Tolerance) -> Check:
    """The single-device run once more, its randomness taken out, everything else under another seed.

    Where the comparison with the replicas failed, its step is also traced afresh: random numbers that Python draws
    while a step is traced are constants of that trace.
    """
    name = "reference_reproducibility"
    global_state.reseed(_OTHER_SEED)
    second = trial.on_one_device(pair.batch)[0]
    judged = judgement.reproducibility_check(name, pair.reference[0], second, row)
    if judged.failed or not pair.candidate:
        return judged.check
    same = judgement.gradient_check(name, trial, pair, row)
    if same.failed and trial.num_replicas > 1:
        third = trial.afresh(_OTHER_SEED).on_one_device(pair.batch)[0]
        return judgement.reproducibility_check(name, pair.reference[0], third, row).check
    return judged.check


def randomness_check(trial: Trial, pair: Pair, accept: Sequence[str]) -> tuple[Check, list[Explanation]]:
    """Whether the replicas draw different numbers for their examples, and the cause where they do not."""
    name = "randomness"
    if not trial.reference.recorder.random_ops:
        return Check(name, "skipped", detail="not triggered: the step has no random operation"), []
    if trial.num_replicas == 1 or not pair.candidate:
        reason = "not triggered: there is one replica only, or the replicas did not run"
        return Check(name, "skipped", detail=reason), []
    same, draws = _drawn_alike(trial, pair)
    if not draws:
        reason = "not triggered: no random operation draws one row per example on two replicas"
        return Check(name, "skipped", detail=reason), []
    detail = f"{same} of {draws} random operations drew the same numbers on all {trial.num_replicas} replicas"
    if not same:
        return Check(name, "passed", 0.0, 0.0, detail), []
    layer, location = trial.reference.random_layer()
    status: Status = "accepted" if CAUSE in accept else "failed"
    return Check(name, status, float(same), 0.0, detail), [Explanation(CAUSE, detail, layer, location)]


def _drawn_alike(trial: Trial, pair: Pair) -> tuple[int, int]:
    """Draws per example that were the same on all replicas, and all of them."""
    shards, sizes = trial.shards[pair.batch.suffix], pair.batch.sizes
    same, draws = _draws(trial, shards)
    if same and len(set(sizes)) == 1 and sizes[0] > 1:
        # Weights, and what is drawn for them, may have as many rows as a shard; not as two shards of unequal size.
        shorter = tf.nest.map_structure(lambda leaf: leaf[:-1], shards[-1])
        try:
            return _draws(trial, [*shards[:-1], shorter])
        except Exception:  # noqa: BLE001 - a step may need shards of this very size
            pass
    return same, draws


def _draws(trial: Trial, shards: Shards) -> tuple[int, int]:
    run = trial.candidate
    run.write(trial.initial)
    return randomness.identical_draws(run.run_drawing(shards), [num_examples(shard) for shard in shards])
