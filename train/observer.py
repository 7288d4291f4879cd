"""Who looks at training from outside: told after each call of TensorFlow, and asked when to be told at the latest."""

from typing import Protocol

from train.loop import Means


class Observer(Protocol):
    """Sees the steps and changes nothing about them."""

    def next_stop(self, step: int) -> int | None:
        """The first step after `step` with which a call has to end; None where it does not matter."""

    def after_call(self, step: int, means: Means) -> None:
        """Told that the steps up to `step` are done, with the means of each since the last call [steps]."""

    def close(self) -> None:
        """Told that training is over, however it ended."""
