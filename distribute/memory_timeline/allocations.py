"""Every allocation of TensorFlow's BFC allocators in a stretch of code, as TensorFlow's own profiler records them.

Source of the events: ``BFCAllocator::AddTraceMe`` in xla/tsl/framework/bfc_allocator.cc. GPUs have such an allocator
always, CPUs where ``TF_CPU_ALLOCATOR_USE_BFC=true``.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

# Allocators are host code, on a GPU too; asking for the GPU's own events would only cost time.
_HOST_ONLY = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2, python_tracer_level=0, device_tracer_level=0)
_KINDS = {"MemoryAllocation": True, "MemoryDeallocation": False}


@dataclass(frozen=True)
class Allocation:
    """One piece of memory that was taken or given back.

    Attributes:
      taken: True where it was taken, False where it was given back.
      allocator: the name of its allocator, such as ``GPU_0_bfc``.
      address: where it begins.
      num_bytes: its size, rounded up by the allocator.
      requested_bytes: what was asked for.
      in_use: bytes in use in that allocator afterwards.
      op: the op that took it; empty outside of ops.
      region: ``output`` for what an op returns, ``temp`` for its workspace; empty where not known.
      shape: of the tensor, such as ``[32,26,26,32]``.
      thread: which of the threads that run ops did it.
    """

    taken: bool
    allocator: str
    address: int
    num_bytes: int
    requested_bytes: int
    in_use: int
    op: str
    region: str
    shape: tuple[int, ...] | None
    thread: int = 0

    @property
    def what(self) -> str:
        """What it was taken for: the op, the region, and the shape where that is known."""
        shape = f" {list(self.shape)}" if self.region == "output" and self.shape else ""
        return f"{self.op or 'no op'}, {self.region or 'unknown'}{shape}"


@contextlib.contextmanager
def record_allocations() -> Iterator[list[Allocation]]:
    """Records what is taken and given back while the block runs; the list is filled, in order of time, at its end.

    TensorFlow's profiler runs meanwhile, and only one can run in a process.

    Raises:
      tf.errors.AlreadyExistsError: a profiler runs already.
    """
    found: list[Allocation] = []
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder, options=_HOST_ONLY)
        try:
            yield found
        finally:
            tf.profiler.experimental.stop()
            for path in Path(folder).glob("**/*.xplane.pb"):
                found.extend(_read(path.read_bytes()))


def _read(serialized: bytes) -> list[Allocation]:
    # Imported here: it is not part of TensorFlow's public interface, and nothing else needs it.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(serialized)
    return [event for _, event in sorted(_events(space), key=lambda one: one[0])]


def _events(space: Any) -> Iterator[tuple[int, Allocation]]:
    for plane in space.planes:
        kinds = {key: _KINDS[one.name] for key, one in plane.event_metadata.items() if one.name in _KINDS}
        names = {key: one.name for key, one in plane.stat_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                if event.metadata_id in kinds:
                    stats = {names[stat.metadata_id]: _value(stat, names) for stat in event.stats}
                    yield (
                        line.timestamp_ns * 1000 + event.offset_ps,
                        _allocation(kinds[event.metadata_id], stats, line.id),
                    )


def _value(stat: Any, names: Mapping[int, str]) -> Any:
    kind = stat.WhichOneof("value")
    return names[stat.ref_value] if kind == "ref_value" else getattr(stat, kind)


def _allocation(taken: bool, stats: Mapping[str, Any], thread: int) -> Allocation:
    return Allocation(
        taken=taken,
        allocator=stats["allocator_name"],
        address=stats["addr"],
        num_bytes=stats["allocation_bytes"],
        requested_bytes=stats["requested_bytes"],
        in_use=stats["bytes_allocated"],
        op=stats.get("tf_op", ""),
        region=stats.get("region_type", ""),
        shape=_shape(stats.get("shape", "")),
        thread=thread,
    )


def _shape(text: str) -> tuple[int, ...] | None:
    inside = text.strip("[]")
    if not text.startswith("[") or "?" in inside:
        return None
    return tuple(int(number) for number in inside.split(",")) if inside else ()
