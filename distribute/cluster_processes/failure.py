"""Which process of a cluster failed first: all others fail as well, since they lose it."""

import re
from collections.abc import Mapping

from ..memory_check.child_process import Outcome

# How TensorFlow 2.21 begins what it says in every process that was well and waited for another one.
_ABORTED = "Collective ops is aborted"
# Of the first process; named, without any task, by those that cannot reach it.
_LEADERS_SERVICE = "tensorflow.CoordinationService"
_PORT_TAKEN = "Could not start gRPC server"
_TASK = re.compile(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)")


class WorkerFailedError(RuntimeError):
    """A process of the cluster failed; the others were ended.

    Attributes:
      index: which one.
      outcome: how it ended.
      lost: its task type where it did not end, but the others heard nothing of it any more; `index` is among those of
        that type then. "leader" for the first process, whatever its type. Else empty.
    """

    def __init__(self, index: int, outcome: Outcome, *, lost: str = ""):
        what = "does not answer any more" if lost else outcome.message
        super().__init__(f"process {index} of the cluster {what}\n\nThat process said:\n{outcome.report}")
        self.index = index
        self.outcome = outcome
        self.lost = lost


def is_consequence(outcome: Outcome) -> bool:
    """True for a process that ended because another one was gone."""
    return _ABORTED in outcome.text


def is_port_taken(outcome: Outcome) -> bool:
    """True for a process whose address another program has."""
    return _PORT_TAKEN in outcome.text


def first_cause(outcomes: Mapping[int, Outcome]) -> WorkerFailedError:
    """The failure of several, in the order in which they came, that explains the others best."""
    for index, outcome in outcomes.items():
        if not is_consequence(outcome):
            return WorkerFailedError(index, outcome)
    index, outcome = next(iter(outcomes.items()))
    if accused := _TASK.search(outcome.text):
        return WorkerFailedError(int(accused[2]), outcome, lost=accused[1])
    if _LEADERS_SERVICE in outcome.text:
        return WorkerFailedError(0, outcome, lost="leader")
    return WorkerFailedError(index, outcome)
