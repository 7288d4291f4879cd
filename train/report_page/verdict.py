"""The top of the page: how the run ended, what is wrong where something is, and the figures that people ask for."""

from collections.abc import Iterator, Mapping
from typing import Any

from distribute.report import Check, Report
from distribute.report_text import verdict
from train.report_page.markup import code, counted, facts, message, mib, section, text

Record = Mapping[str, Any]

_MOST_VARIABLES = _MOST_CHECKS = 8
_MEMORY = ("memory_bounds/", "execution/memory")

_BADGES = {
    "passed": ("✓", "Passed"),
    "failed": ("✗", "Failed"),
    "unfinished": ("!", "Did not come to its end"),
    "unchecked": ("–", "Nothing was checked"),
}


def outcome(record: Record) -> str:
    """``passed``, ``failed`` (a check did), ``unfinished`` (something else ended it), or ``unchecked``."""
    statuses = {check["status"] for check in record.get("checks", ())}
    if "failed" in statuses:
        return "failed"
    if not record.get("ok"):
        return "unfinished"
    return "passed" if statuses & {"passed", "accepted"} else "unchecked"


def sentence(record: Record) -> str:
    """The verdict as the text report has it, where anything was checked; else how the run ended."""
    if record.get("checks"):
        return verdict(_report(record))
    if record.get("ok"):
        return "The run came to its end; nothing was verified"
    return "The run did not come to its end, and nothing was verified before"


def _report(record: Record) -> Report:
    checks = [
        Check(one["name"], one["status"], one.get("observed"), one.get("allowed"), one.get("detail") or "not told")
        for one in record["checks"]
    ]
    return Report(checks=checks, devices=record.get("devices") or {}, memory=record.get("memory") or {})


def header(record: Record) -> str:
    """Badge, verdict, reason of an early end, figures."""
    kind = outcome(record)
    symbol, word = _BADGES[kind]
    ended = "".join(map(message, record.get("notes", [])[-1:])) if kind == "unfinished" else ""
    return (
        f'<header class="{kind}">\n<p class="badge"><span aria-hidden="true">{symbol}</span> {word}</p>\n'
        f"<h1>{text(sentence(record))}</h1>\n{ended}\n{facts(dict(_figures(record)))}\n</header>"
    )


def _figures(record: Record) -> Iterator[tuple[str, str]]:
    devices, training, memory = (record.get(name) or {} for name in ("devices", "training", "memory"))
    if devices:
        shown = f"{counted(devices['replicas'], 'replica')}, {devices['placement']} {devices['kind'].upper()}s"
        yield "Ran on", text(shown)
    peaks = [one["peak_mib"] for one in memory.get("replicas") or () if one.get("peak_mib") is not None]
    if peaks:
        limit = f" of {mib(memory['limit_mib'])}" if memory.get("limit_mib") else ""
        yield "Peak of a replica", text(f"{mib(max(peaks))}{limit}")
    if memory.get("advised_limit_mib"):
        yield "A limit that works", text(mib(memory["advised_limit_mib"]))
    for name, key, spec in (
        ("Steps trained", "steps", ",d"),
        ("Final loss", "final_loss", ".4f"),
        ("Test accuracy", "test_accuracy", ".4f"),
        ("Examples per second", "examples_per_second", ",.0f"),
    ):
        if training.get(key) is not None:
            yield name, text(format(training[key], spec))


def causes(record: Record) -> str:
    """Each mistake that was named, with its evidence, its place and the remedy; then the smallest case that fails."""
    explained = {one["cause"]: one for one in record.get("explanations", ())}
    articles = [_cause(name, explained.get(name, {})) for name in record.get("causes", ())]
    articles += _unexplained(record)
    accepted = record.get("accepted") or ()
    if accepted:
        articles.append(f"<p>Accepted, as was asked: {', '.join(map(code, accepted))}.</p>")
    if record.get("smallest_failure"):
        articles.append(_smallest(record["smallest_failure"]))
    return section("causes", "What is wrong, and what to do", *articles) if articles else ""


def _unexplained(record: Record) -> list[str]:
    """Failed checks that speak for themselves: all about memory, and where no cause was named the others, too."""
    failed = [check for check in record.get("checks", ()) if check["status"] == "failed"]
    about_memory = [check for check in failed if check["name"].startswith(_MEMORY)]
    shown = about_memory if record.get("causes") else failed
    articles = [
        f'<article class="cause">\n<h3>{code(check["name"])}</h3>\n<p>{text(check.get("detail") or "")}</p>\n</article>'
        for check in shown[:_MOST_CHECKS]
    ]
    if len(shown) > len(about_memory):
        articles.append("<p>No cause is named: none of the known mistakes fits what was measured.</p>")
    return articles


def _cause(name: str, one: Mapping[str, Any]) -> str:
    places = [code(one["variable"])] if one.get("variable") else []
    places += [code(one["location"])] if one.get("location") else []
    rows = {
        "Seen": text(one.get("evidence", "")),
        "Where": "first in " + ";<br>".join(places) if one.get("variable") else ";<br>".join(places),
        "Instead": text(one.get("remedy", "")),
    }
    shown = facts({label: value for label, value in rows.items() if value})
    return f'<article class="cause">\n<h3>{code(name)}</h3>\n<p>{text(one.get("mistake", ""))}</p>\n{shown}\n</article>'


def _smallest(one: Mapping[str, Any]) -> str:
    case = f"{counted(one['num_replicas'], 'replica')} and {counted(one['num_rows'], 'example')}"
    passing = [f"{number} replicas" for number in one.get("passing_replicas", ())]
    passing += [counted(number, "example") for number in one.get("passing_rows", ())]
    wrong = ", ".join(map(code, one["variables"][:_MOST_VARIABLES]))
    rows = {
        "Case": text(case),
        "Wrong in it": f"{len(one['variables'])} of {one['compared']} variables: {wrong}",
        "Passes with": text(", ".join(passing)),
        "Plays no part": text(", ".join(one.get("does_not_matter", ()))),
        "Run it again": f"<pre>{text(one['rerun'])}</pre>",
    }
    shown = facts({label: value for label, value in rows.items() if value})
    return f"<article>\n<h3>The smallest case that fails in the same way</h3>\n{shown}\n</article>"


def notes(record: Record) -> str:
    """What a reader should know and no check says."""
    said = list(record.get("notes", ()))
    if outcome(record) == "unfinished":
        said = said[:-1]  # it stands at the top
    return section("notes", "Notes", *map(message, said)) if said else ""
