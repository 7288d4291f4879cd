"""Trains for a long time with many saves, and prints what the process holds: memory and open files must stay flat.

    python -m tests.soak --minutes=30

Slopes are fitted over the second half: TensorFlow's allocator and thread pools grow at first, and then no more. Each
save adds 0.7 KiB as well, 21 MiB in all: TensorFlow looks a checkpoint up by `glob`, and Python's `fnmatch` remembers
32,768 patterns. A save after each few steps would hide what matters, so there is one every 50.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from tests.kill_test import RECIPE
from tests.process import start_script_in_fork
from train.checkpoint_files import saved_steps

# Over half an hour that is 10 MiB, and over a day half a gigabyte.
ALLOWED_MIB_PER_MINUTE = 0.35
NUM_SAMPLES = 60

Sample = tuple[float, float, int]
"""Minutes since the first step, resident memory in MiB, open files."""


def main() -> int:
    """Prints the samples and the slopes; 1 where something grows or the run ended by itself."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        print("minutes  steps  resident MiB  open files")
        samples = list(watch(Path(folder), minutes))
    slope = slope_of(samples)
    files = {count for _, _, count in samples[len(samples) // 2 :]}
    print(f"resident memory {slope:+.3f} MiB a minute (at most {ALLOWED_MIB_PER_MINUTE}); open files {sorted(files)}")
    return 0 if slope <= ALLOWED_MIB_PER_MINUTE and max(files) - min(files) <= 1 and samples else 1


def watch(folder: Path, minutes: float) -> Iterator[Sample]:
    """Trains with many saves, and looks at the process at even intervals."""
    (folder / "recipe.py").write_text(RECIPE)
    flags = [f"--config={folder / 'recipe.py'}", f"--output_dir={folder / 'run'}", "--verify=off", "--virtual_gpus=2"]
    process = start_script_in_fork(
        "train/main.py", *flags, "--epochs=1000000", "--save_every=50", cwd=folder, output=folder / "output"
    )
    checkpoints, looked_at = folder / "run/checkpoints", psutil.Process(process.pid)
    while process.is_alive() and not saved_steps(checkpoints):
        time.sleep(0.1)
    start = time.monotonic()
    for number in range(1, NUM_SAMPLES + 1):
        time.sleep(max(0.0, start + 60 * minutes * number / NUM_SAMPLES - time.monotonic()))
        if not process.is_alive():
            raise SystemExit(f"the run ended by itself: {(folder / 'output').read_text()}")
        now, memory = (time.monotonic() - start) / 60, looked_at.memory_info().rss / 2**20
        print(f"{now:7.2f} {max(saved_steps(checkpoints)):6d} {memory:13.1f} {looked_at.num_fds():11d}", flush=True)
        yield now, memory, looked_at.num_fds()
    process.terminate()
    process.join()


def slope_of(samples: list[Sample]) -> float:
    """MiB a minute, by least squares over the second half."""
    minutes, memory, _ = zip(*samples[len(samples) // 2 :], strict=True)
    return float(np.polyfit(minutes, memory, 1)[0])


if __name__ == "__main__":
    sys.exit(main())
