"""Says what a TensorFlow log, traceback or exception means, and what to do. Pure text: no TensorFlow.

    for explained in explain(error):
        print(explained)

Known failures stand in `RULES`; their messages are recognised where messages begin in a line, whatever TensorFlow's
version, a logger or a terminal put in front of them. What is not known is not explained.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .allocator_dump import AllocatorDump, AllocatorDumpReader
from .log_rules.cluster import CLUSTER_RULES
from .log_rules.collectives import COLLECTIVE_RULES
from .log_rules.data import DATA_RULES
from .log_rules.devices import DEVICE_RULES
from .log_rules.gpus import GPU_RULES
from .log_rules.libraries import LIBRARY_RULES
from .log_rules.memory import MEMORY_RULES
from .log_rules.other_libraries import LibraryWatch
from .log_rules.rule import Kind, Rule, quick_test
from .log_rules.statements import Statement, clean, is_exception, statements
from .log_rules.strategies import STRATEGY_RULES

RULES: tuple[Rule, ...] = (
    *MEMORY_RULES,
    *LIBRARY_RULES,
    *GPU_RULES,
    *DEVICE_RULES,
    *COLLECTIVE_RULES,
    *STRATEGY_RULES,
    *CLUSTER_RULES,
    *DATA_RULES,
)

_may_fit = quick_test(RULES)

_MOST_EVIDENCE = 3
_LONGEST_EVIDENCE = 200  # characters
_LONGEST_LINE = 1 << 16  # characters of a line that are read: a log that lost its line breaks has long ones
_OUT_OF_MEMORY = ("gpu_out_of_memory", "host_out_of_memory", "out_of_memory")


@dataclass(frozen=True)
class Evidence:
    """One line of the text, without what stood in front of its message; the first line is 1."""

    line: int
    text: str


@dataclass(frozen=True)
class Explained:
    """A failure that was recognised.

    Attributes:
      identifier: its name in `RULES`.
      what: what happened, a sentence.
      evidence: the first lines that say so, each different text once.
      occurrences: how many lines say so.
      remedies: what to do, the best first.
      source: where it was reported and explained.
      tell_apart: what else it may be, and what tells them apart; empty where the message leaves no doubt.
      dump: what the allocator said of memory that ran out, None otherwise.
    """

    identifier: str
    what: str
    evidence: tuple[Evidence, ...]
    occurrences: int
    remedies: tuple[str, ...]
    source: str
    tell_apart: str = ""
    dump: AllocatorDump | None = None


@dataclass(frozen=True)
class LogFindings:
    """What a log says.

    Attributes:
      explained: what was recognised, most likely cause first.
      unknown_end: the exception that the log ends with, where it is not recognised.
      unrelated: lines that are recognised, and do not explain that exception: no GPU found, warnings.
    """

    explained: tuple[Explained, ...] = ()
    unknown_end: Evidence | None = None
    unrelated: tuple[Explained, ...] = ()


def explain(error: BaseException | str) -> list[Explained]:
    """What an exception, with those that caused it, or the text of a log or traceback means.

    Returns:
      The most likely cause first; empty where nothing is recognised.
    """
    text = _text_of(error) if isinstance(error, BaseException) else error
    return list(read_log(text.split("\n")).explained)


def read_log(lines: Iterable[str]) -> LogFindings:
    """`explain` for a log of any size, which is read once, line by line, and not kept."""
    reading = _Reading()
    for number, line in enumerate(lines, start=1):
        for part in _out_of_docker(line[:_LONGEST_LINE]).split("\r"):  # progress bars write over their line
            reading.feed(number, part)
    return reading.findings()


def _out_of_docker(line: str) -> str:
    """The line itself, where Docker keeps it as ``{"log":"…\\n","stream":"stderr","time":"…"}``."""
    if not line.startswith(('{"log":"', '{"log": "')):
        return line
    try:
        return str(json.loads(line)["log"]).rstrip("\r\n")
    except ValueError:  # cut off
        return line


def _text_of(error: BaseException) -> str:
    """What a traceback shows of an exception, the first cause first."""
    return "\n".join(f"{_type_name(one)}: {one}" for one in reversed(list(_chain(error))))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        before = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        waiting += [before] if before else []
        waiting += getattr(one, "exceptions", ())  # of an ExceptionGroup


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _Reading:
    """Collects what the lines of one log say."""

    def __init__(self) -> None:
        self._evidence: dict[str, list[Evidence]] = {}
        self._occurrences: Counter[str] = Counter()
        self._last_hit: dict[str, int] = {}
        self._contradicted: set[str] = set()
        self._dump = AllocatorDumpReader()
        self._libraries = LibraryWatch()
        self._end: Evidence | None = None
        self._ends_elsewhere = False
        self._last_line = 0
        self._unfinished: Statement | None = None
        self._in_traceback = False

    def feed(self, number: int, line: str) -> None:
        """Takes the next line, or a part of it."""
        self._dump.feed(line)
        text = clean(line)
        if not text:
            return
        self._last_line = number
        self._libraries.feed(text)
        if self._ends_a_traceback(line, text):
            self._end = Evidence(number, text[:_LONGEST_EVIDENCE])
            self._ends_elsewhere = self._libraries.take_exception(text)
            if self._ends_elsewhere:
                self._unfinished = None
                return
        found = list(statements(text))
        for statement in found:
            self._take(number, text, statement)
        if len(found) == 1:
            self._take_wrapped(number, text)
        self._unfinished = found[-1] if len(found) > 1 else None

    def _take(self, number: int, text: str, statement: Statement, begins: Statement | None = None) -> None:
        """Records what the statement says, without what already its beginning said."""
        if not _may_fit(statement):
            return
        for rule in RULES:
            if rule.is_contradicted(statement):
                self._contradicted.add(rule.identifier)
            elif rule.fits(statement) and not (begins and rule.fits(begins)):
                self._record(rule, number, text)

    def _record(self, rule: Rule, number: int, text: str) -> None:
        if self._last_hit.get(rule.identifier) == number:
            return
        self._last_hit[rule.identifier] = number
        self._occurrences[rule.identifier] += 1
        evidence = self._evidence.setdefault(rule.identifier, [])
        shown = text[:_LONGEST_EVIDENCE]
        if len(evidence) < _MOST_EVIDENCE and shown not in [one.text for one in evidence]:
            evidence.append(Evidence(number, shown))

    def _take_wrapped(self, number: int, text: str) -> None:
        """A message that a terminal broke in two, with or without a space at the break."""
        if self._unfinished is not None:
            for between in ("", " "):
                whole = Statement(self._unfinished.text + between + text, self._unfinished.is_own)
                self._take(number, text, whole, begins=self._unfinished)

    def _ends_a_traceback(self, line: str, text: str) -> bool:
        if text.startswith("Traceback (most recent call last)"):
            self._in_traceback = True
            return False
        ends = is_exception(text) or (self._in_traceback and not line[:1].isspace())
        self._in_traceback = self._in_traceback and not ends
        return ends

    def findings(self) -> LogFindings:
        """What was found, in order."""
        met = self._met()
        found = [rule for rule in met if not {one.identifier for one in met} & set(rule.follows_from)]
        by_end = {rule.identifier for rule in met if self._is_the_end(rule)}
        unknown = self._end if self._end and not by_end else None
        if self._ends_elsewhere or self._libraries.is_another_librarys_log:
            return LogFindings(unknown_end=unknown)
        unrelated = [rule for rule in found if unknown and rule.kind >= Kind.NOTICE]
        explaining = [rule for rule in found if rule not in unrelated]
        explaining.sort(key=lambda rule: (self._rank(rule, by_end), self._evidence[rule.identifier][0].line))
        return LogFindings(
            tuple(self._explained(rule) for rule in explaining),
            unknown,
            tuple(self._explained(rule) for rule in unrelated if rule.kind == Kind.NOTICE),
        )

    def _met(self) -> list[Rule]:
        """The rules whose messages were found, without those that are shown to be wrong."""
        return [
            rule
            for rule in RULES
            if rule.identifier in self._evidence
            and rule.identifier not in self._contradicted
            and not (rule.only_last and self._last_hit[rule.identifier] < self._last_line)
        ]

    def _is_the_end(self, rule: Rule) -> bool:
        return self._end is not None and self._last_hit[rule.identifier] >= self._end.line

    def _rank(self, rule: Rule, by_end: set[str]) -> int:
        """A warning that is what the exception says is no mere warning."""
        return min(rule.kind, Kind.LIKELY) if rule.identifier in by_end else rule.kind

    def _explained(self, rule: Rule) -> Explained:
        return Explained(
            rule.identifier,
            rule.what,
            tuple(self._evidence[rule.identifier]),
            self._occurrences[rule.identifier],
            tuple(rule.remedies),
            rule.source,
            rule.tell_apart,
            self._dump.result() if rule.identifier in _OUT_OF_MEMORY else None,
        )
