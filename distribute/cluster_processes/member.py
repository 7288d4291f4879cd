"""The processes of a cluster by their addresses, and what TensorFlow has to be told of them."""

import contextlib
import json
import socket
from dataclasses import dataclass

from .address import split_address
from .config_error import ClusterConfigError

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Member:
    """One process of a cluster.

    Attributes:
      addresses: ``host:port`` of all processes, the same list in each of them; the first one leads.
      index: which of them this one is.
      has_chief: TensorFlow is told that the first one is of the task type ``chief`` and the others are workers, not
        that all are workers. Either way the first one leads and the others follow in the order of the list
        (``multi_worker_util.collective_leader`` and ``id_in_cluster`` of TensorFlow 2.21).

    Raises:
      ClusterConfigError: TensorFlow would hang, or silently train alone, with these.
    """

    addresses: tuple[str, ...]
    index: int
    has_chief: bool = False

    def __post_init__(self) -> None:
        for address in self.addresses:
            split_address(address)
        repeated = sorted({address for address in self.addresses if self.addresses.count(address) > 1})
        if repeated:
            raise ClusterConfigError(
                f"addresses are repeated: {', '.join(repeated)}", "each process of a cluster needs one of its own"
            )
        if not 0 <= self.index < len(self.addresses):
            raise ClusterConfigError(
                f"process {self.index} of a cluster of {len(self.addresses)} addresses: there is none such",
                "they are numbered from 0",
            )

    @property
    def is_chief(self) -> bool:
        """True for the process whose files and output count."""
        return self.index == 0

    @property
    def address(self) -> str:
        """Its own ``host:port``."""
        return self.addresses[self.index]

    @property
    def num_on_its_host(self) -> int:
        """How many processes have the host of this one's address, itself included."""
        host, _ = split_address(self.address)
        return sum(split_address(address)[0] == host for address in self.addresses)

    @property
    def task(self) -> tuple[str, int]:
        """Its task type, ``chief`` or ``worker``, and its index among those of that type."""
        if not self.has_chief:
            return "worker", self.index
        return ("chief", 0) if self.index == 0 else ("worker", self.index - 1)

    def tf_config(self) -> str:
        """The value of the environment variable ``TF_CONFIG`` of this process."""
        chiefs, workers = self.addresses[: self.has_chief], self.addresses[self.has_chief :]
        cluster = {task_type: list(tasks) for task_type, tasks in (("chief", chiefs), ("worker", workers)) if tasks}
        task_type, index = self.task
        return json.dumps({"cluster": cluster, "task": {"type": task_type, "index": index}})


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
