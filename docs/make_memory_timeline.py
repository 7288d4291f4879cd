"""Writes docs/memory_timeline.svg: the conv net trained on two logical CPUs under `track_memory`.

python -m docs.make_memory_timeline    # half a minute
"""

import os
from pathlib import Path

os.environ["TF_CPU_ALLOCATOR_USE_BFC"] = "true"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from distribute import make_strategy, split_device, track_memory
from models import build_conv_net

PICTURE = Path(__file__).resolve().parent / "memory_timeline.svg"


def main() -> None:
    """Trains a while, prints the peaks and who held them, and writes the picture."""
    devices = split_device(2, memory_limit_mib=80)
    random = np.random.default_rng(0)
    rows = random.random([256, 28, 28, 1], "float32"), random.integers(0, 10, 256)
    with track_memory(devices) as memory:
        with memory.phase("build"), make_strategy(devices).scope():
            model = build_conv_net()
            model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        with memory.phase("first epoch"):
            model.fit(*rows, batch_size=64, verbose=0)
        with memory.phase("training"):
            model.fit(*rows, batch_size=64, verbose=0, epochs=20)
        with memory.phase("op by op", holders_of=model):
            model.fit(*rows, batch_size=64, verbose=0)
    print(memory)
    memory.save_timeline(PICTURE, "conv net, batch 64 on two logical CPUs, which share one allocator")


if __name__ == "__main__":
    main()
