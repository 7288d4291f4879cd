"""Images a second of N virtual devices by batch, precision and XLA."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.evidence.command import Setting, run

REPLICAS = (1, 2, 4, 8)


def measure(
    setting: Setting, replicas: Sequence[int] = REPLICAS, batches: str = "256,4096"
) -> Iterator[dict[str, Any]]:
    """For each N the figures of `throughput_child`, and their ratio to N=1, None where that was not measured."""
    single: dict[str, float] = {}
    for number in replicas:
        output = setting.scratch / f"throughput-{number}.jsonl"
        flags = [f"--device={setting.device}", f"--replicas={number}", f"--batches={batches}", f"--out={output}"]
        found = run(["-m", "benchmarks.evidence.throughput_child", *flags], timeout_s=150)
        figures = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
        for figure in figures:
            if number == 1:
                single[figure["setting"]] = figure["images_per_second"]
            one = single.get(figure["setting"])
            figure["ratio_to_one"] = one and figure["images_per_second"] / one
        yield {"name": f"N={number}", **found, "figures": figures}
