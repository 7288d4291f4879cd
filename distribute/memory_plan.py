"""`MemoryPlanner`: what limit a program needs, or how large a batch fits, before anything is run under a limit."""

import dataclasses
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .allocator_dump import LiveAllocation
from .batches import num_examples, resized
from .memory_check.runs import Runs
from .memory_check.shards import first_shards
from .memory_planning.recording import Recording
from .memory_planning.replay import MIB, fits, smallest_limit_mib
from .memory_planning.scaling import at_rows
from .memory_timeline.allocations import Allocation
from .targets import Target, resolve_build, resolve_data

# Three runs differ in the order of their ops. What none of them showed is covered by a share of the limit on top.
_NUM_RECORDINGS = 3
_HEADROOM = 1.1
_QUICK_HEADROOM = 1.2
_SMALL_ROWS = (8, 16)
_MOST_ROWS = 2**20  # for a program whose memory does not depend on them
_TIMEOUT_S = 900.0
_MOST_LARGEST = 5
_AT_ONCE = 2


@dataclass(frozen=True)
class MemoryPlan:
    """What one replica needs, in MiB.

    Attributes:
      num_replicas: how many there are.
      rows: examples of one replica in a step.
      parameters_mib, gradients_mib, optimizer_mib: exact bytes of the model state.
      activations_mib, temporaries_mib, other_mib: what else holds the peak of a recorded step.
      peak_mib: the peak of that step, without a limit.
      largest: the largest pieces that the step itself holds at its peak, with op and shape, largest first.
      limits_mib: for each recording the smallest limit under which it fits.
      extrapolated_mib: the same from two small batches alone; None where the batch is as small.
      small_rows: how many examples these have.
      limit_mib: the planned limit: the greatest of `limits_mib`, and a headroom.
    """

    num_replicas: int
    rows: int
    parameters_mib: float
    gradients_mib: float
    optimizer_mib: float
    activations_mib: float
    temporaries_mib: float
    other_mib: float
    peak_mib: float
    largest: Sequence[LiveAllocation]
    limits_mib: Sequence[int]
    extrapolated_mib: int | None
    small_rows: tuple[int, int]
    limit_mib: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


class MemoryPlanner:
    """Plans one program; as a context manager it ends the processes that it has started.

    Each recording runs one replica's share on CPU, in a process of its own without a limit, and takes some seconds.
    With `quick` there is one instead of three for a batch, none of the largest batch that fits, and twice the headroom.
    """

    def __init__(
        self, build: Target, data: Target, *, num_replicas: int, quick: bool = False, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """Takes what `check_memory` takes; of the data only shapes and dtypes of one batch are used.

        A process that needs more than `timeout_s` seconds is ended, and its failure told.

        Raises:
          ValueError: a target that cannot be found or called, or no batch.
        """
        resolve_build(build)  # so that a target that is not there is told at once
        self._num_replicas = num_replicas
        self._shard = max(first_shards(resolve_data(data)(), num_replicas), key=num_examples)
        self._runs = Runs(build, data, num_replicas, timeout_s)
        self._quick = quick
        self._small: tuple[Recording, Recording] | None = None

    def __enter__(self) -> "MemoryPlanner":
        return self

    def __exit__(self, *_: object) -> None:
        self._runs.reap()

    @property
    def rows(self) -> int:
        """Examples of one replica in the global batch of the data."""
        return num_examples(self._shard)

    def plan(self, rows: int | None = None) -> MemoryPlan:
        """The smallest limit that works for so many examples on a replica; None for those of the data.

        Raises:
          RuntimeError: the program fails without a limit.
        """
        rows = self.rows if rows is None else rows
        recordings = self._recordings(rows)
        limits = _limits_mib(recordings)
        first, holders = recordings[0], recordings[0].holders
        return MemoryPlan(
            num_replicas=self._num_replicas,
            rows=rows,
            parameters_mib=first.parameters_bytes / MIB,
            gradients_mib=first.gradients_bytes / MIB,
            optimizer_mib=first.optimizer_bytes / MIB,
            activations_mib=holders.activations / MIB,
            temporaries_mib=holders.temporaries / MIB,
            other_mib=holders.other / MIB,
            peak_mib=max(one.holders.peak for one in recordings) / MIB,
            largest=[LiveAllocation(piece.num_bytes, 1, piece.what) for piece in holders.largest[:_MOST_LARGEST]],
            limits_mib=limits,
            extrapolated_mib=self.extrapolated_mib(rows) if rows > _SMALL_ROWS[1] else None,
            small_rows=_SMALL_ROWS,
            limit_mib=self._with_headroom(max(limits)),
        )

    def extrapolated_mib(self, rows: int) -> int:
        """The smallest limit for so many examples by two small batches, without headroom."""
        return smallest_limit_mib(self._extrapolated(rows), grows=True)

    def largest_rows(self, limit_mib: int) -> int:
        """The most examples on a replica whose plan keeps the limit; 0 where even one does not.

        Searched by extrapolation; what that finds is recorded, and taken back where it was too much.

        Raises:
          RuntimeError: the program fails without a limit.
        """
        wanted = limit_mib / self._headroom
        rows = _largest(lambda number: fits(self._extrapolated(number), int(wanted), grows=True))
        if self._quick:
            return rows
        while rows > 0 and self._with_headroom(max(_limits_mib(self._recordings(rows)))) > limit_mib:
            rows = rows * 9 // 10
        return rows

    def runs_under(self, limit_mib: int, rows: int, num_runs: int) -> Iterator[str]:
        """Runs one replica's share under the limit so many times; yields how each ended, an empty text for well."""
        shard = pickle.dumps(resized(self._shard, rows))
        for start in range(0, num_runs, _AT_ONCE):
            number = min(_AT_ONCE, num_runs - start)
            children = [self._runs.start_replica(shard, limit_mib) for _ in range(number)]
            yield from (child.outcome().message for child in children)

    @property
    def _headroom(self) -> float:
        return _QUICK_HEADROOM if self._quick else _HEADROOM

    def _with_headroom(self, limit_mib: int) -> int:
        """A limit with room for orders of ops that no recording showed, in whole MiB."""
        return math.ceil(limit_mib * self._headroom)

    def _recordings(self, rows: int) -> list[Recording]:
        if not self._quick:
            return self._record([rows] * _NUM_RECORDINGS)
        one, *small = self._record([rows, *_SMALL_ROWS])  # side by side
        self._small = small[0], small[1]
        return [one]

    def _extrapolated(self, rows: int) -> Sequence[Allocation]:
        if self._small is None:
            few, more = self._record(_SMALL_ROWS)
            self._small = few, more
        small, large = self._small
        return at_rows(small.events, large.events, (small.rows, large.rows, rows))

    def _record(self, numbers: Sequence[int]) -> list[Recording]:
        children = []
        for rows in numbers:
            child = self._runs.start("recording")
            child.send(pickle.dumps(resized(self._shard, rows)))
            children.append(child)
        recordings = []
        for child in children:
            payload = child.receive("recording")
            if payload is None:
                raise RuntimeError(f"the program fails without a limit: it {child.outcome().message}")
            recordings.append(pickle.loads(payload))
        return recordings


def _limits_mib(recordings: Sequence[Recording]) -> list[int]:
    return [smallest_limit_mib(one.events, grows=True) for one in recordings]


def _largest(holds: Callable[[int], bool]) -> int:
    """The largest number of examples for which it holds, 0 for none: doubled until it does not, then halved."""
    above = 1
    while above < _MOST_ROWS and holds(above):
        above *= 2
    below = above // 2
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if holds(middle) else (below, middle)
    return below
