"""What ``--help`` prints: what a script does, with examples, then its flags by topic, a line for each.

Of a flag's help the first sentence is shown, the rest of it by ``--helpfull``. What stands in `backquotes` in it is
the name of the flag's value, as in Go's package flag.
"""

import functools
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from absl import flags

FLAGS = flags.FLAGS

EXIT_CODES = {
    "0": "everything asked for passed",
    "1": "bad flag or input",
    "2": "a check failed, results differ, or training met NaN",
    "3": "the machine cannot do it: memory, disk, GPU, data",
    "128+n": "stopped by signal n, state saved",
}

_GROUPS: dict[str, list[str]] = {}
_FLAG_COLUMNS = 27
_VALUE_OF_TYPE = {"int": "N", "float": "X", "string": "TEXT", "comma separated list of strings": "A,B"}
_SHOWN_DEFAULT = 25  # characters; a longer one is for --helpfull


def in_group(title: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """For a function that defines flags: ``--help`` lists these under `title`."""

    def decorate(define: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(define)
        def define_in_group(*arguments: Any, **options: Any) -> None:
            before = set(FLAGS)
            define(*arguments, **options)
            listed = before.union(*_GROUPS.values())  # by a function within this one
            _GROUPS.setdefault(title, []).extend(name for name in FLAGS if name not in listed)

        return define_in_group

    return decorate


def help_text(description: str, columns: int) -> str:
    """The whole of ``--help``.

    Args:
      description: what the script says of itself, examples among it.
      columns: of the terminal; no text is broken in the middle of a word.
    """
    lines = [description.strip()]
    for title, names in _GROUPS.items():
        lines += ["", f"{title}:", *(line for name in names for line in _flag_lines(FLAGS[name], columns))]
    lines += ["", "exit codes:"]
    for code, meaning in EXIT_CODES.items():
        lines += _row(code, meaning, columns)
    return "\n".join([*lines, "", "--helpfull tells more of each flag, and lists those of the libraries."]) + "\n"


def _flag_lines(flag: flags.Flag, columns: int) -> Iterator[str]:
    text, value = _sentence_and_value(flag)
    name = f"--{flag.name}" if value is None else f"--{flag.name}={value}"
    if value is None and flag.default:
        name = f"--[no]{flag.name}"
    elif value is not None and 0 < len(default := _default(flag)) <= _SHOWN_DEFAULT:
        text += f" ({default})"
    yield from _row(name, text, columns)


def _sentence_and_value(flag: flags.Flag) -> tuple[str, str | None]:
    """The first sentence of a flag's help, and the name of the flag's value; None for a flag that is set or not."""
    text = " ".join((flag.help or "").split())
    if isinstance(flag, flags.EnumFlag):
        text = text.removeprefix(f"<{'|'.join(flag.parser.enum_values)}>: ")  # absl's own
    named = re.search(r"`(.+?)`", text)
    text = re.sub(r"^`.+?`: ", "", text)  # it is on the left already
    sentence = re.split(r"\.(?:\s|$)", text.replace("`", ""), maxsplit=1)[0]
    if flag.boolean:
        return sentence, None
    if isinstance(flag, flags.EnumFlag):
        return sentence, "|".join(flag.parser.enum_values)
    return sentence, named[1] if named else _VALUE_OF_TYPE[flag.flag_type()]


def _default(flag: flags.Flag) -> str:
    if isinstance(flag.default, list):
        return ",".join(flag.default)
    return "" if flag.default is None else f"{flag.default:g}" if flag.flag_type() == "float" else str(flag.default)


def _row(name: str, text: str, columns: int) -> Iterator[str]:
    lines = textwrap.wrap(text, max(columns - _FLAG_COLUMNS, 20), break_long_words=False, break_on_hyphens=False)
    if len(name) + 4 > _FLAG_COLUMNS:
        yield f"  {name}"
        name = ""
    else:
        yield f"  {name:{_FLAG_COLUMNS - 2}}{lines.pop(0)}"
    yield from (" " * _FLAG_COLUMNS + line for line in lines)
