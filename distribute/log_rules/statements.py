"""Where messages begin in a line of a log: behind a time, TensorFlow's own prefix, an exception's name, a status.

A rule is matched at the beginning of a message and nowhere else, so that prose which mentions the same words, or a line
of source code in a traceback, is not taken for the message itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .other_libraries import is_of_another_library

_LONGEST_MESSAGE = 4096  # characters

# Terminal colours, names of graph nodes, control characters.
_NOISE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\{\{(?:function_)?node [^}]*\}\}|[\x00-\x08\x0b-\x1f\x7f\ufeff]")

# What others put in front of a line: times, quotes, ranks, names of processes and containers.
_DECORATION = re.compile(
    r"(?:[\s>|│*#]+"
    r"|\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?:?"
    r"|(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?[\w.-]{1,80} [\w./-]{1,80}\[\d+\]:(?=\s)"  # syslog: host python[1234]:
    r"|\S{1,200}\.(?:log|txt|out|err):\d+:"  # grep -n
    r"|\d{1,4}:(?=\s)"  # srun --label
    r"|\d+/\d+ \[[=>.]+\](?: - [\w ]+: [\d.:e+-]+s?)*"  # a progress bar, which the message follows
    r"|\[[^\]]{1,40}\]:?"
    r"|\(\w+ pid=\d+[^)]*\)"
    r"|\(\d+\)"
    r"|<std(?:out|err)>:?"
    r"|[\w.-]+\s+\|(?=\s)"
    r")\s*"
)

_STATUSES = (
    "Aborted|Already exists|Cancelled|Data loss|Deadline exceeded|Failed precondition|Internal|Invalid argument"
    "|Not found|Out of range|Permission denied|Resource exhausted|Unavailable|Unimplemented|Unknown"
)
_STATUS = f"(?:{_STATUSES}|{_STATUSES.upper().replace(' ', '_')})"
_OF_TENSORFLOW = (
    "Aborted|AlreadyExists|Cancelled|DataLoss|DeadlineExceeded|FailedPrecondition|Internal|InvalidArgument|NotFound"
    "|Op|OutOfRange|PermissionDenied|ResourceExhausted|Unavailable|Unimplemented|Unknown"
)

# What comes before a message within a line. Those that only TensorFlow writes are a group of their own.
_HEADER = re.compile(
    r"(?P<own>"
    r"\.(?:cc|h|cpp|cu|py):\d+\]\s?"  # 2021-03-15 17:16:57.342102: E tensorflow/core/…/cuda_blas.cc:226]
    rf"|\b(?:{_OF_TENSORFLOW})Error(?:\s\(see above for traceback\))?:\s"
    rf"|\b{_STATUS}:\s"
    r"|OP_REQUIRES failed at \S+\s?:\s"
    r"|\[_Derived_\]\s?"
    r"|\b(?:aborting with status|aborted by|Original error|status|failed\. Status):\s"
    r")"
    r"|(?:Error|Exception|Warning|Exit|Interrupt)(?::\s|(?P<quoted>\([^'\"()]{0,40}['\"]))"
    r"|(?<![A-Za-z_])(?:DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b[\])]?\s*[:\-|]?\s*(?:[\w.]+(?:\[\d+\])?\s*[:\-|]\s*)?"
    r"|\"(?:message|msg|log|text|error|exception|exc_info|detail)\"\s*:\s*\""
    r"|\b(?:msg|message|error)=[\"']?"
    r"|\bNCCL WARN\s|\(may be unrelated\)\s*:?\s*'?"
    r"|\\n\s*"  # a line break, as JSON has it
)

# A line of source code that raises the exception is no message of it.
_RAISED_HERE = re.compile(r"\braise [\w.]*$")

_EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt)(?:\s\(see above[^)]*\))?(?=:\s|:?$)"
)


@dataclass(frozen=True)
class Statement:
    """What may be a message, up to the end of its line.

    Attributes:
      text: from its first word on.
      is_own: it follows something that only TensorFlow writes in front of a message.
    """

    text: str
    is_own: bool = False


def clean(line: str) -> str:
    """The line without colours, control characters, names of graph nodes, and what others put in front of it."""
    text = _NOISE.sub("", line)
    position = 0
    while decoration := _DECORATION.match(text, position):
        position = decoration.end()
    return text[position:].rstrip()


def statements(text: str) -> Iterator[Statement]:
    """Every place of a cleaned line where a message may begin; none where the line is another library's exception."""
    if not text or is_of_another_library(text):
        return
    yield Statement(text[:_LONGEST_MESSAGE])
    own = False
    for header in _HEADER.finditer(text):
        if header["quoted"] and _RAISED_HERE.search(text, 0, header.start()):
            continue
        own = own or header["own"] is not None
        message = text[header.end() : header.end() + _LONGEST_MESSAGE].lstrip()
        while decoration := _DECORATION.match(message):
            message = message[decoration.end() :]
        if message:
            yield Statement(message, own)


def is_exception(text: str) -> bool:
    """Whether a cleaned line is the last line of a traceback, or such a line alone."""
    return _EXCEPTION.match(text) is not None
