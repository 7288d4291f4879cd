"""Looks at this machine for what commonly goes wrong, or explains a TensorFlow log.

python train/doctor.py
python train/doctor.py --log=train.log     # or --log=-, or --explain="one message"
"""

import dataclasses
import importlib.util
import io
import json
import os
import shutil
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from absl import app, flags

from train import flags as train_flags
from train.errors import InputError, MachineError, ScriptError, tell

if TYPE_CHECKING:
    from distribute.log_explanation import LogFindings
    from train.machine_checks.row import Row

FLAGS = flags.FLAGS

_LONGEST_PART = 1 << 16  # characters of a line that are held at once
_UNBROKEN = 1 << 16  # columns
_OUTPUT_CLOSED = 141  # 128 + SIGPIPE, as the other scripts have it


def main(argv: Sequence[str]) -> int:
    """Prints what was asked for; returns the exit code: 0 whatever was found, 1 for input that cannot be read."""
    try:
        if len(argv) > 1:
            raise InputError(f"unexpected argument {argv[1]!r}: flags are written --name=value (see --help)")
        open_library()
        text, record = explained() if FLAGS.log is not None or FLAGS.explain is not None else examined()
        if FLAGS.output_dir:
            text += f"report: {write_record(FLAGS.output_dir, record)}\n"
    except ScriptError as error:
        tell(f"doctor.py: {error}")
        return error.exit_code
    except ImportError as error:  # of psutil or nvidia-ml-py: TensorFlow is imported elsewhere
        tell(f"doctor.py: {error}; pip install -c constraints.txt -r requirements.txt")
        return MachineError.exit_code
    return _print(text)


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


def explained() -> tuple[str, dict[str, Any]]:
    """The log or message that the flags name, explained: as text, and for ``doctor.json``."""
    from distribute.log_explanation import read_log
    from train.machine_checks.text import findings_text

    findings = read_log(FLAGS.explain.split("\n")) if FLAGS.explain is not None else _read(FLAGS.log)
    return findings_text(findings, _width(), colours=_colours()), dataclasses.asdict(findings)


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


def examined() -> tuple[str, dict[str, Any]]:
    """This machine: as text, and for ``doctor.json``."""
    from train.machine_checks.text import rows_text

    rows = examine(os.environ)
    return rows_text(rows, _width(), colours=_colours()), {
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


def write_record(output_dir: str, record: Mapping[str, Any]) -> Path:
    """Writes ``doctor.json`` and says where.

    Raises:
      InputError: the folder cannot be written.
    """
    path = Path(output_dir, "doctor.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema_version": 1, **record}, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise InputError(
            f"--output_dir={output_dir} cannot be written ({error.strerror}): name another folder"
        ) from error
    return path


def _width() -> int:
    """Columns of the terminal; in a pipe no line is broken, so that its words can be searched for."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNBROKEN


def _colours() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _print(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # | head -1: Python would complain of it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _OUTPUT_CLOSED
    return 0


if __name__ == "__main__":
    train_flags.define_doctor_flags()
    flags.adopt_module_key_flags(train_flags)
    app.run(lambda argv: sys.exit(main(argv)))
