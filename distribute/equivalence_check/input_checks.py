"""The check that the replicas together saw each example once."""

import dataclasses

from ..causes import Explanation
from ..report import Check
from . import coverage as counting
from .coverage import Counts
from .inputs import Inputs

NAME = "input_coverage"


def coverage(inputs: Inputs, num_replicas: int) -> tuple[Check, list[Explanation], list[str]]:
    """The check, its explanations and notes.

    What pads a batch may be copies of other rows each time that a shuffled data set is read: where rows do not come as
    one reader yields them, it is those with a weight in the loss that are judged. Since a step of one's own may read
    something else from where weights stand, what fails passes then only where each of these comes exactly once.
    """
    found = _judged(inputs, num_replicas)
    status = found[0].status
    padded = _without_padding(inputs)
    if padded is None or status == "skipped" or status == "passed" and not found[2]:
        return found
    check, explained, notes = _judged(padded, num_replicas)
    if check.status != status and (check.status != "passed" or notes):
        return found
    return dataclasses.replace(check, detail=f"{check.detail}; rows of weight 0 are left out"), explained, notes


def _without_padding(inputs: Inputs) -> Inputs | None:
    """The same without the rows of weight 0, read no more; None where there are none, or no others."""
    truth, delivered, workers = (
        None if counts is None else counting.weighted(counts)
        for counts in (inputs.truth, inputs.delivered, inputs.workers)
    )
    if not truth or truth == inputs.truth:
        return None
    return dataclasses.replace(inputs, truth=truth, delivered=delivered, workers=workers, read_again=None)


def _judged(inputs: Inputs, num_replicas: int) -> tuple[Check, list[Explanation], list[str]]:
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
    wrong, explained, notes = [], [], []
    for how, seen, count in readers:
        more, less = counting.surplus(seen, inputs.truth), counting.missing(seen, inputs.truth)
        # A strategy drops an epoch's last step where not every replica gets a batch of static size.
        per_reader = inputs.per_replica_batch * (num_replicas if count == 1 else 1)
        if _remainder(inputs, seen, per_reader, count):
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
            if more:
                explained.append(Explanation("replicated_input", wrong[-1][1], location=inputs.location))
    if wrong and _other_values(inputs):
        reason = "the data yields other values each time it is read"
        return Check(NAME, "skipped", detail=f"{reason}; {shards}"), [], [f"input coverage cannot be judged: {reason}"]
    if wrong:
        text = "; ".join(message for _, message in wrong)
        return (
            Check(NAME, "failed", float(max(n for n, _ in wrong)), 0.0, f"{text}; {shards}"),
            explained[:1],
            notes,
        )
    total = sum(inputs.truth.values())
    how_often = "none twice, not all of them: see the notes" if notes else "each one once"
    return (
        Check(NAME, "passed", 0.0, 0.0, f"{total} examples of one epoch, {how_often}; {shards}"),
        [],
        notes,
    )


def _remainder(inputs: Inputs, seen: Counts, per_reader: int, readers: int) -> bool:
    """Less than one batch per reader missing, or others in the place of less than one batch.

    Which examples a shuffled reader drops may differ from reader to reader; readers without drop_remainder, whose
    batches have no static size, drop none, and readers of the same examples double at least one whole batch.
    """
    truth = inputs.truth or Counts()
    more, less = counting.surplus(seen, truth), counting.missing(seen, truth)
    if more and inputs.batches[0].dynamic:
        return False
    return more < max(per_reader, 1) and less < max(readers * per_reader, 1) and seen.total() <= truth.total()


def _other_values(inputs: Inputs) -> bool:
    """Whether one reader, read again, yields other values than shuffling and dropping a remainder explain."""
    if inputs.read_again is None or inputs.truth is None:
        return False
    explained = 0 if inputs.batches[0].dynamic else inputs.per_replica_batch - 1
    return counting.surplus(inputs.read_again(), inputs.truth) > explained
