"""All cases, as plain lists, and the sample of them that `make test` runs."""

from collections.abc import Sequence
from dataclasses import replace

from . import (
    innocent_models,
    innocent_training,
    mistakes_counting,
    mistakes_inputs,
    mistakes_metrics,
    mistakes_numbers,
    mistakes_reduction,
    mistakes_scaling,
    mistakes_state,
    mistakes_weighting,
)
from .cases import REPLICAS, Innocent, Mutation

_MODULES = (
    mistakes_scaling,
    mistakes_reduction,
    mistakes_weighting,
    mistakes_counting,
    mistakes_state,
    mistakes_metrics,
    mistakes_inputs,
    mistakes_numbers,
)


def _fewer_for_further_ways(cases: Sequence[Mutation]) -> list[Mutation]:
    """All N for the first way to make a mistake in a program, N=2 and 5 for the others."""
    seen, chosen = set(), []
    for case in cases:
        again = (case.cause, case.program) in seen and case.replicas == REPLICAS
        seen.add((case.cause, case.program))
        chosen.append(replace(case, replicas=(2, 5)) if again else case)
    return chosen


MUTATIONS: list[Mutation] = _fewer_for_further_ways([one for module in _MODULES for one in module.MISTAKES])
CAUSES = tuple(dict.fromkeys(one.cause for one in MUTATIONS))
INNOCENTS: list[Innocent] = [*innocent_models.INNOCENTS, *innocent_training.INNOCENTS]
KINDS = tuple(one.kind for one in INNOCENTS)

NOT_APPLICABLE = {
    ("missing_all_reduce", "compiled"): "the optimizer of a compiled model always reduces",
    ("dropped_replica", "N = 2, 4, 8"): "HierarchicalCopyAllReduce loses a gradient where N is odd only; by hand it"
    " can be lost at any N",
}
"""Where a mistake cannot be made, and why."""

Run = tuple[Mutation | Innocent, int]

_OTHERS = (3, 4, 5, 3, 4, 8)


def of(name: str) -> list[Mutation] | list[Innocent]:
    """The mutations of a cause, or the innocent program of a kind."""
    known = (*CAUSES, *KINDS)
    if name not in known:
        raise ValueError(f"{name!r} is neither a cause nor an innocent kind: choose from {', '.join(known)}")
    return [one for one in MUTATIONS if one.cause == name] or [one for one in INNOCENTS if one.kind == name]


def every_run(name: str) -> list[Run]:
    """All cases of a cause or kind, at all their N."""
    return [(case, n) for case in of(name) for n in case.replicas]


def sample(name: str) -> list[Run]:
    """A cause at N=2 and at one N of 3 to 8, a kind at one of them; programs and N take turns from name to name."""
    position, cases = (*CAUSES, *KINDS).index(name), of(name)
    first, second = (cases[(position + turn) % len(cases)] for turn in (0, 1))
    wanted = _OTHERS[position % len(_OTHERS)]
    both = [(first, _nearest(first, 2)), (second, _nearest(second, wanted, least=3))]
    return both if name in CAUSES else [both[position % 2]]


def _nearest(case: Mutation | Innocent, wanted: int, least: int = 2) -> int:
    return min((n for n in case.replicas if n >= least), key=lambda n: abs(n - wanted))


def chosen(words: Sequence[str]) -> list[Mutation] | list[Innocent]:
    """The cases that these words name: cause or kind, program, mistake; "all" or "innocent" stand for any."""
    first, program, mistake = [*words, "all", "all", "all"][:3]
    if first == "innocent":
        return INNOCENTS if program == "all" else of(program)
    found = MUTATIONS if first == "all" else of(first)
    return [
        one
        for one in found
        if isinstance(one, Innocent) or (program in ("all", one.program) and mistake in ("all", one.mistake))
    ]
