"""Memory: peaks against the limit, step by step in the memory check, and over the time of the run."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from train.report_page.markup import facts, figure, mib, section, side_by_side, text
from train.report_page.pictures.labels import short_list
from train.report_page.pictures.memory import Line, Panel, Peak, memory_lines, peak_bars

Entry = Mapping[str, Any]

_NO_DEVICE_TIMELINE = (
    "No line for each device: on a CPU all replicas of a process share one allocator, which TensorFlow counts only "
    "where TF_CPU_ALLOCATOR_USE_BFC=true. With --isolation=process each replica has an allocator, a limit and a line "
    "of its own."
)
_NO_TIMELINE = (
    "No timeline: the run ended before its devices were made, in processes that ended with it, or could not be sampled."
)


def memory(record: Mapping[str, Any]) -> str:
    """The section; what was not measured is said."""
    entry = record.get("memory") or {}
    pictures = [_peaks(entry), _steps(entry), _timeline(entry.get("timelines") or [])]
    said = [*_missing(entry, pictures)]
    paragraphs = "".join(f"<p>{text(one)}</p>" for one in said)
    return section("memory", "Memory", side_by_side(*pictures), paragraphs, facts(dict(_figures(entry))))


def _missing(entry: Entry, pictures: Sequence[str]) -> Iterator[str]:
    peaks, steps, timeline = pictures
    if not peaks and not steps:
        yield "No peak of a replica was measured in this run (--verify=all or --verify=memory does)."
    if not timeline:
        yield _NO_TIMELINE
    elif not any(one["devices"] for one in entry["timelines"]):
        yield _NO_DEVICE_TIMELINE
    for one in entry.get("timelines") or ():
        if one.get("failure"):
            yield f"The timeline of {one['process']} ends early: {one['failure']}"


def _peaks(entry: Entry) -> str:
    """A bar for each peak; replicas with the same one, such as those that one measurement stands for, share a bar."""
    peaks = [*_replica_peaks(entry, "peak_mib", ""), *_replica_peaks(entry, "training_peak_mib", " in training")]
    if entry.get("reference_peak_mib") is not None:
        peaks.append(Peak("one device with the whole global batch", entry["reference_peak_mib"], is_reference=True))
    if not peaks:
        return ""
    limit = entry.get("limit_mib")
    description = "; ".join(f"{peak.name} {mib(peak.mib)}" for peak in peaks)
    description += f"; limit {mib(limit)}" if limit else "; no limit"
    drawn = peak_bars(peaks, limit, "memory-peaks", "Peaks of memory against the limit", description)
    limited = ", and its limit." if limit else "; no limit was set."
    return figure(drawn, f"The most that was in use in a replica's allocator{limited}")


def _replica_peaks(entry: Entry, key: str, what: str) -> Iterator[Peak]:
    measured = [one for one in entry.get("replicas") or () if one.get(key) is not None]
    if key != "peak_mib":  # where nothing was checked, the peak of a replica is that of its training
        measured = [one for one in measured if one[key] != one.get("peak_mib")]
    for peak, group in itertools.groupby(measured, key=lambda one: one[key]):
        names = [one["device"] for one in group]
        yield Peak(f"{'each of ' if len(names) > 1 else ''}{short_list(names)}{what}", peak)


def _steps(entry: Entry) -> str:
    """What the memory check counted, step by step."""
    lines = []
    for one in entry.get("steps") or ():
        who = f"{short_list(one['devices'], 2)}" if one["devices"] else "one device"
        steps = range(1, len(one["peak_mib"]) + 1)
        lines.append(Line(f"{who}, {one['examples']} examples", steps, one["peak_mib"]))
        lines.append(Line("after the step", steps, one["after_mib"], follows=True))
    if not lines:
        return ""
    panel = Panel("MiB in use: the most in each step; dotted: after it", lines, entry.get("limit_mib"))
    description = "; ".join(f"{line.name}: {mib(min(line.mib))} to {mib(max(line.mib))}" for line in lines)
    drawn = memory_lines([panel], [], "step of the memory check", "memory-steps", "Memory step by step", description)
    caption = "Exact, by the allocator's own counters. The first step holds the building of the model."
    return figure(drawn, caption + _far_limit(panel))


def _timeline(timelines: Sequence[Entry]) -> str:
    """What the processes of the run held over time."""
    if not timelines:
        return ""
    several = len(timelines) > 1
    devices = [
        Line(f"{one['process']}, {_counted(one, name)}" if several else _counted(one, name), one["seconds"], used)
        for one in timelines
        for name, used in one["in_use_mib"].items()
    ]
    processes = [Line(one["process"], one["seconds"], one["process_mib"]) for one in timelines]
    first, phases = timelines[0], timelines[0]["phases"]
    panels = [Panel("MiB in use in the allocator", devices, first["limit_mib"])] if devices else []
    panels.append(Panel(f"MiB, {first['process_source']}", processes))
    description = "; ".join(f"{line.name}: up to {mib(max(line.mib))}" for panel in panels for line in panel.lines)
    description += "; phases: " + ", ".join(_phase(one) for one in phases)
    drawn = memory_lines(panels, phases, "seconds", "memory-timeline", "Memory over time", description)
    numbered = ", ".join(f"{number} {one['name']}" for number, one in enumerate(phases, start=1))
    caption = f"Phases: {numbered}. Sampled every {first['interval_s']:g} s; a peak between two samples is not seen."
    return figure(drawn, caption + _far_limit(panels[0]))


def _counted(one: Entry, name: str) -> str:
    """What a counter counts: its device, or all logical CPUs of the process."""
    return f"{short_list(one['shared_by'])} together" if one.get("shared_by") else name


def _phase(one: Entry) -> str:
    begin, end = one["seconds"]
    return f"{one['name']} from {begin:.1f} to {end:.1f} s"


def _far_limit(panel: Panel) -> str:
    """What the picture leaves out."""
    if panel.limit_mib is None or panel.shows_limit:
        return ""
    return f" The limit, {mib(panel.limit_mib)}, lies far above."


def _figures(entry: Entry) -> Iterator[tuple[str, str]]:
    total = entry.get("sum") or {}
    rows = {
        "Limit of each replica": entry.get("limit_mib"),
        "One device, whole batch": entry.get("reference_peak_mib"),
        "Spread of its steps": entry.get("spread_mib"),
        "Process, as nvidia-smi shows it": entry.get("process_peak_mib"),
        "Outside all allocators": entry.get("overhead_mib"),
        "Predicted peak": entry.get("predicted_peak_mib"),
        "Sum over replicas": total.get("total_mib"),
        "Model state in that sum": total.get("model_state_mib"),
        "Activations in it": total.get("activations_mib"),
        "Fixed scratch in it": total.get("fixed_scratch_mib"),
        "Needed without a limit": entry.get("need_mib"),
        "A limit under which it ran": entry.get("advised_limit_mib"),
    }
    for name, value in rows.items():
        if value is not None:
            yield name, text(mib(value))
