"""Looks at this machine for what commonly goes wrong, or explains a TensorFlow log.

python train/doctor.py
python train/doctor.py --log=train.log
python train/main.py 2>&1 | python train/doctor.py --log=-
python train/doctor.py --explain="CUBLAS_STATUS_NOT_INITIALIZED"
python train/doctor.py --json | jq '.rows[] | select(.status == "problem")'

Its exit code is 0 whatever it finds.
"""

import dataclasses
import importlib.util
import io
import os
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from absl import flags

from train import flags as train_flags
from train import script
from train.colours import columns_of, wants_colours
from train.errors import InputError, MachineError

if TYPE_CHECKING:
    from distribute.log_explanation import LogFindings
    from train.machine_checks.row import Row
    from train.output import Output

FLAGS = flags.FLAGS

_LONGEST_PART = 1 << 16  # characters of a line that are held at once
_UNBROKEN = 1 << 16  # columns


def main(output: "Output") -> int:
    """Prints what was asked for, and with ``--output_dir`` writes ``doctor.json``; returns 0 whatever was found.

    Raises:
      InputError: something cannot be read or written.
      MachineError: a package is missing.
    """
    from train.run_folder import open_run_folder

    open_library()
    columns = columns_of(output.results, _UNBROKEN)  # in a pipe no line is broken, so that its words can be found
    colours = wants_colours(output.results)
    try:
        is_log = FLAGS.log is not None or FLAGS.explain is not None
        text, record = (explained if is_log else examined)(columns, colours=colours)
    except ImportError as error:  # of psutil or nvidia-ml-py: TensorFlow is imported elsewhere
        raise MachineError(f"{error}; pip install -c constraints.txt -r requirements.txt") from error
    output.show(text)
    if FLAGS.output_dir:
        path = output.save(open_run_folder(FLAGS.output_dir, resume=False), "doctor.json", record)
        output.console.print(f"report: {path}")
    else:
        output.write_record(record)
    return 0


def open_library() -> None:
    """Makes the modules of `distribute` that need no TensorFlow importable where TensorFlow cannot be imported.

    ``import distribute`` itself loads TensorFlow, for seconds, or fails with it. An empty package in its place, with
    the same folder, lets single modules be imported.
    """
    if "distribute" in sys.modules:
        return
    spec = importlib.util.find_spec("distribute")
    package = types.ModuleType("distribute")
    package.__path__ = list(spec.submodule_search_locations or []) if spec else []
    sys.modules["distribute"] = package


def explained(columns: int, *, colours: bool) -> tuple[str, dict[str, Any]]:
    """The log or message that the flags name, explained: as text, and for ``doctor.json``."""
    from distribute.log_explanation import read_log
    from train.machine_checks.text import findings_text

    findings = read_log(FLAGS.explain.split("\n")) if FLAGS.explain is not None else _read(FLAGS.log)
    return findings_text(findings, columns, colours=colours), dataclasses.asdict(findings)


def _read(name: str) -> "LogFindings":
    from distribute.log_explanation import read_log

    if name == "-":
        return read_log(lines_of(sys.stdin.buffer))
    try:
        with Path(name).open("rb") as file:
            return read_log(lines_of(file))
    except OSError as error:
        raise InputError(f"--log={name} cannot be read ({error.strerror}): name a file, or - for a pipe") from error


def lines_of(file: BinaryIO) -> Iterator[str]:
    """The lines of a log, whatever its bytes are: nothing is refused, and no line is held as a whole if it is huge."""
    buffered = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
    start = buffered.peek(3)[:3] if isinstance(buffered, io.BufferedReader) else b""
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"  # PowerShell writes UTF-16
    text = io.TextIOWrapper(buffered, encoding=encoding, errors="replace", newline="\n")
    is_rest = False
    while part := text.readline(_LONGEST_PART):
        if not is_rest:  # a message stands at the beginning of its line
            yield part.rstrip("\n")
        is_rest = not part.endswith("\n")


def examined(columns: int, *, colours: bool) -> tuple[str, dict[str, Any]]:
    """This machine: as text, and for ``doctor.json``."""
    from train.machine_checks.text import rows_text

    rows = examine(os.environ)
    return rows_text(rows, columns, colours=colours), {
        "rows": [
            {"name": row.name, "status": row.status.value, "found": row.found, "remedy": row.remedy} for row in rows
        ]
    }


def examine(environment: Mapping[str, str]) -> "list[Row]":
    """Every row, versions first: most failures of distributed training are mended there (arXiv 2512.20345)."""
    from train.machine_checks.cuda import cuda_rows, read_libraries
    from train.machine_checks.gpus import gpu_rows
    from train.machine_checks.host import host_rows
    from train.machine_checks.links import links_row
    from train.machine_checks.nvidia import read_nvidia
    from train.machine_checks.probe import probe_tensorflow
    from train.machine_checks.software import software_rows
    from train.machine_checks.variables import variable_rows

    probe = probe_tensorflow()
    nvidia = read_nvidia()
    num_gpus = probe.num_gpus if probe.tensorflow else None
    return [
        *software_rows(probe),
        *cuda_rows(read_libraries(), probe.build, has_driver=nvidia.has_driver),
        *gpu_rows(nvidia, probe.build, num_gpus),
        links_row(num_gpus),
        *host_rows(),
        *variable_rows(environment, len(nvidia.gpus)),
    ]


if __name__ == "__main__":
    train_flags.define_doctor_flags()
    train_flags.define_doctor_output_flags()
    script.run(main, needs_tensorflow=False)
