"""Processes on this machine that work as one cluster: started together, watched, and ended together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .cluster_processes.failure import WorkerFailedError, is_port_taken
from .cluster_processes.member import Member, loopback_members
from .cluster_processes.workers import Workers

__all__ = ["Member", "WorkerFailedError", "run_on_this_machine"]

_ATTEMPTS = 3


def run_on_this_machine(
    entry: str,
    arguments: Mapping[str, Any],
    environments: Sequence[Mapping[str, str]],
    *,
    on_news: Callable[[int, Any], None] = lambda index, news: None,
    stop: Callable[[], int] = lambda: 0,
    show_all: bool = False,
) -> list[Any]:
    """Runs ``entry(channel, index=…, **arguments)`` in a process for each of `environments`, and waits for all.

    Each of several processes finds the whole cluster in its variable ``TF_CONFIG``, on ports of 127.0.0.1 that were
    free. It has this process's ``sys.path`` and working directory, talks to it through a
    `distribute.cluster_processes.worker.Worker`, dies with it, and is ended as soon as another one fails. The first
    one prints where this process does; what the others print is kept for the message of a failure.

    Call it from a thread that lives until it returns.

    Args:
      entry: ``"package.module:function"``.
      arguments: JSON values for every process.
      environments: the variables of each process.
      on_news: gets a process' number and what it told on the way.
      stop: asked several times a second; the first signal number other than 0 is handed to the first process.
      show_all: the others print where this process does, too, and TensorFlow's own log of each is shown.

    Returns:
      What each process finished with.

    Raises:
      WorkerFailedError: one of them failed; none runs any more.
    """
    for attempts_left in reversed(range(_ATTEMPTS)):
        with Workers() as workers:
            for member, environment in zip(loopback_members(len(environments)), environments, strict=True):
                workers.start(
                    entry,
                    arguments={**arguments, "index": member.index},
                    environment={**environment, **_variables(member)},
                    shown=member.is_chief or show_all,
                    log_shown=show_all,
                )
            try:
                return workers.results(on_news=on_news, stop=stop)
            except WorkerFailedError as failure:
                # TensorFlow opens the ports seconds after they were chosen: another program may have been faster.
                if not (attempts_left and is_port_taken(failure.outcome)):
                    raise
    raise AssertionError("the last attempt returns or raises")


def _variables(member: Member) -> dict[str, str]:
    # One process alone is no cluster: it keeps what it finds.
    return {"TF_CONFIG": member.tf_config()} if len(member.addresses) > 1 else {}
