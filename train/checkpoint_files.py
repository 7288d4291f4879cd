"""Which checkpoints a folder holds; apart from `train.checkpoint`, so that it can be asked before TensorFlow loads."""

import re
from pathlib import Path

from train.durable import remove

KEPT = 3
"""So many checkpoints are kept, the newest ones: one that a crash damaged is then not the only one."""

_INDEX = re.compile(r"ckpt-(\d+)\.index")
_WHOLE = re.compile(r"ckpt-(\d+)\.(?:index|data-\d{5}-of-\d{5})")
# A save writes to ckpt-<step>_temp/ and to names with "tempstate", and the state file to checkpoint.tmp<number>.
_OURS = re.compile(r"ckpt-\d+(_temp|\..+)|checkpoint\.tmp.+")


def saved_steps(folder: Path) -> list[int]:
    """The steps of all checkpoints in a folder.

    Read from the file names, since `tf.train.latest_checkpoint` answers None when the small state file is lost, and a
    run would silently begin anew.
    """
    return [int(match[1]) for path in folder.glob("ckpt-*.index") if (match := _INDEX.fullmatch(path.name))]


def remove_unreadable_state(folder: Path) -> None:
    """Removes the file in which `tf.train.CheckpointManager` keeps account, where it is no text: it raises on that."""
    state = folder / "checkpoint"
    try:
        state.read_text()
    except UnicodeDecodeError:
        state.unlink()
    except FileNotFoundError:
        pass


def remove_all_but_newest(folder: Path, last_step: int, *, keep_later: bool = False) -> None:
    """Leaves the newest checkpoints up to `last_step` and what is no checkpoint's.

    What goes: litter of saves that were killed; older checkpoints, where `tf.train.CheckpointManager` lost the file in
    which it keeps account of them, or was killed before it removed them; and, unless `keep_later`, those of later
    steps, which could not be read, or the run would have begun there.
    """
    steps = sorted(saved_steps(folder))
    kept = [step for step in steps if step <= last_step][-KEPT:]
    kept += [step for step in steps if keep_later and step > last_step]
    for path in folder.iterdir():
        whole = _WHOLE.fullmatch(path.name)
        if _OURS.fullmatch(path.name) and not (whole and int(whole[1]) in kept):
            remove(path)
