"""Compares two recorded runs: did they compute the same, and in what do they and their set-ups differ?

python train/compare.py runs/laptop runs/workstation/report.json
python train/compare.py runs/a runs/b --json | jq .same

Each is a ``report.json`` or the folder that holds one. Exit code 0 when the results agree within what rounding can do,
whatever differs in set-up, speed or resumes; 2 when they do not.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from train import flags as train_flags
from train import script
from train.errors import InputError
from train.record_file import read_record, record_file

if TYPE_CHECKING:
    from train.comparison import Record
    from train.output import Output

FLAGS = flags.FLAGS

_WORDS = {True: "same", False: "DIFFERS", None: "unknown"}
_MOST_SHOWN = 12


def main(output: "Output", first_path: str, second_path: str) -> int:
    """Prints the comparison; with ``--output_dir`` writes ``comparison.json``, too."""
    # Imported in the functions, so that --help and a misspelt flag answer at once.
    from train.comparison import are_same, findings
    from train.run_folder import open_run_folder

    first, second = (read_trained(Path(path)) for path in (first_path, second_path))
    found = findings(first, second)
    same = are_same(found)
    output.show("same result, up to rounding" if same else "the results DIFFER")
    for finding in found:
        output.show(f"{_WORDS[finding.agrees]:<8} {finding.name:<14} {finding.text}")
    for line in details(first, second, verbose=FLAGS.verbose):
        output.show(line)
    record = {"same": same, "findings": [vars(finding) for finding in found]}
    if FLAGS.output_dir:
        output.save(open_run_folder(FLAGS.output_dir, resume=False), "comparison.json", record)
    else:
        output.write_record(record)
    return 0 if same else 2


def read_trained(path: Path) -> "Record":
    """The record of a run that trained.

    Raises:
      InputError: there is none, or it is of a run that trained nothing.
    """
    file = record_file(path)
    record = read_record(file)
    if record["training"].get("steps") is None:
        raise InputError(f"{file} records no training: compare runs that trained")
    return record


def details(first: "Record", second: "Record", *, verbose: bool) -> Iterator[str]:
    """What is worth knowing beside the verdict: growth of the difference, variables, set-up, speed and memory."""
    from train.comparison import drift, setup_differences, variable_differences

    grown = ", ".join(f"{step:,}: {value:.1e}" for step, value in drift(first, second))
    if grown:
        yield f"losses, greatest relative difference up to step  {grown}"
    apart = variable_differences(first, second) or {}
    for path, value in sorted(apart.items(), key=lambda item: -item[1])[: None if verbose else 3]:
        yield f"variable {path}: {value:.1e} apart, relative"
    changes = list(setup_differences(first, second))
    for name, one, other in changes[: None if verbose else _MOST_SHOWN]:
        yield f"set-up   {name}: {_shown(one)} | {_shown(other)}"
    if len(changes) > _MOST_SHOWN and not verbose:
        yield f"set-up   and {len(changes) - _MOST_SHOWN} more (--verbose)"
    yield from _figures(first, second)


def _figures(first: "Record", second: "Record") -> Iterator[str]:
    pairs = {
        "examples/s": [record["training"].get("examples_per_second") for record in (first, second)],
        "peak MiB": [_peak(record) for record in (first, second)],
        "final loss": [record["training"].get("final_loss") for record in (first, second)],
    }
    for name, (one, other) in pairs.items():
        if one and other:
            yield f"{name:<10} {one:,.4g} | {other:,.4g}  ({other / one:.2f} times)"


def _peak(record: "Record") -> float | None:
    replicas = record.get("memory", {}).get("replicas") or []
    return max((replica["peak_mib"] or 0.0 for replica in replicas), default=None)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


if __name__ == "__main__":
    train_flags.define_compare_flags()
    script.run(main, arguments=["the record of one run, a report.json or its folder", "that of another"])
