"""What a run that is out of memory would have needed, planned on the CPU in processes of their own."""

from collections.abc import Callable
from dataclasses import dataclass

from distribute.memory_plan import MemoryPlan, MemoryPlanner
from distribute.targets import Target
from train.messages import first_line
from train.stop_signals import Stopped

_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class MemoryNeed:
    """A plan for the run's batch, and what fits instead.

    Attributes:
      plan: for the batch of the run.
      fitting_rows: the most examples on a replica that the limit allows, 0 for none; None where there is no limit.
    """

    plan: MemoryPlan
    fitting_rows: int | None


def find_need(
    find_targets: Callable[[], tuple[Target, Target]], *, num_replicas: int, limit_mib: int | None
) -> MemoryNeed | str:
    """Plans as ``train/plan.py`` does, with less certainty in a third of the time; a text says why there is no plan.

    It raises nothing: it is called where an error is being explained, and that error must not be lost.

    Args:
      find_targets: gives the program and its data, as `MemoryPlanner` takes them.
      num_replicas: over how many the batch is split.
      limit_mib: limit of each replica, None for none.
    """
    try:
        build, data = find_targets()
        with MemoryPlanner(build, data, num_replicas=num_replicas, quick=True, timeout_s=_TIMEOUT_S) as planner:
            plan = planner.plan()
            return MemoryNeed(plan, None if limit_mib is None else planner.largest_rows(limit_mib))
    except (Exception, Stopped) as error:  # noqa: BLE001  a Ctrl-C as well: it ends the planning
        return f"{type(error).__name__}: {first_line(error)}"
