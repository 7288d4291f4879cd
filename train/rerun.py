"""The command that runs a failure's smallest case again."""

import dataclasses
import shlex
from collections.abc import Iterator

from absl import flags

from distribute import Report

_OTHERS = {"virtual_gpus", "first_rows", "verify", "steps", "epochs", "export", "output_dir", "resume", "flagfile"}
"""Flags that the smaller case has a value of its own for, those of training, and those that would write over what this
run wrote."""


def with_command(report: Report, values: flags.FlagValues, script: str) -> Report:
    """`report` with a command in place of the call of `verify`, whose arguments only the flags name.

    Args:
      report: of a run of the script.
      values: its flags.
      script: its path, as it was called.
    """
    smallest = report.smallest
    if smallest is None or "data[" in smallest.rerun:  # a batch after the first, which no flag names
        return report
    command = ["python", script, *_given(values), f"--virtual_gpus={smallest.num_replicas}"]
    command += [f"--first_rows={smallest.num_rows}", "--verify=gradients"]
    command += ["--steps=0"] if "steps" in values else []
    return dataclasses.replace(report, smallest=dataclasses.replace(smallest, rerun=shlex.join(command)))


def _given(values: flags.FlagValues) -> Iterator[str]:
    for flag in values.flags_by_module_dict()["train.flags"]:
        if flag.present and flag.name not in _OTHERS:
            yield flag.serialize()
