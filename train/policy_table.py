"""TensorFlow's memory policies as rows: what each sets, where it can run, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

GROWTH_VARIABLE = "TF_FORCE_GPU_ALLOW_GROWTH"
_NO_GROWTH = "a CPU has no such choice: its allocator grows unless all is taken at once"
_NO_CAP = "TensorFlow refuses memory growth together with a limit"
_HEADER = ("policy", "configured", "allocator", "process", "overhead", "beyond limit", "freed", "examples/s", "outcome")


@dataclass(frozen=True)
class Policy:
    """One row of the experiment.

    Attributes:
      name: such as ``growth``.
      configured: what is set, in words.
      num_replicas: one, or for ``virtual`` as many as were asked for.
      memory_policy: as `split_device` takes it.
      limit_mib: of each replica, None without one.
      at_once: on a CPU, whether the limit is taken as one piece, as a GPU does it, and not in pieces as needed.
      environment: variables of the process.
      skipped: why this machine cannot run it; empty where it can.
    """

    name: str
    configured: str
    num_replicas: int = 1
    memory_policy: str = "default"
    limit_mib: int | None = None
    at_once: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    skipped: str = ""


def policies(*, on_gpu: bool, num_replicas: int, limits_mib: Sequence[int]) -> list[Policy]:
    """All policies; `limit` and `growing limit` once for each limit, `virtual` with the first of them."""
    first, no_growth, no_cap = limits_mib[0], "" if on_gpu else _NO_GROWTH, _NO_CAP if on_gpu else ""
    variable = {GROWTH_VARIABLE: "true"}
    how = "limit" if on_gpu else "default"  # TensorFlow has no limit for a logical CPU, the process has
    return [
        Policy("default", "nothing"),
        Policy("growth", "set_memory_growth", memory_policy="growth", skipped=no_growth),
        Policy(GROWTH_VARIABLE, f"{GROWTH_VARIABLE}=true", environment=variable, skipped=no_growth),
        *(Policy("limit", f"{limit} MiB", 1, how, limit, at_once=True) for limit in limits_mib),
        *(Policy("growing limit", f"up to {limit} MiB", 1, how, limit, skipped=no_cap) for limit in limits_mib),
        Policy("virtual", f"{num_replicas} x {first} MiB", num_replicas, how, first, at_once=True),
    ]


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What came of them, in MiB, as aligned text."""
    cells = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    memory = ("allocator_peak_mib", "process_peak_mib", "overhead_mib", "beyond_limit_mib", "process_freed_mib")
    names = (*memory, "examples_per_second")
    figures = [row[name] for name in names]
    shown = ["-" if figure is None else f"{figure:,.0f}" for figure in figures]
    return row["policy"], row["configured"], *shown, row["outcome"]
