"""A term of the gradient that does not depend on the examples: a regulariser that every replica adds."""

from ..causes import Explanation
from ..equivalence_check import observe
from ..equivalence_check.checks import first_copies
from ..equivalence_check.tolerances import RATIO_ROUNDING
from ..equivalence_check.weights import Weights, weights_of
from .case import NEAR, Case, Gradients, difference, largest, norm

_ROUNDING = 1e-12
_LEAST = 10
"""How many times rounding a term has to be."""


def regularizer(case: Case) -> tuple[Explanation, Weights | None] | None:
    """The gradient is off by the same term whatever the examples are; with the weights of shards once it is out."""
    runs = case.same_shards
    if len(runs) < 2:
        return None
    first, second = (difference(candidate, reference) for reference, candidate in runs)
    number = case.num_replicas
    is_power_of_two = number & (number - 1) == 0  # where it is none, Keras' 1/N is rounded to float32
    rounding = (_ROUNDING if is_power_of_two else RATIO_ROUNDING) * sum(norm(reference) for reference, _ in runs)
    if norm(first) <= _LEAST * rounding or norm(difference(first, second)) > NEAR * norm(first) + rounding:
        return None
    term = {key: value / (number - 1) for key, value in first.items()}
    share = norm(first) / norm(runs[0][0])
    evidence = (
        f"the gradient is off by one and the same term (norm {norm(first):.4g}, {share:.2g} of the gradient) on"
        f" different examples: {number - 1} times what a function of the weights alone adds"
    )
    layers = [layer.path for layer in case.trial.reference.subject.regularized_layers()]
    if layers:
        evidence += f"; layers with a regulariser: {', '.join(layers[:4])}"
    explanation = case.explanation("regularizer_per_replica", evidence, largest(term), observe.LOSS)
    return explanation, _weights_without(case, term, number)


def _weights_without(case: Case, term: Gradients, number: int) -> Weights | None:
    alone = [first_copies(one.gradients) for one in case.alone]
    candidate, reference = first_copies(case.candidate.gradients), first_copies(case.reference.gradients)
    return weights_of(reference, candidate, alone, case.batch.sizes, term, number, case.exact)
