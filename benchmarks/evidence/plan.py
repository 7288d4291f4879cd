"""The planned limit against the smallest one that trains."""

from collections.abc import Iterator
from typing import Any

from benchmarks.evidence.command import Setting, read_json, run, run_main

_MOST_RUNS = 7
_CLOSE = 1.06


def measure(setting: Setting) -> Iterator[dict[str, Any]]:
    """The plan; then trainings under limits: the planned one first, halves of what is left between after it."""
    folder = setting.scratch / "plan"
    found = run(["train/plan.py", "--virtual_gpus=2", f"--output_dir={folder}"], timeout_s=120)
    plan = read_json(folder / "plan.json")
    yield {"name": "plan", **found, "plan": plan}
    if not plan:
        return
    limit, fails, works = plan["limit_mib"], 0, None
    for number in range(_MOST_RUNS):
        flags = ["--virtual_gpus=2", "--verify=off", f"--memory_limit={limit}", "--steps=30"]
        if setting.device == "cpu":
            flags.append("--isolation=process")  # else nothing holds a CPU to the limit
        trained = run_main(setting, f"limit-{number}", *flags, timeout_s=90)
        yield {"name": f"{limit} MiB", "limit_mib": limit, **trained}
        if trained["exit"] == 0:
            works = limit
        else:
            fails = limit
        if works is None:
            limit *= 2
        elif works <= max(fails + 1, fails * _CLOSE):
            return
        else:
            limit = (works + fails) // 2
