"""How far two runs are apart, variable by variable, in the terms that the report uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .tolerances import RATIO_ROUNDING, Tolerance


@dataclass(frozen=True)
class Difference:
    """One variable in two runs.

    Attributes:
      key: the variable.
      replica: the replica that differs most.
      relative_l2: norm of the difference by the norm of the reference.
      residual: what is judged: as `relative_l2`, after the common ratio is taken out, the floor applied.
      max_abs: the greatest difference of one element; `index` says where, `actual` and `expected` are its values.
      ratio: <value, reference> / <reference, reference>; None where the reference is zero.
      cosine: of the angle between both; None where one is zero.
      norm: of the reference.
    """

    key: str
    replica: int
    relative_l2: float
    residual: float
    max_abs: float
    index: tuple[int, ...]
    actual: float
    expected: float
    ratio: float | None
    cosine: float | None
    norm: float


@dataclass(frozen=True)
class Comparison:
    """All variables of one check; `common_ratio` was taken out of every one (1 where it is no rounding)."""

    differences: Sequence[Difference]
    common_ratio: float
    measured_ratio: float

    @property
    def worst(self) -> Difference | None:
        """The variable that is furthest off."""
        return max(self.differences, key=badness, default=None)

    @property
    def observed(self) -> float:
        """The greatest residual."""
        return self.worst.residual if self.worst else 0.0

    def by_key(self) -> dict[str, Difference]:
        """The differences by variable."""
        return {one.key: one for one in self.differences}


def badness(one: Difference) -> float:
    """What differences are ordered by: NaN is further off than any number."""
    return float("inf") if np.isnan(one.residual) else one.residual


def compared(
    candidate: Mapping[str, Sequence[np.ndarray]],
    reference: Mapping[str, np.ndarray],
    row: Tolerance,
    *,
    slack: Mapping[str, float] | None = None,
    common_ratio: bool = True,
) -> Comparison:
    """Compares the worst replica of each variable with the reference.

    Args:
      candidate: by variable, the value on each replica; a missing variable counts as zero.
      reference: by variable, the one right value.
      row: the tolerances.
      slack: by variable, an absolute L2 distance that rounding explains.
      common_ratio: whether one ratio within 1e-7 of 1 is taken out first.
    """
    right = {key: wide(value) for key, value in reference.items()}
    total = float(np.sqrt(sum(_squared(value) for value in right.values())))
    ratio = _pooled_ratio(candidate, right)
    taken_out = ratio if common_ratio and abs(ratio - 1) <= RATIO_ROUNDING else 1.0
    found = []
    for key, expected in right.items():
        copies = candidate.get(key) or [np.zeros_like(expected)]
        excused = (slack or {}).get(key, 0.0)
        each = [
            _difference(key, replica, copy.astype(expected.dtype), expected, taken_out, row, total, excused)
            for replica, copy in enumerate(copies)
        ]
        found.append(max(each, key=badness))
    return Comparison(found, taken_out, ratio)


def wide(value: np.ndarray) -> np.ndarray:
    """The values in 64 bits, or 128 where they are complex."""
    return value.astype(np.complex128 if np.iscomplexobj(value) else np.float64)


def _squared(value: np.ndarray) -> float:
    return float(np.vdot(value, value).real)


def _pooled_ratio(candidate: Mapping[str, Sequence[np.ndarray]], reference: Mapping[str, np.ndarray]) -> float:
    shared = [key for key in reference if candidate.get(key) and candidate[key][0].shape == reference[key].shape]
    below = sum(_squared(reference[key]) for key in shared)
    above = sum(float(np.vdot(reference[key], candidate[key][0]).real) for key in shared)
    return above / below if below else 1.0


@np.errstate(invalid="ignore")  # a cosine of infinite values is NaN, and that is what is told
def _difference(
    key: str,
    replica: int,
    actual: np.ndarray,
    expected: np.ndarray,
    ratio: float,
    row: Tolerance,
    total: float,
    excused: float,
) -> Difference:
    if actual.shape != expected.shape:
        return Difference(key, replica, np.inf, np.inf, np.inf, (), np.nan, np.nan, None, None, 0.0)
    gap = np.abs(actual - expected)
    where = np.unravel_index(int(np.argmax(gap)), gap.shape) if gap.size else ()
    norm, own = np.sqrt(_squared(expected)), np.sqrt(_squared(actual))
    product = float(np.vdot(expected, actual).real)
    remaining = _beyond(np.sqrt(_squared(actual - ratio * expected)), excused)
    return Difference(
        key=key,
        replica=replica,
        relative_l2=_share(np.sqrt(_squared(actual - expected)), norm),
        residual=_residual(float(remaining), float(norm), row, total),
        max_abs=float(gap[where]) if gap.size else 0.0,
        index=tuple(int(i) for i in where),
        actual=float(actual[where].real) if gap.size else 0.0,
        expected=float(expected[where].real) if gap.size else 0.0,
        ratio=product / norm**2 if norm else None,
        cosine=product / (norm * own) if norm and own else None,
        norm=float(norm),
    )


def _residual(remaining: float, norm: float, row: Tolerance, total: float) -> float:
    if remaining > row.relative * norm and remaining <= row.floor * total:
        # Zero up to rounding next to the other variables: shown as the share of all of them.
        return _share(remaining, total)
    return _share(remaining, norm)


def _beyond(distance: float, excused: float) -> float:
    return distance if np.isnan(distance) else max(distance - excused, 0.0)


def _share(part: float, whole: float) -> float:
    if part == 0:
        return 0.0
    return float(part / whole) if whole else float("inf")
