"""What a process of a run holds in memory over time: an entry of ``memory.timelines`` in ``report.json``."""

import contextlib
import os
from typing import Any

from distribute import Devices
from distribute.memory_timeline.ledgers import Ledgers, open_ledgers
from distribute.memory_timeline.sampler import Sampler
from train.errors import tell

_INTERVAL_S = 0.1
_MOST = 500
_MIB = 2**20


class MemoryHistory:
    """Samples from `start` to `stop`, ten times a second, or less often in a run that is longer than 50 seconds.

    A short peak between two samples is not seen: exact peaks are the memory check's matter. Of an allocator that all
    logical CPUs share, or of a process without such counters, there is the resident memory of the process.
    """

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._ledgers: Ledgers | None = None
        self._sampler: Sampler | None = None
        self._phases: list[tuple[str, float]] = []
        self._names: tuple[str, ...] = ()
        self._limit_mib: int | None = None

    def start(self, devices: Devices, phase: str) -> None:
        """Begins, with the first phase; an operation runs on the first device. Where that fails, one line says so."""
        try:
            self._ledgers = self._open.enter_context(open_ledgers(devices.names))
        except Exception as error:  # noqa: BLE001 - what is there for a picture must not end a run
            tell(f"warning: memory is not sampled: {type(error).__name__}: {error}")
            return
        self._names, self._limit_mib = devices.names, _limit(devices)
        self._sampler = Sampler(self._ledgers, _INTERVAL_S, _MOST)
        self.begin_phase(phase)
        self._sampler.start()
        self._open.callback(self._sampler.stop)

    def begin_phase(self, name: str) -> None:
        """Ends the phase before and begins another one; does nothing before `start`."""
        if self._sampler is not None:
            self._phases.append((name, self._sampler.seconds()))

    def stop(self) -> None:
        """Takes the last sample; does nothing where there is nothing to stop."""
        self._open.close()

    def to_dict(self) -> dict[str, Any]:
        """For ``report.json``, in MiB and seconds since `start`; empty where it never started."""
        if self._ledgers is None or self._sampler is None:
            return {}
        samples = list(self._sampler.samples)
        end = samples[-1].seconds
        ends = [begin for _, begin in self._phases[1:]] + [end]
        return {
            "devices": list(self._ledgers.devices),
            "shared_by": list(self._names) if len(self._ledgers.devices) < len(self._names) else [],
            "limit_mib": self._limit_mib if self._ledgers.devices else None,
            "no_counter": self._ledgers.no_counter,
            "process_source": self._ledgers.process_source,
            "interval_s": self._sampler.interval_s,
            "failure": self._sampler.failure,
            "seconds": [round(sample.seconds, 3) for sample in samples],
            "in_use_mib": {
                name: [sample.in_use[index] / _MIB for sample in samples]
                for index, name in enumerate(self._ledgers.devices)
            },
            "process_mib": [sample.process / _MIB for sample in samples],
            "phases": [
                {"name": name, "seconds": [round(begin, 3), round(end, 3)]}
                for (name, begin), end in zip(self._phases, ends, strict=True)
            ],
        }


def _limit(devices: Devices) -> int | None:
    """What the allocator of each counted device holds to: on a CPU the cap of the process, if it has one."""
    if devices.kind == "gpu":
        return devices.memory_limit_mib
    cap = os.environ.get("TF_CPU_BFC_MEM_LIMIT_IN_MB", "")
    return int(cap) if cap.isdigit() else None
