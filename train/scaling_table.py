"""The predictions of `train/scaling.py` for several links, as rows."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from train.scaling_model import Link, hierarchical_s, predict


@dataclass(frozen=True)
class Topology:
    """How replicas are connected: `per_host` by `inner`, and hosts by `outer`; hosts of one replica are a flat ring."""

    inner: Link
    outer: Link
    per_host: int

    def __str__(self) -> str:
        if self.per_host == 1:
            return f"ring over {self.outer}"
        return f"hosts of {self.per_host} on {self.inner.name}, between them {self.outer}"


def predict_all(
    step_s: float,
    num_bytes: float,
    replicas: Sequence[int],
    topologies: Sequence[Topology],
    *,
    calls: int,
    overlap: bool,
) -> list[dict[str, Any]]:
    """For each topology its name and a prediction for each number of replicas that fills its hosts."""
    return [
        {
            "link": str(topology),
            "predictions": [
                dataclasses.asdict(predict(step_s, _all_reduce_s(topology, num_bytes, number, calls), number, overlap))
                for number in replicas
                if number <= topology.per_host or number % topology.per_host == 0
            ],
        }
        for topology in topologies
    ]


def _all_reduce_s(topology: Topology, num_bytes: float, replicas: int, calls: int) -> float:
    inner, outer = topology.inner, topology.outer
    return hierarchical_s(num_bytes, replicas, topology.per_host, inner, outer, calls=calls)


def table(step_s: float, num_bytes: float, predictions: Sequence[dict[str, Any]], *, overlap: bool) -> Iterator[str]:
    """The lines: a row for each topology, the efficiency for each number of replicas."""
    how = "behind backpropagation" if overlap else "after backpropagation"
    yield f"one replica: {step_s * 1e3:.2f} ms a step, {num_bytes / 2**20:.2f} MiB of gradients, summed {how}"
    yield "predicted efficiency: speed of N replicas / N times the speed of one, each with the batch of one"
    numbers = sorted({one["replicas"] for row in predictions for one in row["predictions"]})
    width = max(len(row["link"]) for row in predictions)
    yield f"{'':{width}}" + "".join(f"{f'N={number}':>9}" for number in numbers)
    for row in predictions:
        shown = {one["replicas"]: f"{one['efficiency']:.1%}" for one in row["predictions"]}
        yield f"{row['link']:{width}}" + "".join(f"{shown.get(number, '-'):>9}" for number in numbers)
