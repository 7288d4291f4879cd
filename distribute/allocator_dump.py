"""What TensorFlow's allocator writes into the log when memory runs out, as figures. Pure text: no TensorFlow.

The BFC allocator, which serves GPUs (and CPUs, where it is switched on), says what was asked for, then every chunk that
it holds, then its statistics; the exception adds shape, type and device. Versions from 0.12 to 2.21 word it alike.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_MOST_LIVE = 5
_MOST_SIZES = 10_000  # distinct ones that are counted: a bound on the memory that a huge log takes
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_TYPE_BYTES = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("half", "bfloat16", "int16", "uint16"), 2),
    **dict.fromkeys(("float", "int32", "uint32"), 4),
    **dict.fromkeys(("double", "int64", "uint64", "complex64"), 8),
    "complex128": 16,
}

_SIZE = r"[\d.]+\s?[KMGT]?i?B"
_ASKED = re.compile(rf"Allocator \((\w+)\) ran out of memory trying to allocate ({_SIZE})(?: \(rounded to (\d+)\))?")
_ASKING_OP = re.compile(r"requested by op ([\w./:-]+)")
_OOM = re.compile(
    r"OOM when allocating (?:temporary )?tensor (?:with|of) shape\s?\[([\d,\s]*)\](?: and type (\w+))?"
    r"(?: on (\S+))?(?: by allocator (\w+))?"
)
_OOM_XLA = re.compile(r"Out of memory (?:while trying to allocate|allocating) (\d+) bytes")
_CHUNK = re.compile(
    r"\b(InUse|Chunk|Free) {1,2}at (?:0x)?[0-9a-f]+ (?:next \d+ )?of size (\d+)(?: by op (?!action_count)(\S+))?"
)
_SUMMARY = re.compile(r"\b(\d+) Chunks of size (\d+) totalling ")
_STATISTIC = re.compile(rf"^\s*(Limit|InUse|MaxInUse|LargestFreeBlock):\s+({_SIZE}|\d+)\s*$")
_USAGE = re.compile(rf"^\s+({_SIZE}) from (\S+)")

NO_FAILURE = r" with(?: freed_by_count|$)|The caller indicates"
"""Where a request that was not served says that its caller does with less; the sentence may go on in the next line."""


@dataclass(frozen=True)
class LiveAllocation:
    """Memory that was in use when there was no more: `count` chunks of `size_bytes` each.

    Attributes:
      size_bytes: size of one chunk.
      count: how many there are.
      op: the operation that they belong to; empty where the log does not say, as is usual.
    """

    size_bytes: int
    count: int
    op: str = ""

    def __str__(self) -> str:
        size = f"{self.count} × {_shown(self.size_bytes)}" if self.count > 1 else _shown(self.size_bytes)
        return f"{size} ({self.op})" if self.op else size


@dataclass(frozen=True)
class AllocatorDump:
    """An allocation that failed, and the state of the allocator; None or empty for what the text does not say.

    Attributes:
      allocator: its name, such as ``GPU_0_bfc``.
      device: ``GPU:0``, as `tf.device` takes it.
      wanted_bytes: size of the allocation that failed.
      requested_by: the operation that asked for it.
      shape: shape of the tensor that was to be made.
      dtype: its type, in TensorFlow's words (``float`` is float32); empty where an old version left it out.
      limit_bytes: the most that the allocator may hold.
      in_use_bytes: what it held.
      peak_bytes: the most that it ever held.
      largest_free_bytes: the largest free piece between what was in use.
      largest_live: the largest allocations that were in use, largest total first.
    """

    allocator: str = ""
    device: str = ""
    wanted_bytes: int | None = None
    requested_by: str = ""
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    limit_bytes: int | None = None
    in_use_bytes: int | None = None
    peak_bytes: int | None = None
    largest_free_bytes: int | None = None
    largest_live: tuple[LiveAllocation, ...] = ()

    @property
    def is_within_limit(self) -> bool:
        """Whether the limit would have allowed it: what is free lies in pieces, or the device had no more to give.

        False where the figures are missing.
        """
        if self.wanted_bytes is None or self.limit_bytes is None or self.in_use_bytes is None:
            return False
        return self.limit_bytes - self.in_use_bytes >= self.wanted_bytes

    def __str__(self) -> str:
        wanted = _shown(self.wanted_bytes)
        if self.shape is not None:
            wanted += " for " if wanted else ""
            wanted += f"a tensor of shape {list(self.shape)}" + (f", {self.dtype}" if self.dtype else "")
        figures = {
            "wanted": wanted + (f" by {self.requested_by}" if self.requested_by else ""),
            "on": self.device or self.allocator,
            "limit": _shown(self.limit_bytes),
            "in use": _shown(self.in_use_bytes),
            "largest free piece": _shown(self.largest_free_bytes),
            "largest in use": ", ".join(map(str, self.largest_live)),
        }
        return "; ".join(f"{name} {value}" for name, value in figures.items() if value)


def read_allocator_dump(text: str | Iterable[str]) -> AllocatorDump | None:
    """Finds the last failed allocation in a log or in what an exception says.

    Args:
      text: the log, whole or as its lines, which are then read once and not kept.

    Returns:
      None where nothing failed to be allocated. Warnings that TensorFlow itself calls no failure do not count.
    """
    reader = AllocatorDumpReader()
    for line in text.splitlines() if isinstance(text, str) else text:
        reader.feed(line)
    return reader.result()


class AllocatorDumpReader:
    """Reads line by line, for a log that somebody else reads too; see `read_allocator_dump`."""

    def __init__(self) -> None:
        self._found = False
        self._begin()

    def _begin(self) -> None:
        self._allocator = self._device = self._requested_by = self._dtype = ""
        self._wanted: int | None = None
        self._shape: tuple[int, ...] | None = None
        self._statistics: dict[str, int] = {}
        self._free: list[int] = []
        self._chunks: Counter[tuple[int, str]] = Counter()
        self._by_size: Counter[tuple[int, str]] = Counter()

    def feed(self, line: str) -> None:
        """Takes the next line."""
        if asked := _ASKED.search(line):
            self._read_request(line, asked)
        elif failed := _OOM.search(line):
            self._read_exception(failed)
        elif failed := _OOM_XLA.search(line):
            self._begin_unless_asked_for(int(failed[1]))
        elif self._found:
            self._read_state(line)

    def _read_request(self, line: str, asked: re.Match[str]) -> None:
        if re.search(NO_FAILURE, line):
            return
        self._begin()
        self._found = True
        self._allocator = asked[1]
        self._wanted = int(asked[3]) if asked[3] else _bytes(asked[2])
        op = _ASKING_OP.search(line)
        self._requested_by = op[1] if op else ""

    def _read_exception(self, failed: re.Match[str]) -> None:
        shape = tuple(int(size) for size in failed[1].split(",") if size.strip())
        dtype = failed[2] or ""
        self._begin_unless_asked_for(math.prod(shape) * _TYPE_BYTES[dtype] if dtype in _TYPE_BYTES else None)
        self._shape, self._dtype = shape, dtype
        self._device = _device(failed[3] or "") or self._device
        self._allocator = failed[4] or self._allocator

    def _begin_unless_asked_for(self, size: int | None) -> None:
        """An exception of the size that the allocator was asked for tells of the same failure, any other of its own."""
        if size is not None and self._wanted is not None and not _is_about(size, self._wanted):
            self._begin()
        self._found = True
        self._wanted = size if self._wanted is None else self._wanted

    def _read_state(self, line: str) -> None:
        if chunk := _CHUNK.search(line):
            if chunk[1] == "Free":
                self._free = [max([int(chunk[2]), *self._free])]
            else:
                _count(self._chunks, int(chunk[2]), chunk[3] or "", 1)
        elif summary := _SUMMARY.search(line):
            _count(self._by_size, int(summary[2]), "", int(summary[1]))
        elif statistic := _STATISTIC.search(line):
            self._statistics.setdefault(statistic[1], _bytes(statistic[2]))
        elif usage := _USAGE.search(line):
            _count(self._chunks, _bytes(usage[1]), usage[2], 1)

    def result(self) -> AllocatorDump | None:
        """What was found so far."""
        if not self._found:
            return None
        statistics = self._statistics
        free = self._free[0] if self._free else statistics.get("LargestFreeBlock") or None
        return AllocatorDump(
            allocator=self._allocator,
            device=self._device or _device_of_allocator(self._allocator),
            wanted_bytes=self._wanted,
            requested_by=self._requested_by,
            shape=self._shape,
            dtype=self._dtype,
            limit_bytes=statistics.get("Limit"),
            in_use_bytes=statistics.get("InUse"),
            peak_bytes=statistics.get("MaxInUse"),
            largest_free_bytes=free,
            largest_live=_largest(self._chunks or self._by_size),
        )


def _count(counter: Counter[tuple[int, str]], size: int, op: str, number: int) -> None:
    if (size, op) in counter or len(counter) < _MOST_SIZES:
        counter[size, op] += number


def _largest(counter: Counter[tuple[int, str]]) -> tuple[LiveAllocation, ...]:
    by_total = sorted(counter.items(), key=lambda item: (-item[0][0] * item[1], item[0]))
    return tuple(LiveAllocation(size, number, op) for (size, op), number in by_total[:_MOST_LIVE])


def _is_about(size: int, wanted: int) -> bool:
    """The allocator rounds up to 256 bytes, and writes three digits."""
    return abs(wanted - size) <= max(256, wanted // 100)


def _bytes(text: str) -> int:
    """``1.50GiB``, or a plain number of bytes, which versions before 2.2 wrote."""
    number = re.match(r"[\d.]+", text)
    unit = text[number.end() :].strip() if number else ""
    return round(float(number[0].rstrip(".")) * _UNITS.get(unit, 1)) if number else 0


def _device(text: str) -> str:
    """``GPU:0`` out of ``/job:localhost/replica:0/task:0/device:GPU:0``."""
    found = re.search(r"(?:device:)?([GC]PU:\d+)", text, flags=re.IGNORECASE)
    return found[1].upper() if found else ""


def _device_of_allocator(name: str) -> str:
    found = re.fullmatch(r"GPU_(\d+)_bfc", name)
    if found:
        return f"GPU:{found[1]}"
    return "CPU:0" if "cpu" in name.lower() else ""


def _shown(size: int | None) -> str:
    if size is None:
        return ""
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if size >= _UNITS[unit]), "B")
    return f"{size / _UNITS[unit]:.4g} {unit}"
