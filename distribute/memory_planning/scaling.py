"""What a step would allocate at another batch size, from recordings at two small ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..memory_timeline.allocations import Allocation

_Sizes = Mapping[tuple[str, str], Sequence[int]]


def at_rows(small: Sequence[Allocation], large: Sequence[Allocation], rows: tuple[int, int, int]) -> list[Allocation]:
    """The larger recording, each piece as large as it would be: linear in the number of examples.

    Pieces of the two recordings belong together by their op, what the op took them for, and their rank by size.

    Args:
      small: recorded at the first number of `rows`.
      large: recorded at the second.
      rows: examples in the smaller recording, in the larger one, and wanted.
    """
    first, second = _sizes(small), _sizes(large)
    return [replace(event, requested_bytes=_scaled(event, first, second, rows)) for event in large]


def _sizes(events: Sequence[Allocation]) -> _Sizes:
    found: dict[tuple[str, str], set[int]] = {}
    for event in events:
        if event.taken:
            found.setdefault((event.op, event.region), set()).add(event.requested_bytes)
    return {key: sorted(sizes) for key, sizes in found.items()}


def _scaled(event: Allocation, first: _Sizes, second: _Sizes, rows: tuple[int, int, int]) -> int:
    size, key = event.requested_bytes, (event.op, event.region)
    if not event.taken or len(first.get(key, ())) != len(second[key]):
        return size
    before = first[key][second[key].index(size)]
    few, more, wanted = rows
    return max(round(size + (size - before) / (more - few) * (wanted - more)), 1)
