"""What TensorFlow and Keras say of themselves, asked in a process that may die of it."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distribute.log_explanation import LogFindings, read_log
from train.machine_checks.child import ask

_CHILD = Path(__file__).with_name("probe_child.py")
_TIMEOUT_S = 120
# What a shell says of a process that a signal ended.
_LAST_WORDS = {int(signal.SIGILL): "Illegal instruction", int(signal.SIGKILL): "Killed"}


@dataclass(frozen=True)
class Probe:
    """What came out of the import.

    Attributes:
      tensorflow: its version; empty where it could not be imported.
      file: where it was imported from.
      keras: its version; empty where it could not be imported.
      keras_error: why not.
      backend: Keras' backend.
      build: `tf.sysconfig.get_build_info`.
      num_gpus: GPUs that TensorFlow sees.
      error: the last line of what the import said, where it failed.
      log: what its log says, explained.
    """

    tensorflow: str = ""
    file: str = ""
    keras: str = ""
    keras_error: str = ""
    backend: str = ""
    build: Mapping[str, Any] = field(default_factory=dict)
    num_gpus: int = 0
    error: str = ""
    log: LogFindings = LogFindings()


def probe_tensorflow() -> Probe:
    """Imports TensorFlow in a child process with this process' environment and looks at what comes out."""
    answer = ask(_CHILD, timeout_s=_TIMEOUT_S)
    if answer.returncode is None:
        return Probe(error=f"the import was not done after {_TIMEOUT_S} s")
    if answer.returncode == 0 and "tensorflow" in answer.said:
        return _probe(answer.said, answer.log)
    said = [*answer.log.split("\n"), _LAST_WORDS.get(-answer.returncode, "")]
    return Probe(error=_reason(answer.returncode, answer.log), log=read_log(said))


def _probe(answer: Mapping[str, Any], log: str) -> Probe:
    return Probe(
        tensorflow=answer["tensorflow"],
        file=answer["file"] or "",
        keras=answer.get("keras", ""),
        keras_error=answer.get("keras_error", ""),
        backend=answer.get("backend", ""),
        build=answer["build"],
        num_gpus=len(answer["gpus"]),
        log=read_log(log.split("\n")),
    )


def _reason(returncode: int, log: str) -> str:
    if returncode < 0:
        return f"the import ended with {signal.Signals(-returncode).name}"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else f"the import ended with exit code {returncode} and said nothing"
