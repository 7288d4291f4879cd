"""What must stay the same when a run is resumed, and of what else a change is told."""

from collections.abc import Iterator
from typing import Any

from train.errors import InputError, tell
from train.fingerprint import Fingerprint
from train.run_folder import RunFolder

# Other examples, another model or optimizer: no step would be the next one of the run that began. Other code or another
# version may mean nothing.
_HELD = ("recipe", "data", "model", "optimizer")
_FLAGS = ("dataset", "global_batch_size", "seed")
# An optimizer or model of another kind differs in everything.
_SHOWN = 4


def require_same_run(folder: RunFolder, fingerprint: Fingerprint) -> None:
    """Refuses to go on with another recipe, data set, model or optimizer than the run began with.

    Only what both fingerprints have is compared: `fingerprint` may be a part of one, and another version of Keras has
    other fields.

    Raises:
      InputError: a field differs.
    """
    noted = folder.read_fingerprint()
    differing = [text for section in _HELD for text in _differences(section, fingerprint, noted)]
    if differing:
        more = [f"and {len(differing) - _SHOWN} more"] if len(differing) > _SHOWN else []
        raise InputError(
            f"--resume: {'; '.join([*differing[:_SHOWN], *more])} in {folder.path}: give what it began with, or name "
            "another --output_dir"
        )


def warn_of_other_code(folder: RunFolder, fingerprint: Fingerprint) -> None:
    """Tells what has changed that may, or may not, change what a step computes."""
    noted = folder.read_fingerprint()
    if not noted:
        tell(f"warning: there is no readable note in {folder.path} on what its run began with: nothing was compared")
    changed = [name for name, *_ in _changes("code", fingerprint, noted)]
    if changed:
        tell(f"warning: code has changed since the run began ({', '.join(changed)}): its steps may compute otherwise")
    for name, now, then in _changes("versions", fingerprint, noted):
        tell(f"warning: {name} is {now} now, and the run began with {then}: results may differ in the last bits")


def _differences(section: str, fingerprint: Fingerprint, noted: Fingerprint) -> Iterator[str]:
    for name, now, then in _changes(section, fingerprint, noted):
        yield f"{_field(section, name)} is {_short(now)} now, and the run began with {_short(then)}"


def _changes(section: str, fingerprint: Fingerprint, noted: Fingerprint) -> Iterator[tuple[str, Any, Any]]:
    now, then = fingerprint.get(section, {}), noted.get(section, {})
    return ((name, now[name], then[name]) for name in now if name in then and now[name] != then[name])


def _field(section: str, name: str) -> str:
    if section == "recipe" and name in _FLAGS:
        return f"--{name}"
    return f"the {section}'s {name}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
