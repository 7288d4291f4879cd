"""Every tolerance of the library, in one table by dtype; messages quote it, nothing else holds a number of its own."""

from dataclasses import dataclass

RATIO_ROUNDING = 1e-7
"""A ratio this close to 1 is rounding: Keras rounds its 1/N to float32 also in float64 (2.98e-8 off at N=3)."""


@dataclass(frozen=True)
class Tolerance:
    """What one dtype allows.

    Attributes:
      epsilon: the spacing of numbers next to 1.
      relative: relative L2 per variable, between two runs in this dtype.
      floor: a difference below this share of the norm of all gradients is zero up to rounding.
      later_steps: relative L2 per variable once the weights of both runs have drifted apart by rounding.
      multiple: how many times the reference's own distance from the float64 result the candidate may be off.
      own_distance: the least distance from float64 that every run of this dtype is granted.
    """

    epsilon: float
    relative: float
    floor: float
    later_steps: float
    multiple: float
    own_distance: float


TOLERANCES = {
    "float64": Tolerance(2.2e-16, 1e-12, 1e-12, 1e-9, 8.0, 1e-13),
    "float32": Tolerance(1.2e-7, 2e-5, 1e-6, 1e-3, 8.0, 5e-7),
    "bfloat16": Tolerance(7.8e-3, 5e-2, 2e-2, 2e-1, 8.0, 2e-2),
    "float16": Tolerance(9.8e-4, 1e-2, 4e-3, 5e-2, 8.0, 2e-3),
}


def tolerance(dtype: str) -> Tolerance:
    """The row of `dtype`.

    Raises:
      ValueError: the table has no such row.
    """
    if dtype not in TOLERANCES:
        raise ValueError(f"no tolerance for dtype {dtype!r}: choose from {', '.join(TOLERANCES)}")
    return TOLERANCES[dtype]
