"""Where each replica's examples came from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from train.report_page.markup import code, counted, figure, section, table, text
from train.report_page.pictures.shards import shard_bars

Batches = Mapping[tuple[int, ...], str]

_HEADING = "Where each replica's examples came from"
_MOST_BATCHES = 6


def examples(record: Mapping[str, Any]) -> str:
    """The section: shares of each kind of batch, and whether each example was seen once."""
    batches = _batches(record)
    coverage = [check for check in record.get("checks", ()) if check["name"] == "input_coverage"]
    said = "".join(f"<p>{code('input_coverage')}, {one['status']}: {text(one['detail'])}.</p>" for one in coverage)
    if not batches:
        return section("examples", _HEADING, said or "<p>No batch was split.</p>")
    shown = [(name, sizes) for sizes, name in batches.items()][:_MOST_BATCHES]
    description = "; ".join(f"{name}: on the replicas in turn {', '.join(map(str, sizes))}" for name, sizes in shown)
    drawn = shard_bars(shown, "examples-shards", "Shares of the replicas in a global batch", description)
    caption = "Each bar is a global batch, in the order in which the shares are joined; the numbers are replicas."
    if len(batches) > len(shown):
        caption += f" {len(batches) - len(shown)} further sizes are left out."
    names = (record.get("devices") or {}).get("names") or []
    return section("examples", _HEADING, said, figure(drawn, caption), _table(shown, names))


def _batches(record: Mapping[str, Any]) -> Batches:
    """What each kind of batch is called, by the sizes of its shares."""
    kinds: dict[tuple[int, ...], list[str]] = {}
    for one in record.get("shards") or ():
        kinds.setdefault(tuple(one["sizes"]), []).append(_compared(one["batch"]))
    trained = ((record.get("setup") or {}).get("run") or {}).get("shards") or {}
    for sizes in trained.values():
        kinds.setdefault(tuple(sizes), []).append("training")
    return {sizes: f"{counted(sum(sizes), 'example')}: {_joined(names)}" for sizes, names in kinds.items()}


def _compared(suffix: str) -> str:
    batch = suffix.removeprefix("@")
    return f"verification ({'batch of another size' if batch == 'uneven' else f'batch {batch or 1}'})"


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 2 else f"{names[0]} and {len(names) - 1} more"


def _table(batches: Sequence[tuple[str, Sequence[int]]], devices: Sequence[str]) -> str:
    num_replicas = max(len(sizes) for _, sizes in batches)
    columns = [[*_rows(sizes)] for _, sizes in batches]
    rows = [
        [
            text(f"replica {replica}" + (f", {devices[replica]}" if replica < len(devices) else "")),
            *(column[replica] if replica < len(column) else "–" for column in columns),
        ]
        for replica in range(num_replicas)
    ]
    return table("Rows of each replica", ["replica", *(name for name, _ in batches)], rows)


def _rows(sizes: Sequence[int]) -> Iterator[str]:
    begin = 1
    for size in sizes:
        yield f"{begin} to {begin + size - 1} ({size})" if size else "none"
        begin += size
