"""How many steps TensorFlow makes before Python has a say again.

A call costs Python and TensorFlow some tenths of a millisecond, whatever it computes: a tenth of a short step. Signals,
saves and the progress bar wait for its end, so a call should not take long.
"""

import statistics

_CALL_S = 0.25
_MOST_STEPS = 20
_MEASURED = 3


class CallLength:
    """A fixed number of steps, or after four calls of one step as many as take a quarter of a second, at most 20.

    Attributes:
      steps: how many steps the next call is to make.
      known: False as long as `took` has to be told how long a call took.
    """

    def __init__(self, fixed: int | None):
        self.steps = fixed or 1
        self.known = fixed is not None
        self._seconds: list[float] = []

    def took(self, seconds: float) -> None:
        """Tells how long a call of one step took, until its result was there."""
        self._seconds.append(seconds)
        times = self._seconds[1:]  # the first call traces
        if len(times) == _MEASURED:
            self.known = True
            self.steps = min(max(int(_CALL_S / statistics.median(times)), 1), _MOST_STEPS)
