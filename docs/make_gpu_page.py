"""Writes docs/gpu.md from what `make gpu-evidence` saved in docs/gpu/.

python -m docs.make_gpu_page > docs/gpu.md    # at once
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

EVIDENCE = Path(__file__).resolve().parent / "gpu"

HEAD = """\
# On a real GPU

Every figure on this page comes from the files in `docs/gpu/`, written by

    make gpu-evidence OUTPUT=folder        # python -m benchmarks.gpu_evidence --out=folder --warm_up

and this page by `python -m docs.make_gpu_page > docs/gpu.md`; the tests hold the page to the files. Written on
{machine}.
It was the first GPU that this repository saw: what it found is at the end, with what is still missing.

"""

PRECISION = """\
TF32 keeps ten bits of a factor's mantissa, and TensorFlow uses it for float32 on GPUs since Ampere unless told
otherwise. In float64, and in float32 without TF32, the GPU is as exact as the CPU. With TF32 the single device itself
is some per cent off in its small gradients; the tolerance follows it, since a check that knows nothing of TF32 would
fail a healthy program (relative L2 of the worst variable; in brackets what was allowed; `NVIDIA_TF32_OVERRIDE=0`
switches TF32 off).
"""

POLICIES = """\
A limit is taken as a whole when TensorFlow starts. What `nvidia-smi` shows beyond the limits is CUDA's context, cuBLAS
and cuDNN, once for a process, however many logical devices share it. The article that this repository answers saw
1,455 MiB for a limit of 1,024, 431 MiB beyond it, and 697 MiB for growth.
"""

MEMORY = """\
A limit that is too small, and a GPU that another process has taken:
"""

PLAN = """\
`train/plan.py` records a step on the CPU. cuDNN's work space is not in that plan, and is most of what such a small
model needs on a GPU. So on a GPU the plan is a lower bound only, and a run that is out of memory there says so.
"""

SPEED = """\
Images a second, and in brackets the ratio to one device in the same setting; random images of 28 x 28 that wait in
the host's memory. N virtual GPUs share one chip and launch N times as many kernels, each on an N-th of the batch: at
4,096 images a step two of them cost nothing, at 256 the launches are all there is. XLA is TensorFlow's
autoclustering. It pays on one device; with N the first step takes longer and longer, up to a minute.
"""

FOUND = """\
## What it found

1. `update_equivalence/loop` failed on a healthy run: one step of the training loop was held to 0.001 of one device's,
   and TF32 kernels for 32 and 64 examples differ by more. Where training computes coarsely the same lines are now held
   in float64.
2. `communication/*` was skipped: shard replay waited for the same bytes, and a GPU adds in another order each time. It
   now waits for the same values up to rounding.
3. The default limits left 512 MiB to CUDA, which took 622. The process had 6,510 MiB less than its two limits of
   71,320 and those 622: the second logical device had silently got a tenth less. 768 MiB are left now.
4. The doctor took the 616 MiB that the driver reserves for a process.
5. A run without enough memory was told to use a limit planned on a CPU, which is too small on a GPU; and its message
   began with "3 root error(s) found", or with "Graph execution error:" and nothing.
6. At N=1 `tests/gpu` saw a healthy program fail its check of memory, most likely `memory_bounds/reference`: the first
   step tries kernels in memory of its own, and the reference, later in the same process, finds them chosen. The first
   step is no longer compared on a GPU.

The main command, precision, memory and planning ran with 1 and 2 mended, policies and throughput before that. 3 to 6
were mended after the GPU was gone: no GPU has seen them yet.

## What is missing

- Determinism on and off; what plain TensorFlow does where another process holds the memory; the last rows of XLA at
  N=4 and 8: the time on the machine was over.
- A plan made on the GPU itself.
- `tests/gpu` by themselves: they ran beside another program that held the memory, and 5 of 7 passed.
- Several physical GPUs, NCCL, MIG.
"""


def page(folder: Path = EVIDENCE) -> str:
    """The page as Markdown."""
    files = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    parts = [
        HEAD.format(machine=machine(files)),
        "## The main command\n",
        *table(MAIN_HEADER, main_rows(files["main"]["rows"])),
        "\n## Precision\n",
        PRECISION,
        *table(PRECISION_HEADER, precision_rows(files["precision"]["rows"])),
        "\n## Memory policies\n",
        POLICIES,
        *table(POLICY_HEADER, policy_rows(files["policies"]["rows"][0]["policies"])),
        "\n## Out of memory\n",
        MEMORY,
        *table(("what", "exit code", "what it says"), memory_rows(files["out_of_memory"]["rows"])),
        "\n## The planner\n",
        PLAN,
        *table(("limit, MiB", "ends"), plan_rows(files["plan"]["rows"])),
        "\n## Throughput\n",
        SPEED,
        *speed_table(files["throughput"]["rows"]),
        "",
        FOUND,
    ]
    return "\n".join(parts)


def machine(files: dict[str, Any]) -> str:
    """Date, GPU, driver and TensorFlow in a sentence."""
    environment = files["main"]["rows"][0]["report"]["environment"]
    return (
        f"{files['main']['date'][:10]}, one {environment['gpus'][0]} (driver {environment['driver']}), 16 CPU cores, "
        f"Python {environment['python']}, TensorFlow {environment['tensorflow']}, libraries of CUDA 13 and cuDNN 9.19"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """A table in Markdown."""
    yield "| " + " | ".join(header) + " |"
    yield "|" + " --- |" * len(header)
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"


MAIN_HEADER = (
    "N x limit, MiB",
    "exit code",
    "checks passed",
    "failed",
    "greatest peak of a replica, MiB",
    "process (NVML), MiB",
    "beyond the limits, MiB",
    "steps",
    "test accuracy",
    "images/s",
    "seconds in all",
)


def main_rows(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[Any]]:
    """A row for each split."""
    for row in rows:
        report = row["report"]
        memory, training = report["memory"], report["training"]
        statuses = [check["status"] for check in report["checks"]]
        yield (
            row["name"],
            row["exit"],
            statuses.count("passed"),
            statuses.count("failed"),
            f"{max(replica['peak_mib'] for replica in memory['replicas']):.1f}",
            f"{memory['process_peak_mib']:,}",
            f"{memory['beyond_limits_mib']:,}",
            training["steps"],
            f"{training['test_accuracy']:.4f}",
            f"{training['examples_per_second']:,.0f}",
            row["seconds"],
        )


PRECISION_HEADER = ("", "gradient, float64", "update, float64", "loop, float64", "gradient, float32", "update, float32")
_PRECISION_CHECKS = (
    "gradient_equivalence/float64",
    "update_equivalence/float64",
    "update_equivalence/loop",
    "gradient_equivalence/float32",
    "update_equivalence/float32",
)


def precision_rows(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[Any]]:
    """A row for each run of the checks."""
    for row in rows:
        checks = {check["name"]: check for check in row.get("report", {}).get("checks", [])}
        if checks:
            cells = (f"{checks[name]['observed']:.1e} ({checks[name]['allowed']:.1g})" for name in _PRECISION_CHECKS)
            yield row["name"], *cells


POLICY_HEADER = ("policy", "configured", "allocator, MiB", "process (NVML), MiB", "beyond the limits, MiB", "images/s")


def policy_rows(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[Any]]:
    """A row for each policy that ran."""
    for row in rows:
        if row["process_peak_mib"] is None:
            continue
        memory = row["memory"]
        limits = memory["limit_mib"] and memory["limit_mib"] * len(memory["devices"])
        yield (
            row["policy"],
            row["configured"],
            f"{row['allocator_peak_mib']:.0f}",
            f"{row['process_peak_mib']:,.0f}",
            f"{row['process_peak_mib'] - limits:,.0f}" if limits else "",
            f"{row['examples_per_second']:,.0f}",
        )


def memory_rows(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[Any]]:
    """What was done to each run, and what came of it."""
    for row in rows:
        lines = [line.strip() for line in row["output"].splitlines()]
        starts = [number for number, line in enumerate(lines) if line.startswith(("main.py:", "failed  memory_bounds"))]
        said = " ".join(lines[starts[-1] : starts[-1] + 3]) if starts else ""
        yield row["name"], row["exit"], said


def plan_rows(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[Any]]:
    """The plan, then the limits from the smallest to the largest."""
    for row in rows[:1]:
        yield f"{row['plan']['limit_mib']} (planned on the CPU)", ""
    for row in sorted(rows[1:], key=lambda row: row["limit_mib"]):
        yield row["limit_mib"], "trains" if row["exit"] == 0 else f"out of memory, exit code {row['exit']}"


def speed_table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A row for each setting, a column for each N."""
    settings = list(dict.fromkeys(figure["setting"] for row in rows for figure in row["figures"]))
    by_number = [{figure["setting"]: figure for figure in row["figures"]} for row in rows]
    names = [row["name"] for row in rows]
    yield from table(
        ("", *names, *(f"first step at {name}, s" for name in names)),
        (
            (
                setting,
                *(_speed(one.get(setting)) for one in by_number),
                *(_first(one.get(setting)) for one in by_number),
            )
            for setting in settings
        ),
    )


def _speed(figure: dict[str, Any] | None) -> str:
    if not figure:
        return ""
    ratio = figure["ratio_to_one"]
    return f"{figure['images_per_second']:,.0f}" + (f" ({ratio:.2f})" if ratio else "")


def _first(figure: dict[str, Any] | None) -> str:
    return f"{figure['first_step_s']:.1f}" if figure else ""


if __name__ == "__main__":
    print(page(), end="")
