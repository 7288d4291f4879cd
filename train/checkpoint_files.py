"""Which checkpoints a folder holds; apart from `train.checkpoint`, so that it can be asked before TensorFlow loads."""

import re
from pathlib import Path

_INDEX = re.compile(r"ckpt-(\d+)\.index")


def saved_steps(folder: Path) -> list[int]:
    """The steps of all checkpoints in a folder.

    Read from the file names, since `tf.train.latest_checkpoint` answers None when the small state file is lost, and a
    run would silently begin anew.
    """
    return [int(match[1]) for path in folder.glob("ckpt-*.index") if (match := _INDEX.fullmatch(path.name))]
