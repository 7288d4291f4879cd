"""Shows how training goes: a bar on a terminal, a line now and then in a log. Measures the steady speed."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from train.epoch_means import EpochMeans
from train.loop import Means
from train.step_history import StepHistory

_REFRESH_SECONDS = 0.25
_LOG_SECONDS = 5.0


class TrainingProgress:
    """Collects the means of each step, reads them from the devices only when they are shown.

    Attributes:
      seconds: time spent in steps, without the first call (which traces) and without pauses.
      examples: examples trained on in that time.
      epoch: means over the epoch, up to the last step that was read.
      losses, accuracies: those of each step, up to the last that was read.
    """

    def __init__(
        self,
        console: Console,
        *,
        num_examples: int,
        global_batch_size: int,
        first_step: int,
        num_steps: int,
        epoch: EpochMeans,
    ):
        self.seconds = 0.0
        self.examples = 0
        self.epoch = epoch
        self.losses, self.accuracies = StepHistory(), StepHistory()
        self._console = console
        self._num_examples = num_examples
        self._batch_size = global_batch_size
        self._steps_per_epoch = -(-num_examples // global_batch_size)
        self._num_steps = num_steps
        self._first_step = self._last_step = first_step
        self._unread: list[tuple[range, Means]] = []
        self._running_since: float | None = None
        self._shown_at = time.monotonic()
        self._bar = self._make_bar() if console.is_terminal else None

    def __enter__(self) -> "TrainingProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def last_step(self) -> int:
        """How many steps are done."""
        return self._last_step

    @property
    def examples_per_second(self) -> float | None:
        """Steady speed; None until two steps are done."""
        return self.examples / self.seconds if self.seconds else None

    def add(self, step: int, means: Means) -> None:
        """Takes note of the steps up to `step` that are done since the last call, and of the means of each."""
        steps = range(self._last_step + 1, step + 1)
        self._last_step = step
        self._unread.append((steps, means))
        self._count_time(sum(map(self._size, steps)))
        end_of_epoch = step // self._steps_per_epoch > (steps[0] - 1) // self._steps_per_epoch
        refresh = _REFRESH_SECONDS if self._bar else _LOG_SECONDS
        due = time.monotonic() - self._shown_at > refresh or step == self._num_steps
        if end_of_epoch or due:
            self.read()
        if due:
            self._show(step)

    def read(self) -> None:
        """Waits for the devices, and brings `epoch` up to the last step."""
        for steps, means in self._unread:
            losses = means["loss"].numpy()
            accuracies = means["accuracy"].numpy() if "accuracy" in means else [None] * len(losses)
            for step, loss, accuracy in zip(steps, losses, accuracies, strict=True):
                self._read_step(step, float(loss), None if accuracy is None else float(accuracy))
        self._unread.clear()

    def _read_step(self, step: int, loss: float, accuracy: float | None) -> None:
        if (step - 1) % self._steps_per_epoch == 0:
            self.epoch = replace(self.epoch, examples=0)
        self.losses.add(step, loss)
        if accuracy is not None:
            self.accuracies.add(step, accuracy)
        self.epoch = self.epoch.plus(self._size(step), loss, accuracy)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock, for saving. What the devices still have to do of the steps before is counted."""
        self.read()
        self._count_time(0)
        try:
            yield
        finally:
            self._running_since = time.monotonic()

    def _size(self, step: int) -> int:
        done = (step - 1) % self._steps_per_epoch * self._batch_size
        return min(self._batch_size, self._num_examples - done)

    def _count_time(self, size: int) -> None:
        now = time.monotonic()
        if self._running_since is not None:
            self.seconds += now - self._running_since
            self.examples += size
        self._running_since = now

    def _show(self, step: int) -> None:
        self._shown_at = time.monotonic()
        epoch = -(-step // self._steps_per_epoch)
        text = f"epoch {epoch}  loss {self.epoch.loss:.4f}"
        if self.epoch.accuracy is not None:
            text += f"  accuracy {self.epoch.accuracy:.4f}"
        if self.examples_per_second:
            text += f"  {self.examples_per_second:,.0f} examples/s"
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=step, description=text, refresh=True)
        else:
            self._console.print(f"step {step}/{self._num_steps}  {text}")

    def _make_bar(self) -> Progress:
        columns = (
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=self._console, auto_refresh=False)
        bar.add_task("", total=self._num_steps, completed=self._first_step)
        return bar
