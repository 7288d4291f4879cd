"""Kills a training run again and again, and proves that its result is that of a run that nobody killed.

    python -m tests.kill_test --kills=100

Each kill is SIGKILL at a random moment: of the whole life of the process, or (every second time) when a save has begun.
After each the run goes on with ``--resume``. Checked are: every restart goes on; no more than --save_every steps are
lost; the last checkpoint holds, byte for byte, what an uninterrupted run's holds; no litter of killed saves stays.
Processes are forked from one that has imported TensorFlow: an import takes longer than the training.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import tensorflow as tf

from tests.process import start_script_in_fork
from train.checkpoint_files import saved_steps

# Small, and with everything that a checkpoint must hold: dropout, moving statistics of each replica, optimizer slots.
# Each replica adds a byte to a file when it begins a step, so that one can tell how far a killed run had come.
RECIPE = """
import keras
import tensorflow as tf
from configs.recipe import Recipe

def note(inputs):
    with open(__file__ + ".begun", "ab") as file:
        file.write(b".")
    return inputs

class NotesEachStep(keras.layers.Layer):
    def call(self, inputs, training=None):
        if not training:
            return inputs
        noted = tf.numpy_function(note, [inputs], inputs.dtype)
        return tf.ensure_shape(noted, inputs.shape)

def build(shape, classes):
    return keras.Sequential([
        keras.Input(shape),
        NotesEachStep(),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(classes),
    ])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam)
"""


NUM_REPLICAS = 2


@dataclass
class Result:
    """What came of the kills; each failure is a sentence."""

    kills: int = 0
    in_saves: int = 0
    starts: int = 0
    damaged: int = 0
    most_steps_lost: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Training:
    """The run under test: how it is started, and what of it is on the disk."""

    folder: Path
    num_steps: int
    save_every: int

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def last_step(self) -> int:
        """Of the checkpoints that are there."""
        return max(saved_steps(self.checkpoints), default=0)

    def last_readable_step(self) -> int:
        """Of those whose index was written to its end."""
        return max((step for step in saved_steps(self.checkpoints) if is_readable(self.prefix(step))), default=0)

    def prefix(self, step: int) -> str:
        return str(self.checkpoints / f"ckpt-{step}")

    def start(self) -> BaseProcess:
        """Goes on where there is a checkpoint, and else begins."""
        self._begun.unlink(missing_ok=True)
        self._output.unlink(missing_ok=True)
        flags = [f"--output_dir={self.folder}", f"--steps={self.num_steps}", f"--save_every={self.save_every}"]
        flags += ["--resume"] if self.last_step() else []
        flags += [f"--config={self.folder.parent / 'recipe.py'}", "--verify=off", "--deterministic"]
        flags += [f"--virtual_gpus={NUM_REPLICAS}"]
        return start_script_in_fork("train/main.py", *flags, cwd=self.folder.parent, output=self._output)

    def output(self) -> str:
        """What the process started last has printed."""
        return self._output.read_text() if self._output.exists() else ""

    def steps_begun(self) -> int:
        """Steps that the process started last has begun, the one under way included."""
        return -(-self._begun.stat().st_size // NUM_REPLICAS) if self._begun.exists() else 0

    def unfinished(self) -> set[tuple[str, int]]:
        """Names and times of what saves have left that did not come to their end."""
        if not self.checkpoints.is_dir():
            return set()
        whole = {f"ckpt-{step}" for step in saved_steps(self.checkpoints)}
        found = [path for path in self.checkpoints.glob("ckpt-*") if path.name.split(".")[0] not in whole]
        return {(path.name, path.stat().st_mtime_ns) for path in [*found, *self.checkpoints.glob("*.tmp*")]}

    @property
    def _begun(self) -> Path:
        return self.folder.parent / "recipe.py.begun"

    @property
    def _output(self) -> Path:
        return self.folder.parent / "output"

    def values(self) -> dict[str, bytes]:
        """What the last checkpoint holds, but for the count of saves, by name."""
        reader = tf.train.load_checkpoint(self.prefix(self.num_steps))
        types = reader.get_variable_to_dtype_map()
        names = [name for name in types if types[name] != tf.string and "save_counter" not in name]
        return {name: reader.get_tensor(name).tobytes() for name in names}


def main() -> int:
    """Prints what came of it; 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--save_every", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder), arguments.kills, arguments.save_every, arguments.seed)
    print(
        f"{result.kills} kills ({result.in_saves} of them cut a save off), {result.starts} starts, at most "
        f"{result.most_steps_lost} steps lost, {result.damaged} damaged checkpoints passed over, "
        f"{len(result.failures)} failures, {time.monotonic() - start:.0f} s"
    )
    for failure in result.failures:
        print(f"FAILED: {failure}")
    return 1 if result.failures or result.kills < arguments.kills else 0


def run(folder: Path, num_kills: int, save_every: int = 3, seed: int = 0) -> Result:
    """Trains once undisturbed, then under kills until there were so many, in as many runs as that takes."""
    (folder / "recipe.py").write_text(RECIPE)
    chosen, result, number = random.Random(seed), Result(), 0
    num_steps = 60 * save_every
    whole = Training(folder / "whole", num_steps, save_every)
    start = time.monotonic()
    finish(whole, result)
    usual_life = time.monotonic() - start
    while result.kills < num_kills and not result.failures:
        number += 1
        killed = Training(folder / f"killed{number}", num_steps, save_every)
        # Most runs would be over after a few kills: the last one decides when the run may end.
        for _ in range(min(12, num_kills - result.kills)):
            if killed.last_step() == num_steps or result.failures:
                break
            kill_once(killed, result, chosen, usual_life)
        finish(killed, result)
        if not result.failures and killed.values() != whole.values():
            result.failures.append(f"run {number}: its last checkpoint differs from that of an uninterrupted run")
    return result


def kill_once(training: Training, result: Result, chosen: random.Random, usual_life: float) -> None:
    """Starts the run, or goes on with it, and kills it; a run that ends before that is not counted."""
    before, litter = training.last_readable_step(), training.unfinished()
    process = training.start()
    result.starts += 1
    if chosen.random() < 0.5:
        time.sleep(chosen.uniform(0, usual_life))
    else:
        wait_for_save(training, process, chosen)
    process.kill()
    process.join()
    result.damaged += training.output().count("is damaged")
    if process.exitcode == -signal.SIGKILL:
        result.kills += 1
        result.in_saves += bool(training.unfinished() - litter)
        count_steps_lost(training, result, before)
    elif process.exitcode != 0:
        result.failures.append(f"a start from step {before} ended with {process.exitcode}: {training.output()}")


def wait_for_save(training: Training, process: BaseProcess, chosen: random.Random) -> None:
    """Waits until a save has begun, some saves after the start of the process, or until that has ended."""
    saves_left, last = chosen.randint(1, 20), training.last_step()
    while process.is_alive():
        if training.last_step() != last:
            saves_left, last = saves_left - 1, training.last_step()
        if saves_left <= 0 and any(training.checkpoints.glob("ckpt-*_temp")):
            time.sleep(chosen.uniform(0, 0.003))
            return
        time.sleep(0.0005)


def count_steps_lost(training: Training, result: Result, before: int) -> None:
    """No checkpoint that was there is gone, and no more steps than those since the last save that was due."""
    left, reached = training.last_readable_step(), before + training.steps_begun()
    result.most_steps_lost = max(result.most_steps_lost, reached - left)
    if left < before or reached - left > training.save_every:
        result.failures.append(f"killed in step {reached}, after a start from {before}: the last checkpoint is {left}")


def is_readable(prefix: str) -> bool:
    try:
        tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, IndexError):
        return False
    return True


def finish(training: Training, result: Result) -> None:
    """Goes on to the end and checks where it went on from, and that nothing is left of the kills."""
    process = training.start()
    result.starts += 1
    process.join()
    report = json.loads((training.folder / "report.json").read_text()) if process.exitcode == 0 else {}
    if report.get("training", {}).get("steps") != training.num_steps:
        result.failures.append(f"the run did not end well ({process.exitcode}): {training.output()}")
        return
    result.damaged += training.output().count("is damaged")
    litter = training.unfinished()
    if litter or len(saved_steps(training.checkpoints)) != 3:
        result.failures.append(f"left over: {litter}, checkpoints of {sorted(saved_steps(training.checkpoints))}")


if __name__ == "__main__":
    sys.exit(main())
