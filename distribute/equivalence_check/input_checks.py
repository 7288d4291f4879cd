"""The check that the replicas together saw each example once."""

from distribute.equivalence_check import coverage as counting
from distribute.equivalence_check.coverage import Counts
from distribute.equivalence_check.inputs import Inputs
from distribute.report import Check

NAME = "input_coverage"


def coverage(inputs: Inputs, num_replicas: int) -> tuple[Check, list[str], list[str]]:
    """The check, its causes and notes."""
    sizes = inputs.batches[0].sizes
    shards = f"shard sizes {sizes}"
    if inputs.delivered is None:
        return (
            Check(NAME, "passed", 0.0, 0.0, f"a list of batches is split, each example once; {shards}"),
            [],
            [],
        )
    if inputs.truth is None:
        return (
            Check(NAME, "skipped", detail=f"the data set does not end within the batches read; {shards}"),
            [],
            [],
        )
    readers = [("as the strategy reads it", inputs.delivered, 1)]
    if inputs.workers is not None:
        readers.append((f"with {num_replicas} readers, one per replica", inputs.workers, num_replicas))
    wrong, causes, notes = [], [], []
    for how, seen, count in readers:
        more, less = counting.surplus(seen, inputs.truth), counting.missing(seen, inputs.truth)
        # A strategy drops an epoch's last step where not every replica gets a batch of static size.
        per_reader = inputs.per_replica_batch * (num_replicas if count == 1 else 1)
        if _remainder(seen, inputs.truth, more, less, count * per_reader):
            notes += (
                [f"{less} examples do not come {how}: drop_remainder, less than one batch per reader"] if less else []
            )
        else:
            wrong.append(
                (
                    more + less,
                    f"{how}: {more} examples came too often, {less} of {sum(inputs.truth.values())} never",
                )
            )
            causes += ["replicated_input"] if more else []
    if wrong:
        text = "; ".join(message for _, message in wrong)
        return (
            Check(NAME, "failed", float(max(n for n, _ in wrong)), 0.0, f"{text}; {shards}"),
            causes[:1],
            notes,
        )
    total = sum(inputs.truth.values())
    return (
        Check(NAME, "passed", 0.0, 0.0, f"{total} examples of one epoch, each one once; {shards}"),
        [],
        notes,
    )


def _remainder(seen: Counts, truth: Counts, more: int, less: int, allowed: int) -> bool:
    """Less than one batch per reader missing, or others in their place."""
    if not more and not less:
        return True
    return max(more, less) < allowed and sum(seen.values()) <= sum(truth.values())
