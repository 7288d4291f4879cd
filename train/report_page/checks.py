"""The table of checks: what was asked, how it came out, with the figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from train.report_page.markup import code, counted, details, number, section, table, text

_STATUSES = {"failed": "✗", "accepted": "≈", "passed": "✓", "skipped": "–"}

_QUESTIONS = {
    "gradient_equivalence": "The gradients that are applied, against one device",
    "update_equivalence/loop": "One step of the training loop itself, against one device",
    "update_equivalence/overflow": "Infinite gradients planted on each replica in turn",
    "update_equivalence": "What a step changes in the trained variables, against one device",
    "state_equivalence/saved": "What a checkpoint of the replicas holds, loaded again",
    "state_equivalence": "Variables that are not trained, against one device",
    "communication": "The replicas, against the same shards one after the other on one device",
    "execution": "Whether the replicas run where one device does",
    "replica_sync": "Whether all replicas hold the same variables, bit for bit",
    "input_coverage": "Whether the replicas together saw each example once",
    "randomness": "Whether each replica draws random numbers of its own",
    "reference_reproducibility": "One device, run twice",
    "metrics": "Loss and metrics, against one device",
    "memory_bounds/limit": "Peak of a replica, MiB, against its limit",
    "memory_bounds/reference": "Peak of a replica, MiB, against that of one device with the whole batch",
    "memory_bounds/growth": "Growth over further steps, MiB",
}


def checks(record: Mapping[str, Any]) -> str:
    """All checks: what failed first, what was skipped last."""
    rows = sorted(record.get("checks", ()), key=lambda check: list(_STATUSES).index(check["status"]))
    if not rows:
        return section("checks", "Checks", "<p>Nothing was checked in this run.</p>")
    skipped = [check for check in rows if check["status"] == "skipped"]
    ran = _table([check for check in rows if check["status"] != "skipped"])
    return section("checks", "Checks", ran, _folded(skipped) if skipped else "")


def _table(checks: Sequence[Mapping[str, Any]]) -> str:
    counts = {status: sum(check["status"] == status for check in checks) for status in _STATUSES}
    caption = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    header = ["check", "result", "observed", "allowed", "what the figures are"]
    return table(caption or "none ran", header, [_row(check) for check in checks])


def _folded(checks: Sequence[Mapping[str, Any]]) -> str:
    return details(f"{counted(len(checks), 'check')} skipped, each with the reason", _table(checks))


def _row(check: Mapping[str, Any]) -> Sequence[str]:
    status = check["status"]
    return (
        f"{code(check['name'])}<small>{text(_question(check['name']))}</small>",
        f'<span class="status {status}"><span aria-hidden="true">{_STATUSES[status]}</span> {status}</span>',
        number(check.get("observed")),
        number(check.get("allowed")),
        text(check.get("detail") or ""),
    )


def _question(name: str) -> str:
    """What a check asks, and of which batch."""
    stem, _, batch = name.partition("@")
    meaning = next((words for start, words in _QUESTIONS.items() if stem.startswith(start)), "")
    if not batch:
        return meaning
    return f"{meaning}, on {'a batch of another size' if batch == 'uneven' else f'batch {batch}'}"
