"""Causes that show in variables that differ between replicas although nobody trains them."""

from ..causes import Explanation
from ..equivalence_check import variables
from ..equivalence_check.trial import Trial
from ..remedies.moving_statistics import STATISTICS
from .case import Case
from .reductions import with_own_gradient


def diverged_state(case: Case) -> list[Explanation]:
    """Variables that hold another value on each replica."""
    state = [key for key in case.found.apart if key not in case.trained]
    moving = moving_statistics(case.trial)
    found = []
    apart = [key for key in state if key in moving]
    if apart:
        layer = apart[0].split("/")[-2] if "/" in apart[0] else ""
        location = case.trial.reference.places.of(layer)
        found.append(Explanation("moving_statistics_not_aggregated", _values(case, apart), apart[0], location))
    optimizer = {slot.key for slot in case.trial.slots if slot.role == variables.OPTIMIZER}
    # The slots of weights that drifted apart drift with them.
    excused = set(moving) | (optimizer if case.trained & set(case.found.apart) else set())
    other = [key for key in state if key not in excused] + _own_weights(case)
    if other:
        location = case.trial.written_at(other[0])
        found.append(Explanation("unsynchronized_variable", _values(case, other), other[0], location))
    return found


def _own_weights(case: Case) -> list[str]:
    """Trained variables that differ although all replicas applied the same gradient."""
    apart = [key for key in case.found.apart if key in case.trained]
    if with_own_gradient(case):
        return []
    return apart


def _values(case: Case, keys: list[str]) -> str:
    copies = " ".join(f"{copy.ravel()[0]:.6g}" if copy.size else "[]" for copy in case.candidate.after[keys[0]])
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"first element of {keys[0]} by replica: {copies}{more}"


def moving_statistics(trial: Trial) -> set[str]:
    """The keys of the moving statistics of BatchNormalization layers."""
    layers = trial.reference.subject.batch_normalizations()
    held = (getattr(layer, name, None) for layer in layers for name in STATISTICS)
    wanted = {id(variable._value) for variable in held if variable is not None}
    return {slot.key for slot in trial.slots if id(slot.variable) in wanted}
