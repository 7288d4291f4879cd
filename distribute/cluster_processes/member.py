"""The processes of a cluster by their addresses, and what TensorFlow has to be told of them."""

import contextlib
import json
import socket
from dataclasses import dataclass

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Member:
    """One process of a cluster.

    Attributes:
      addresses: ``host:port`` of all processes, the same list in each of them; the first one is the chief.
      index: which of them this one is.

    Raises:
      ValueError: TensorFlow would hang, or silently train alone, with these.
    """

    addresses: tuple[str, ...]
    index: int

    def __post_init__(self) -> None:
        repeated = sorted({address for address in self.addresses if self.addresses.count(address) > 1})
        if repeated:
            raise ValueError(f"each process of a cluster needs an address of its own; repeated: {', '.join(repeated)}")
        if not 0 <= self.index < len(self.addresses):
            raise ValueError(
                f"process {self.index} of a cluster of {len(self.addresses)} addresses: there is none such"
            )

    @property
    def is_chief(self) -> bool:
        """True for the process whose files and output count."""
        return self.index == 0

    def tf_config(self) -> str:
        """The value of the environment variable ``TF_CONFIG`` of this process."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})


def loopback_members(num_processes: int) -> list[Member]:
    """A cluster on this machine, on ports that are free at this moment.

    TensorFlow opens the ports by itself, a few seconds later: another program may be faster.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(num_processes)]
        for one in sockets:  # all are held until all are known, or a port would come twice
            one.bind((_LOOPBACK, 0))
        addresses = tuple(f"{_LOOPBACK}:{one.getsockname()[1]}" for one in sockets)
    return [Member(addresses, index) for index in range(num_processes)]
