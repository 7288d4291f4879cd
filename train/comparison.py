"""Whether two recorded runs computed the same, and in what they and their set-ups differ.

Two correct runs on another number of replicas add in another order, and training amplifies that: the conv net in
float32 agrees to 1e-7 for five steps, to 1e-3 for twenty, and after 900 its weights are 0.3 apart (relative L2), one as
right as the other. So the losses of the first steps decide whether the same was computed; of the end it is asked that
it is still the same solution (weights that have nothing in common are sqrt(2) apart) and as good.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distribute.equivalence_check.tolerances import TOLERANCES, tolerance
from train.weight_sketch import distance

Record = Mapping[str, Any]

_FIRST_STEPS = 5
_UNRELATED = 0.7  # half of the way, in squares, to weights that have nothing in common
_DEVIATIONS = 4.0  # of two accuracies, before chance is no explanation
_MARKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Finding:
    """One thing that decides.

    Attributes:
      name: what was compared.
      agrees: None where a record does not hold it.
      text: with figures.
    """

    name: str
    agrees: bool | None
    text: str


def findings(first: Record, second: Record) -> list[Finding]:
    """What decides whether the two are the same, in order of weight."""
    return [
        _steps(first, second),
        _first_losses(first, second),
        _weights(first, second),
        _accuracy(first, second),
    ]


def are_same(found: list[Finding]) -> bool:
    """True when nothing differs and something of the results was compared."""
    compared = [finding.agrees for finding in found[1:] if finding.agrees is not None]
    return bool(compared) and all(compared) and found[0].agrees is not False


def _steps(first: Record, second: Record) -> Finding:
    one, other = (record["training"].get("steps") for record in (first, second))
    if one is None or other is None:
        return Finding("steps", None, "not in both records")
    return Finding("steps", one == other, f"{one:,}" if one == other else f"{one:,} and {other:,}")


def _first_losses(first: Record, second: Record) -> Finding:
    differences = loss_differences(first, second)
    early = {step: value for step, value in differences.items() if step <= _FIRST_STEPS}
    if not early:
        return Finding("first losses", None, f"no loss of steps 1 to {_FIRST_STEPS} is in both records")
    dtype = _dtype(first, second)
    allowed = tolerance(dtype).relative
    worst = max(early.values())
    text = f"differ by {worst:.1e} in steps 1 to {max(early)}, relative; {allowed:.0e} is rounding in {dtype}"
    return Finding("first losses", worst <= allowed, text)


def _weights(first: Record, second: Record) -> Finding:
    if _same_bits(first, second):
        return Finding("weights", True, "the same to the bit")
    apart = variable_differences(first, second)
    if apart is None:
        return Finding("weights", None, "not in both records, or of other shapes")
    worst = max(apart, key=lambda path: apart[path])
    whole = _whole_difference(first, second)
    text = f"{whole:.1e} apart, relative ({worst} {apart[worst]:.1e}); beyond {_UNRELATED} it is another solution"
    return Finding("weights", whole <= _UNRELATED, text)


def _accuracy(first: Record, second: Record) -> Finding:
    one, other = (record["training"].get("test_accuracy") for record in (first, second))
    size = first.get("setup", {}).get("run", {}).get("number of test examples")
    if one is None or other is None or not size:
        return Finding("test accuracy", None, "not in both records")
    mean = (one + other) / 2
    # At least one example's worth: at an accuracy of 1 there would be no chance at all.
    by_chance = _DEVIATIONS * math.sqrt(2 * max(mean * (1 - mean), 1 / size) / size)
    text = f"{one:.4f} and {other:.4f} on {size:,} examples; {by_chance:.4f} can be chance"
    return Finding("test accuracy", abs(one - other) <= by_chance, text)


def loss_differences(first: Record, second: Record) -> dict[int, float]:
    """Relative difference of the loss at each step that both records hold."""
    one, other = (_losses(record) for record in (first, second))
    return {step: abs(one[step] - other[step]) / max(abs(one[step]), 1e-30) for step in one if step in other}


def drift(first: Record, second: Record) -> Iterator[tuple[int, float]]:
    """The greatest difference of the losses up to some steps, to see it grow."""
    differences = loss_differences(first, second)
    last = max(differences, default=0)
    for mark in sorted({*_MARKS, last}):
        up_to = [value for step, value in differences.items() if step <= mark]
        if up_to and mark <= last:
            yield mark, max(up_to)


def variable_differences(first: Record, second: Record) -> dict[str, float] | None:
    """Relative L2 distance of each variable, estimated by its summary; None where the records do not match."""
    ones, others = _variables(first), _variables(second)
    if not ones or [one["shape"] for one in ones] != [other["shape"] for other in others]:
        return None
    return {
        one["path"]: distance(one["sketch"], other["sketch"]) / max(one["l2"], 1e-30)
        for one, other in zip(ones, others, strict=True)
    }


def _whole_difference(first: Record, second: Record) -> float:
    ones, others = _variables(first), _variables(second)
    apart = math.hypot(*(distance(one["sketch"], other["sketch"]) for one, other in zip(ones, others, strict=True)))
    return apart / max(math.hypot(*(one["l2"] for one in ones)), 1e-30)


def setup_differences(first: Record, second: Record) -> Iterator[tuple[str, Any, Any]]:
    """Fields of set-up, devices and environment that are not the same: name and both values."""
    for section in ("setup", "devices", "environment"):
        yield from _changes(section, first.get(section), second.get(section))


def _changes(name: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in {**one, **other}:
            yield from _changes(f"{name}.{key}", one.get(key), other.get(key))
    elif one != other:
        yield name, one, other


def _losses(record: Record) -> dict[int, float]:
    losses = record["training"].get("losses") or {"steps": [], "values": []}
    return dict(zip(losses["steps"], losses["values"], strict=True))


def _variables(record: Record) -> list[Mapping[str, Any]]:
    return record["training"].get("weights") or []


def _same_bits(first: Record, second: Record) -> bool:
    one, other = (record["training"].get("weights_sha256") for record in (first, second))
    return one is not None and one == other


def _dtype(first: Record, second: Record) -> str:
    """The less precise of the two."""
    variables = [variable for record in (first, second) for variable in _variables(record)]
    dtypes = {variable["dtype"] for variable in variables if variable["dtype"] in TOLERANCES}
    return max(dtypes or {"float32"}, key=lambda dtype: tolerance(dtype).relative)
