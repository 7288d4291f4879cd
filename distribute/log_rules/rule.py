"""What one entry of the table of known messages says."""

import enum
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .statements import Statement


class Kind(enum.IntEnum):
    """What a message means for the run, in the order in which explanations are shown."""

    CAUSE = 0  # ends it, for a reason that the message gives
    LIKELY = 1  # ends it, for one of several reasons, the most likely first
    NOTICE = 2  # does not end it: no GPU is used, or it ends early, or it is slow
    HARMLESS = 3  # looks like an error and is none


@dataclass(frozen=True)
class Rule:
    """A failure that is recognised by what TensorFlow, CUDA or Python says of it.

    Attributes:
      identifier: its name.
      what: what happened, a sentence.
      patterns: regular expressions for the beginning of a message.
      remedies: what to do, the best first: flags, commands, code.
      source: where it was reported and explained.
      within: regular expressions for any place of a message that is TensorFlow's own.
      tell_apart: what else it may be, and what tells them apart.
      kind: what it means for the run.
      follows_from: other failures that bring this one with them; where one of them is found, it says more.
      unless: a regular expression: a message that begins so shows that it is something else.
      only_last: it counts only as the last line of the log.
    """

    identifier: str
    what: str
    patterns: Sequence[str]
    remedies: Sequence[str]
    source: str
    within: Sequence[str] = ()
    tell_apart: str = ""
    kind: Kind = Kind.CAUSE
    follows_from: Sequence[str] = ()
    unless: str = ""
    only_last: bool = False

    def fits(self, statement: Statement) -> bool:
        """Whether the statement is one of its messages."""
        if any(pattern.match(statement.text) for pattern in self._beginnings):
            return True
        return statement.is_own and any(pattern.search(statement.text) for pattern in self._parts)

    def is_contradicted(self, statement: Statement) -> bool:
        """Whether the statement shows that it is something else."""
        return bool(self.unless) and re.match(self.unless, statement.text) is not None

    @functools.cached_property
    def _beginnings(self) -> list[re.Pattern[str]]:
        return [re.compile(pattern) for pattern in self.patterns]

    @functools.cached_property
    def _parts(self) -> list[re.Pattern[str]]:
        return [re.compile(pattern) for pattern in self.within]


def quick_test(rules: Sequence[Rule]) -> Callable[[Statement], bool]:
    """Makes a function that says whether any rule may fit: one regular expression where there are a hundred.

    Without it a log of 100 MB takes minutes.
    """
    beginnings = [pattern for rule in rules for pattern in (*rule.patterns, rule.unless) if pattern]
    begins = re.compile("|".join(f"(?:{pattern})" for pattern in beginnings))
    holds = re.compile("|".join(f"(?:{pattern})" for rule in rules for pattern in rule.within))

    def may_fit(statement: Statement) -> bool:
        if begins.match(statement.text):
            return True
        return statement.is_own and holds.search(statement.text) is not None

    return may_fit
