"""What a contestant has learned: its loss over the batches of the last epoch, one after the other."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def loss_over_last_epoch(workload: Mapping[str, Any], mean_loss: Callable[[Any, Any], float]) -> float:
    """The mean loss of the weights as they are now over as many batches as an epoch has.

    The loss of one batch hangs on a few images, which rounding, grown in training, decides.

    Args:
      workload: what ``dump_workload.py`` wrote.
      mean_loss: of images [rows, height, width, channels] and their labels [rows].
    """
    sizes, images, labels = workload["sizes"], workload["images"], workload["labels"]
    per_epoch = -(-int(workload["num_examples"]) // int(sizes.max()))
    ends = np.cumsum(sizes)
    batches = [slice(end - size, end) for end, size in zip(ends[-per_epoch:], sizes[-per_epoch:], strict=True)]
    losses = [mean_loss(images[rows], labels[rows]) for rows in batches]
    return float(np.average(losses, weights=sizes[-per_epoch:]))
