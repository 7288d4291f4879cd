"""Runs `train/main.py` with a clock on its phases: ``python -m benchmarks.phase_child FILE [flags of main.py]``.

Clocks are put around functions of `train`, by name, before the script runs; FILE gets the seconds of each phase. Time
spent in a phase within another one counts for the inner one alone.
"""

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.phase_names import CHECKING_LOOP, TRACING, VERIFYING

# Where a phase's function is looked up when the script calls it, and what the phase is called.
_CLOCKED = (
    ("train.device_flags", "make_devices", "finding and splitting devices"),
    ("train.recipe_data", "load_source", "reading the data"),
    ("train.transport", "require_sound_transport", "trying the links"),
    ("train.stages", "verify_recipe", VERIFYING),
    ("train.stages", "make_trainee", "building what is trained"),
    ("train.stages", "check_step", CHECKING_LOOP),
    ("train.stages", "run_training", "training"),
    ("train.stages", "evaluate_on_test_split", "evaluating"),
)


class Clock:
    """Seconds by phase, of which the innermost one runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Counts what happens meanwhile for `name`."""
        self._book()
        self._running.append(name)
        try:
            yield
        finally:
            self._book()
            self._running.pop()

    def around(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, with its time counted for `name`."""

        @functools.wraps(function)
        def clocked(*arguments: Any, **keywords: Any) -> Any:
            with self.phase(name):
                return function(*arguments, **keywords)

        return clocked

    def _book(self) -> None:
        now = time.perf_counter()
        name = self._running[-1] if self._running else "all else"
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


def put_clocks(clock: Clock) -> None:
    """Puts clocks around what `_CLOCKED` names, the first call of the training step, and saving."""
    with clock.phase("importing Keras and this project"):
        modules = [importlib.import_module(module) for module, _, _ in _CLOCKED]
        from train.checkpoint import Checkpoints
        from train.loop import TrainFunction
    for module, (_, name, phase) in zip(modules, _CLOCKED, strict=True):
        setattr(module, name, clock.around(getattr(module, name), phase))
    Checkpoints.save = clock.around(Checkpoints.save, "saving checkpoints")
    steps = TrainFunction.steps

    def steps_with_clock(self: Any, *arguments: Any) -> Any:
        if self.num_traces:
            return steps(self, *arguments)
        with clock.phase(TRACING):
            means = steps(self, *arguments)
            means["loss"].numpy()
            return means

    TrainFunction.steps = steps_with_clock


def main(file: Path) -> None:
    """Runs the script; leaves the process as it does."""
    clock = Clock()
    from train import main as training
    from train import script

    set_up = clock.around(script.set_up, "importing TensorFlow")

    def set_up_with_clocks() -> None:
        set_up()
        put_clocks(clock)

    def run(output: Any) -> int:
        try:
            return training.main(output)
        finally:
            with clock.phase("all else"):
                pass
            ended = time.perf_counter()  # the same clock in all processes of a machine
            file.write_text(json.dumps({"seconds": clock.seconds, "ended": ended}))

    script.set_up = set_up_with_clocks
    training.define_flags()
    script.run(run)


if __name__ == "__main__":
    result_file = Path(sys.argv.pop(1))
    sys.argv[0] = "train/main.py"
    main(result_file)
