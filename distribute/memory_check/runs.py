"""Runs of a program in child processes of its own, under the allocator that guards a GPU."""

import os
import sys
from collections.abc import Mapping
from typing import Any

from ..targets import Target
from .child_process import ChildProcess, Outcome
from .trace import MemoryTrace

_ENTRY = f"{__package__}.child:run"
_OUT_OF_MEMORY = ("ResourceExhaustedError", "MemoryError")

# keras imports scikit-learn, where it is installed, for its wrappers alone: 0.7 to 0.9 s of 3.8 s of a
# child's start.
_NOT_NEEDED = ("sklearn",)


def trace_of(outcome: Outcome) -> MemoryTrace | None:
    """What a child measured; None where it failed."""
    return MemoryTrace(**outcome.result) if outcome.ok else None


def is_out_of_memory(outcome: Outcome) -> bool:
    """True when a child ended by the allocator's error."""
    return any(name in _OUT_OF_MEMORY for name in outcome.error_types)


def may_be_out_of_memory(outcome: Outcome) -> bool:
    """True when a child ended by the allocator's error, or by a signal, which can stand for one."""
    return outcome.died or is_out_of_memory(outcome)


class Runs:
    """Starts the children of one check, with what is common to them."""

    def __init__(self, build: Target, data: Target, num_replicas: int, timeout_s: float) -> None:
        self._arguments = {"build": build, "data": data, "num_replicas": num_replicas, **_keras_settings()}
        self._timeout_s = timeout_s
        self._open: list[ChildProcess] = []
        self._closed = False

    def start(self, role: str, limit_mib: int | None = None, timeout_s: float | None = None) -> ChildProcess:
        """Starts one child; its parent is the calling thread, which must live until the child has ended."""
        child = ChildProcess(
            _ENTRY,
            {"role": role, **self._arguments},
            environment=child_environment(os.environ, limit_mib),
            timeout_s=timeout_s or self._timeout_s,
            without=_NOT_NEEDED,
        )
        self._open.append(child)
        if self._closed:
            child.kill()
        return child

    def start_replica(self, shard: bytes, limit_mib: int | None = None, timeout_s: float | None = None) -> ChildProcess:
        """Starts one replica's share on a shard that a reference sent before."""
        child = self.start("replica", limit_mib, timeout_s)
        child.send(shard)
        return child

    @property
    def closed(self) -> bool:
        """True after `close`: how a child ended from then on says nothing."""
        return self._closed

    def close(self) -> None:
        """Kills the children that still run, and those that would be started from now on."""
        self._closed = True
        for child in self._open:
            child.kill()

    def reap(self) -> None:
        """Closes, and leaves no zombie behind; for the thread that started the children."""
        self.close()
        for child in self._open:
            child.outcome()


def child_environment(environment: Mapping[str, str], limit_mib: int | None) -> dict[str, str]:
    """The environment of a child on CPU under the BFC allocator, with a cap in MiB or without one."""
    changed = {
        **environment,
        "TF_CPU_ALLOCATOR_USE_BFC": "true",
        "CUDA_VISIBLE_DEVICES": "-1",  # it is about the CPU, and looking for a GPU takes time
    }
    changed.pop("TF_CPU_BFC_MEM_LIMIT_IN_MB", None)
    if limit_mib is not None:
        changed["TF_CPU_BFC_MEM_LIMIT_IN_MB"] = str(limit_mib)
    return changed


def _keras_settings() -> dict[str, Any]:
    # A target's module need not be the one that chose these; without Keras in this process nobody has.
    keras = sys.modules.get("keras")
    if keras is None:
        return {"floatx": "float32", "dtype_policy": "float32"}
    return {"floatx": keras.config.floatx(), "dtype_policy": keras.config.dtype_policy().name}
