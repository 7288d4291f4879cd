"""Standard output of a script, which may be a pipe whose reader has gone."""

from rich.console import Console

from train.stop_signals import stop_without_output


class Terminal(Console):
    """A console that stops the run cleanly when its output is closed, where rich would leave on the spot."""

    def on_broken_pipe(self) -> None:
        """Called by rich for a `BrokenPipeError`."""
        self.quiet = True
        stop_without_output()
