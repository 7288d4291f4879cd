"""What the allocator's counters showed of one program on one device, step by step.

Pure arithmetic, no TensorFlow: the parent judges with it what a child measured.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

MIB = 2**20

# Growth is judged on the least bytes in use at the ends of the steps of a window, and there has to be growth
# from each window to the next. A single step's figure is no evidence: the allocator hands out whole chunks,
# and in a healthy program (conv net, batch 32) it wanders up and down by up to 270 KiB and comes back to the
# same floor, while the floor of a program that keeps 2.4 KB a step rises in every one of six windows of
# sixteen steps.
_WINDOWS = 3
_WINDOWS_WHEN_LONG = 6
_LONG = 48  # steps


@dataclass(frozen=True)
class MemoryTrace:
    """One device's counters over some steps of a program, in bytes above what was in use before.

    Attributes:
      device: such as ``CPU:0``.
      batch_size: examples per step on this device.
      peaks: greatest bytes in use during each step; the first one includes the build and the tracing.
      ends: bytes in use after each step.
      state_bytes: parameters, optimizer slots and other variables.
      num_threads: ops that may run at the same time (inter-op threads); above 1 the peak moves with their
      order.
      evaluation_peak: greatest bytes in use during evaluation, None where the program has none.
    """

    device: str
    batch_size: int
    peaks: Sequence[int]
    ends: Sequence[int]
    state_bytes: int
    num_threads: int = 1
    evaluation_peak: int | None = None

    @property
    def training_peak_mib(self) -> float:
        """Peak over build and training, in MiB."""
        return max(self.peaks) / MIB

    def peak_over_mib(self, steps: slice) -> float:
        """Peak over some of the steps, in MiB; the first one includes the build."""
        return max(self.peaks[steps]) / MIB

    @property
    def peak_mib(self) -> float:
        """Peak over everything that was run, evaluation included, in MiB."""
        return max(*self.peaks, self.evaluation_peak or 0) / MIB

    @property
    def state_mib(self) -> float:
        """Model state, in MiB."""
        return self.state_bytes / MIB

    @property
    def spread_mib(self) -> float:
        """By how much the peak of a step moves from step to step, in MiB.

        Greatest minus least over the steps after the first; with more than one inter-op thread at least a
        quarter of the peak, because the order of ops differs between processes by more than it does between
        steps (measured: 19.8 to 24.9 MiB for the conv net at batch 64).
        """
        further = self.peaks[1:]
        measured = (max(further) - min(further)) / MIB
        return max(measured, self.training_peak_mib / 4) if self.num_threads > 1 else measured

    @property
    def growth_mib(self) -> float:
        """The least growth from one window of steps to the next, in MiB; 0 where any window shows none."""
        return sure_growth(self.ends[1:]) / MIB

    @property
    def growth_per_step_mib(self) -> float:
        """`growth_mib` for one step."""
        further = len(self.ends) - 1
        return self.growth_mib * num_windows(further) / further if self.growth_mib else 0.0


def num_windows(num_steps: int) -> int:
    """Windows into which so many steps are split for judging growth."""
    return _WINDOWS_WHEN_LONG if num_steps >= _LONG else _WINDOWS


def sure_growth(ends: Sequence[int]) -> int:
    """The least rise of the floor of ``ends`` (bytes after each step) from one window to the next, or 0."""
    floors = _floors(ends, num_windows(len(ends)))
    return max(0, min((after - before for before, after in itertools.pairwise(floors)), default=0))


def may_grow(ends: Sequence[int]) -> bool:
    """True where more steps are needed before `sure_growth` may answer that nothing grows."""
    floors = _floors(ends, _WINDOWS)
    return len(set(floors)) > 1 and floors == sorted(floors)


def _floors(ends: Sequence[int], windows: int) -> list[int]:
    size = len(ends) // windows
    return [min(ends[start : start + size]) for start in range(0, size * windows, size)] if size else []


def split_sum(replica: MemoryTrace, other: MemoryTrace, num_replicas: int) -> dict[str, float | None]:
    """Splits the sum of the replicas' peaks into model state, activations and fixed scratch, all in MiB.

    Fixed scratch is what would be left at batch size 0, the intercept of the line through two batch sizes,
    without the model state: kernels' workspaces do not shrink with the batch, which is why the sum over
    replicas exceeds a single device's peak plus state in healthy programs too.

    Args:
      replica: one replica's share.
      other: the same program at another batch size; at an equal one, activations and scratch cannot be told
      apart.
      num_replicas: how many such replicas there are.
    """
    total, state = replica.training_peak_mib, min(replica.state_mib, replica.training_peak_mib)
    scratch: float | None = None
    if replica.batch_size != other.batch_size:
        slope = (other.training_peak_mib - total) / (other.batch_size - replica.batch_size)
        scratch = min(max(total - slope * replica.batch_size - state, 0.0), total - state)
    return {
        "total_mib": num_replicas * total,
        "model_state_mib": num_replicas * state,
        "activations_mib": None if scratch is None else num_replicas * (total - state - scratch),
        "fixed_scratch_mib": None if scratch is None else num_replicas * scratch,
    }


def round_up_mib(mib: float) -> int:
    """The next whole MiB, the unit of a limit."""
    return math.ceil(mib)
