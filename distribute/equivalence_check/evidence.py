"""What one step of one run did: the record that every check and every cause rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from . import observe

Gradient = np.ndarray | tuple[np.ndarray, np.ndarray]
"""A dense gradient, or values and indices of a sparse one."""


@dataclass(frozen=True)
class Evidence:
    """What one step did.

    Attributes:
      before, after: by variable, the value on each replica.
      gradients: by variable, the gradient as applied, on each replica; absent where there was none.
      local, handed, fed: by variable and replica, at the tape, given to the optimizer, given to the reduction.
      outputs: by name, the scalar that each replica returned.
      metrics: by name, `result()` of each Keras metric, over all replicas.
      shard_sizes: examples per replica.
      sparse: by variable, replica 0's values and indices of a sparse gradient: optimizers treat these differently.
      gradient_source: how the gradients as applied were come by.
    """

    before: Mapping[str, list[np.ndarray]]
    after: Mapping[str, list[np.ndarray]]
    gradients: Mapping[str, list[np.ndarray]]
    outputs: Mapping[str, list[np.ndarray]]
    shard_sizes: Sequence[int]
    metrics: Mapping[str, float] = field(default_factory=dict)
    local: Mapping[str, list[np.ndarray]] = field(default_factory=dict)
    handed: Mapping[str, list[np.ndarray]] = field(default_factory=dict)
    fed: Mapping[str, list[np.ndarray]] = field(default_factory=dict)
    sparse: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    gradient_source: str = observe.APPLIED

    @property
    def applied(self) -> dict[str, Gradient]:
        """Replica 0's gradients in the form in which the optimizer got them."""
        return {key: self.sparse.get(key, copies[0]) for key, copies in self.gradients.items()}
