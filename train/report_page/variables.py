"""How far each variable is off: the worst ones as bars, all of them in a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distribute.equivalence_check.tolerances import TOLERANCES
from train.report_page.markup import code, counted, details, figure, number, section, side_by_side, table, text
from train.report_page.pictures.variable_bars import Bar, variable_bars

Rows = Sequence[Mapping[str, Any]]

_MOST_BARS = 30
_CHECK_OF = {"gradient": "gradient_equivalence", "update": "update_equivalence", "value": "state_equivalence"}


def variables(record: Mapping[str, Any]) -> str:
    """The section; empty where no variables were compared."""
    rows = record.get("variables") or []
    if not rows:
        return ""
    compared = [row for row in rows if row.get("quantity") != "not compared"]
    pictures = [_first_picture(compared, record)] if compared else []
    pictures += [_low_picture(compared, dtype) for dtype in _low_dtypes(compared)]
    listed = details(f"All {counted(len(rows), 'variable')}", _table(rows))
    return section("variables", "How far each variable is off", side_by_side(*pictures), listed)


def _first_picture(rows: Rows, record: Mapping[str, Any]) -> str:
    """In the dtype that decides."""
    dtype = _deciding_dtype(record)
    allowed = {
        check["name"]: check["allowed"] for check in record.get("checks", ()) if check.get("allowed") is not None
    }
    bars = [
        Bar(row["path"], _judged(row), allowed.get(f"{_CHECK_OF.get(row['quantity'], '')}/{dtype}")) for row in rows
    ]
    caption = (
        f"{dtype}: gradient, update or value of each variable on the replicas against one device, relative L2; "
        f"dotted: the spacing of {dtype} numbers next to 1."
    )
    return _picture(bars, "variables-first", dtype, caption)


def _deciding_dtype(record: Mapping[str, Any]) -> str:
    """Of the first batch's gradients, as far as they were measured."""
    names = [check["name"] for check in record.get("checks", ()) if check["status"] != "skipped"]
    return next((dtype for dtype in TOLERANCES if f"gradient_equivalence/{dtype}" in names), "float64")


def _judged(row: Mapping[str, Any]) -> float | None:
    value = row.get("residual", row.get("relative_l2"))
    return None if value is None else float(value)


def _low_dtypes(rows: Rows) -> list[str]:
    return list(dict.fromkeys(one["dtype"] for row in rows for one in row.get("low_precision") or ()))


def _low_picture(rows: Rows, dtype: str) -> str:
    """Held to the accuracy of the single-device run itself."""
    bars = [
        Bar(row["path"], one["distance"], one["allowed"], one["reference"])
        for row in rows
        for one in row.get("low_precision") or ()
        if one["dtype"] == dtype
    ]
    caption = (
        f"{dtype}: distance from the float64 result, relative L2, of the replicas and of one device itself; each "
        f"variable may be 8 times as far off as one device's own rounding, or than a floor. Dotted: the spacing of "
        f"{dtype} numbers next to 1."
    )
    return _picture(bars, f"variables-{dtype}", dtype, caption)


def _picture(bars: Sequence[Bar], key: str, dtype: str, caption: str) -> str:
    worst = sorted(bars, key=_badness, reverse=True)
    shown = worst[:_MOST_BARS]
    if len(worst) > len(shown):
        caption += f" The worst {len(shown)} of {len(worst)}; none of the others is further off."
    wrong = sum(not bar.is_right for bar in bars)
    description = (
        f"{counted(len(bars), 'variable')}, {wrong} beyond what is allowed. Furthest off: "
        + "; ".join(_spoken(bar) for bar in shown[:3])
        + "."
    )
    title = f"Difference of each variable, {dtype}"
    drawn = variable_bars(shown, key, title, description, (f"spacing of {dtype}", TOLERANCES[dtype].epsilon))
    return figure(drawn, caption)


def _badness(bar: Bar) -> tuple[bool, float]:
    return not bar.is_right, float("inf") if bar.distance is None else bar.distance


def _spoken(bar: Bar) -> str:
    said = f"{bar.name} by {'what is not finite' if bar.distance is None else f'{bar.distance:.2g}'}"
    said += f", allowed {bar.allowed:.2g}" if bar.allowed is not None else ""
    return said + (f", one device itself {bar.reference:.2g}" if bar.reference is not None else "")


def _table(rows: Rows) -> str:
    header = ["variable", "shape", "compared", "off by", "greatest difference", "ratio", "cosine", "sums over replicas"]
    dtypes = _low_dtypes(rows)
    for dtype in dtypes:
        header += [f"{dtype}: replicas", "one device", "allowed"]
    return table("Each variable, in the order of the program", header, [[*_cells(row, dtypes)] for row in rows])


def _cells(row: Mapping[str, Any], dtypes: Sequence[str]) -> Iterator[str]:
    yield code(row["path"])
    yield text(" × ".join(map(str, row.get("shape", ()))) or "scalar")
    yield text(row.get("quantity", ""))
    yield from (number(row.get(name)) for name in ("relative_l2", "max_abs"))
    yield from ("–" if row.get(name) is None else f"{row[name]:.6g}" for name in ("ratio", "cosine"))
    yield text(", ".join(f"{count} by the {who}" for who, count in (row.get("reductions") or {}).items()) or "–")
    found = {one["dtype"]: one for one in row.get("low_precision") or ()}
    for dtype in dtypes:
        yield from (number(found.get(dtype, {}).get(name)) for name in ("distance", "reference", "allowed"))
