"""The other end: a process that `distribute.cluster.run_on_this_machine` started, and its way to the parent."""

import pickle
import threading
from collections.abc import Callable
from typing import Any

from ..memory_check.child_main import Channel


class Worker:
    """Talks to the parent; to be created first of all, since the process ends with its parent from then on.

    What is said is pickled: both ends belong to one program, and nobody else can write to the pipe between them.
    """

    def __init__(self, channel: Channel, on_stop: Callable[[int], None]):
        """`on_stop` is called, in a thread, with the number of the signal that the parent got."""
        self._channel = channel
        channel.watch(lambda payload: on_stop(pickle.loads(payload)))

    def phase(self, name: str) -> None:
        """Says what begins now, for the message where it fails."""
        self._channel.send({"kind": "phase", "phase": name})

    def tell(self, news: Any) -> None:
        """Sends something to the parent on the way."""
        self._channel.send({"kind": "news"}, pickle.dumps(news))

    def finish(self, result: Any) -> None:
        """Sends the result and waits for the end.

        That comes from the parent when all processes have finished: one that left on its own would take away what
        another one may still have to fetch from it.
        """
        self._channel.send({"kind": "done"}, pickle.dumps(result))
        threading.Event().wait()
