"""What came of the rounds of `benchmarks.speed`: ratios within a round, and a table."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

# Single-device training by TensorFlow as it comes, and with the kernels of oneDNN.
PLAIN = ("Keras fit", "tf.function loop")
ONEDNN = tuple(f"{name}, oneDNN" for name in PLAIN)

# Of what was learned, from the loss of who knows nothing of ten classes. Rounding, which differs between contestants,
# grows in training: after 230 steps losses of equal work were 0.28 to 0.35, and of half of it 0.60.
_SAME_LOSS = 0.05
_NOTHING_LEARNED = math.log(10)


def median(row: dict[str, Any], key: str) -> float:
    """Of all rounds."""
    return statistics.median(run[key] for run in row["runs"])


def best_settings(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each contestant the setting with the best median."""
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["name"] not in best or median(row, "images_per_second") > median(best[row["name"]], "images_per_second"):
            best[row["name"]] = row
    return list(best.values())


def ratios(row: dict[str, Any], names: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[float]:
    """To the fastest of these names, round by round."""
    pairs = zip(row["runs"], fastest_of(names, rows)["runs"], strict=True)
    return [run["images_per_second"] / other["images_per_second"] for run, other in pairs]


def fastest_of(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row with the best median among these names."""
    return max(
        (row for row in rows if row["name"] in names),
        key=lambda row: median(row, "images_per_second"),
    )


def same_losses(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether all of them have learned the same."""
    losses = [run["loss"] for row in rows for run in row["runs"]]
    return max(losses) - min(losses) <= _SAME_LOSS * (_NOTHING_LEARNED - min(losses))


def table(batch: str, rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: the best setting of each."""
    head = [
        f"\nGlobal batch {batch}; ratios to the fastest single device by plain TensorFlow, as it is and with "
        "oneDNN; medians, in brackets the lowest and highest of all rounds.\n",
        "| | setting | images/s | to plain | to oneDNN | first step s | wall s | end s | MiB | loss |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    return "\n".join([*head, *(_line(row, rows) for row in best_settings(rows))])


def _line(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    times = " | ".join(f"{median(row, key):.1f}" for key in ("first_step_s", "wall_s", "end_s"))
    return (
        f"| {row['name']} | {row['setting']} | {median(row, 'images_per_second'):,.0f} "
        f"| {_ratio(row, PLAIN, rows)} | {_ratio(row, ONEDNN, rows)} | {times} "
        f"| {median(row, 'peak_mib'):,.0f} | {median(row, 'loss'):.3f} |"
    )


def _ratio(row: dict[str, Any], names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    if not any(one["name"] in names for one in rows):
        return ""
    found = ratios(row, names, rows)
    return f"{statistics.median(found):.2f} [{min(found):.2f}, {max(found):.2f}]"
