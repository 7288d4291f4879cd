"""All cases, as plain lists."""

from collections.abc import Sequence

from . import innocent_models, innocent_training, mistakes_chance, mistakes_scaling, mistakes_state, mistakes_weighting
from .cases import Innocent, Mutation, NotApplicable

MUTATIONS: list[Mutation] = [
    *mistakes_scaling.MISTAKES,
    *mistakes_weighting.MISTAKES,
    *mistakes_state.MISTAKES,
    *mistakes_chance.MISTAKES,
]
NOT_APPLICABLE: list[NotApplicable] = [*mistakes_scaling.NOT_APPLICABLE]
INNOCENTS: list[Innocent] = [*innocent_models.INNOCENTS, *innocent_training.INNOCENTS]


def chosen(words: Sequence[str]) -> list[Mutation] | list[Innocent]:
    """The cases that these words name: a cause and a program, or "innocent" and a kind; "all" stands for any."""
    first, second, third = [*words, "all", "all", "all"][:3]
    if first == "innocent":
        return [one for one in INNOCENTS if second in ("all", one.kind)]
    return [
        one
        for one in MUTATIONS
        if first in ("all", one.cause) and second in ("all", one.program) and third in ("all", one.mistake)
    ]
