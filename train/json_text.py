"""Records as JSON, strictly: what programs read from files and from standard output."""

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(record: Mapping[str, Any]) -> str:
    """`record` as indented JSON; NaN and infinities, which JSON does not have, become null."""
    return json.dumps(_strict(record), indent=2, allow_nan=False) + "\n"


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
