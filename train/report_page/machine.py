"""What the run was made with: software, devices, links between them, and the settings that decide the result."""

import json
from collections.abc import Mapping
from typing import Any

from train.report_page.markup import details, section, table, text


def machine(record: Mapping[str, Any]) -> str:
    """The section, with the whole set-up folded away."""
    tables = [
        _table("Software and hardware", record.get("environment")),
        _table("Devices", record.get("devices")),
        _table("Links between devices, tried before the first step", record.get("transport")),
    ]
    setup = record.get("setup") or {}
    tables += [_table("The run", setup.get("run")), _table("The recipe", setup.get("recipe"))]
    others = {name: part for name, part in setup.items() if name not in ("run", "recipe") and isinstance(part, Mapping)}
    folded = "".join(details(f"Set-up: {name}", _table(name, part)) for name, part in others.items())
    return section("machine", "Environment and devices", *tables, folded)


def _table(caption: str, entry: Mapping[str, Any] | None) -> str:
    if not entry:
        return ""
    return table(caption, ["what", "value"], [[text(name), text(_shown(value))] for name, value in entry.items()])


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
