"""Shard replay as a check: did the replicas exchange what they should have?"""

from collections.abc import Sequence

from ..report import Check
from . import checks, references, variables
from .compare import Comparison, badness, compared
from .judgement import Findings, PerReplica
from .tolerances import Tolerance
from .trial import Trial


def communication_checks(trial: Trial, found: Findings, row: Tolerance) -> list[Check]:
    """Shard replay: what the replicas did against the same shards one after the other on one device."""
    suffix = found.pair.batch.suffix
    names = [f"communication/gradients{suffix}", f"communication/state{suffix}"]
    if found.replay is None:
        why = "there is one replica only" if trial.strategy.num_replicas_in_sync == 1 else found.no_replay
        return [Check(name, "skipped", detail=f"shard replay: {why}") for name in names]
    candidate = found.pair.candidate[0]
    by_replica = [one.gradients for one in found.replay]
    gradients = _replicawise(candidate.gradients, by_replica, row)
    slots = checks.with_role(trial.replayed.slots, variables.STATE)
    after = references.per_replica(found.replay, slots)
    state = _replicawise(candidate.after, [{k: [v[r]] for k, v in after.items()} for r in range(len(by_replica))], row)
    found.judged["communication"] = checks.comparison_check(
        names[0], gradients, row.relative, "shard replay, relative L2"
    )
    found.judged["communicated state"] = checks.comparison_check(
        names[1], state, row.relative, "shard replay, relative L2"
    )
    return []


def _replicawise(candidate: PerReplica, replayed: Sequence[PerReplica], row: Tolerance) -> Comparison:
    """Each replica against its own replay; by variable the worst one is kept."""
    each = []
    for replica, expected in enumerate(replayed):
        own = {key: [copies[replica]] for key, copies in candidate.items() if replica < len(copies)}
        each.append(compared(own, checks.first_copies(expected), row, common_ratio=False))
    same_variable = zip(*(comparison.differences for comparison in each), strict=True)
    worst = [max(differences, key=badness) for differences in same_variable]
    return Comparison(worst, 1.0, max((one.measured_ratio for one in each), key=lambda ratio: abs(ratio - 1)))
