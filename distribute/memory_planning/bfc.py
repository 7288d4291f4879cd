"""A model of TensorFlow's BFC allocator (best fit with coalescing): sizes and addresses, no memory.

Follows xla/tsl/framework/bfc_allocator.cc without what CPUs and ordinary GPUs do not turn on (timestamped chunks,
spatial partitioning). A CPU, and a GPU under memory growth, adds regions that double in size and never join; a GPU with
a limit has one region. So a program can fail under a limit that is larger than its peak: free memory lies in pieces.
"""

import bisect
from dataclasses import dataclass

_SMALLEST = 256
_FIRST_REGION = 2 * 2**20
_LARGEST_WASTE = 128 * 2**20  # a chunk that is this much too large is split, however large the request


class OutOfMemoryError(Exception):
    """No chunk is free that is large enough, and no region can be added."""


@dataclass
class _Chunk:
    address: int
    size: int
    in_use: bool = False
    before: "_Chunk | None" = None
    after: "_Chunk | None" = None


class BfcAllocator:
    """Places requests as TensorFlow does.

    Attributes:
      in_use: bytes of all chunks in use, which is what ``get_memory_info`` counts.
      peak: the most of it.
      reserved: bytes of all regions, which are never given back.
    """

    def __init__(self, limit: int, *, grows: bool) -> None:
        """An allocator of `limit` bytes, which takes all at once, or region by region where it `grows`."""
        self.in_use = self.peak = self.reserved = 0
        self._limit = limit
        self._next_region = _rounded(min(limit, _FIRST_REGION)) if grows else _rounded(limit)
        self._free: list[tuple[int, int]] = []  # (size, address): best fit first, lowest address among equals
        self._chunks: dict[int, _Chunk] = {}

    def allocate(self, num_bytes: int) -> int:
        """The address of a chunk for so many bytes.

        Raises:
          OutOfMemoryError: there is no room.
        """
        size = _rounded(num_bytes)
        chunk = self._best_fit(size) or (self._best_fit(size) if self._add_region(size) else None)
        if chunk is None:
            raise OutOfMemoryError
        self._remove_free(chunk)
        if chunk.size >= 2 * size or chunk.size - size >= _LARGEST_WASTE:
            self._split(chunk, size)
        chunk.in_use = True
        self.in_use += chunk.size
        self.peak = max(self.peak, self.in_use)
        return chunk.address

    def release(self, address: int) -> None:
        """Gives a chunk back; it joins free neighbours of its region."""
        chunk = self._chunks[address]
        chunk.in_use = False
        self.in_use -= chunk.size
        for neighbour in (chunk.after, chunk.before):
            if neighbour is not None and not neighbour.in_use:
                self._remove_free(neighbour)
                chunk = self._join(*sorted((chunk, neighbour), key=lambda one: one.address))
        self._add_free(chunk)

    def _best_fit(self, size: int) -> _Chunk | None:
        # Bins go by powers of two and are sorted by size inside: the same as one list sorted by size.
        index = bisect.bisect_left(self._free, (size, 0))
        return self._chunks[self._free[index][1]] if index < len(self._free) else None

    def _add_region(self, size: int) -> bool:
        available = (self._limit - self.reserved) // _SMALLEST * _SMALLEST
        if size > available:
            return False
        doubles = size <= self._next_region
        while size > self._next_region:
            self._next_region *= 2
        region = min(self._next_region, available)
        if doubles:
            self._next_region *= 2
        chunk = _Chunk(self.reserved, region)  # without neighbours: chunks of two regions never join
        self.reserved += region
        self._chunks[chunk.address] = chunk
        self._add_free(chunk)
        return True

    def _split(self, chunk: _Chunk, size: int) -> None:
        rest = _Chunk(chunk.address + size, chunk.size - size, before=chunk, after=chunk.after)
        if rest.after is not None:
            rest.after.before = rest
        chunk.size, chunk.after = size, rest
        self._chunks[rest.address] = rest
        self._add_free(rest)

    def _join(self, first: _Chunk, second: _Chunk) -> _Chunk:
        first.size += second.size
        first.after = second.after
        if second.after is not None:
            second.after.before = first
        del self._chunks[second.address]
        return first

    def _add_free(self, chunk: _Chunk) -> None:
        bisect.insort(self._free, (chunk.size, chunk.address))

    def _remove_free(self, chunk: _Chunk) -> None:
        del self._free[bisect.bisect_left(self._free, (chunk.size, chunk.address))]


def _rounded(num_bytes: int) -> int:
    return -(-num_bytes // _SMALLEST) * _SMALLEST
