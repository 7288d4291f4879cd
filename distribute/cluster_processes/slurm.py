"""The cluster of a Slurm job step (``srun``), from the variables that Slurm sets in each of its tasks.

Own code for Slurm's two notations, because TensorFlow has none to offer: the public `SlurmClusterResolver` wants
``nvidia-smi`` even on nodes without a GPU and rewrites ``CUDA_VISIBLE_DEVICES``, and the function behind it, besides
being private and behind an import of seconds, refuses a name with two brackets or with letters behind one
(``rack[1-2]node[01-03]``, ``node[1-2]-ib``).
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from .config_error import ClusterConfigError
from .member import Member

# A comma outside of brackets; a bracket or the text before one; 3 or 01-03; 2 or 2(x3).
_COMMA = re.compile(r",(?![^\[]*\])")
_PIECE = re.compile(r"\[([^\[\]]+)\]|([^\[\]]+)")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)
_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?", re.ASCII)

# More than any machine has: 1-9999999999 is a mistake, and would take all memory.
_MOST = 100_000

_Item = TypeVar("_Item", int, str)


def slurm_member(environment: Mapping[str, str], port: int) -> Member | None:
    """This process as Slurm describes it; None outside of ``srun``, and where it started one task only.

    In the script that ``sbatch`` runs, outside of ``srun``, it is None as well: that script runs once, on one node.

    Args:
      environment: as `os.environ`.
      port: of the first task of each node; its further tasks take the following ports.

    Raises:
      ClusterConfigError: Slurm's variables contradict each other, or the tasks do not lie node by node.
    """
    per_node = environment.get("SLURM_STEP_TASKS_PER_NODE")
    if per_node is None or _number(environment, "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS") < 2:
        return None
    nodes = expand_hosts(_text(environment, "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"))
    counts = expand_tasks(per_node)
    num_tasks = _number(environment, "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
    if len(nodes) != len(counts) or sum(counts) != num_tasks:
        raise ClusterConfigError(
            f"Slurm names {len(nodes)} nodes, task counts of {len(counts)} ({per_node}) and {num_tasks} tasks",
            "start the processes with srun, and set none of its SLURM_ variables by hand",
        )
    places = [(node, local) for node, count in zip(nodes, counts, strict=True) for local in range(count)]
    index = _number(environment, "SLURM_PROCID")
    _require_blocks(places, index, _number(environment, "SLURM_LOCALID"))
    return Member(tuple(f"{node}:{port + local}" for node, local in places), index)


def expand_hosts(text: str) -> list[str]:
    """``"node[01-02,07],login"`` as ``["node01", "node02", "node07", "login"]``, in that order.

    A name may have several brackets, of which the last one runs fastest.

    Raises:
      ClusterConfigError: it is no host list.
    """
    return _limited((host for name in _COMMA.split(text) for host in _expand_name(name)), text)


def expand_tasks(text: str) -> list[int]:
    """``"2(x3),1"``, tasks on each node, as ``[2, 2, 2, 1]``.

    Raises:
      ClusterConfigError: it is no such list.
    """
    matches = [_TASKS.fullmatch(part) for part in text.split(",")]
    counts = itertools.chain.from_iterable(
        itertools.repeat(int(match[1]), int(match[2] or 1)) for match in matches if match
    )
    if not all(matches):
        raise ClusterConfigError(f"Slurm's task counts {text!r} cannot be read", "they look like 2(x3),1")
    return _limited(counts, text)


def _expand_name(name: str) -> Iterator[str]:
    pieces = list(_PIECE.finditer(name))
    if not name or "".join(piece[0] for piece in pieces) != name:
        raise _no_host_list(name)
    choices = [_numbers(piece[1]) if piece[1] else [piece[2]] for piece in pieces]
    return ("".join(parts) for parts in itertools.product(*choices))


def _numbers(text: str) -> list[str]:
    """``"01-03,7"`` as ``["01", "02", "03", "7"]``."""
    numbers: list[str] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        first, last = (match[1], match[2] or match[1]) if match else ("1", "0")
        if int(last) < int(first):
            raise _no_host_list(f"[{text}]")
        numbers += _limited((str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)), text)
    return numbers


def _limited(items: Iterator[_Item], text: str) -> list[_Item]:
    first = list(itertools.islice(items, _MOST + 1))
    if len(first) > _MOST:
        raise ClusterConfigError(f"Slurm's list {text!r} has more than {_MOST} entries", "look at what set it")
    return first


def _require_blocks(places: list[tuple[str, int]], index: int, local: int) -> None:
    # Only their counts on each node are known, so their order has to be. srun may deal tasks out like cards, too.
    if not 0 <= index < len(places) or places[index][1] != local:
        raise ClusterConfigError(
            f"task {index} of {len(places)} is number {local} of its node: the tasks do not lie node by node",
            "start them with srun --distribution=block",
        )


def _text(environment: Mapping[str, str], *names: str) -> str:
    for name in names:
        if name in environment:
            return environment[name]
    raise ClusterConfigError(f"Slurm has not set {' or '.join(names)}", "start the processes with srun")


def _number(environment: Mapping[str, str], *names: str) -> int:
    text = _text(environment, *names)
    if not (text.isascii() and text.isdigit()):
        raise ClusterConfigError(f"{' or '.join(names)} is {text!r}, no number", "start the processes with srun")
    return int(text)


def _no_host_list(text: str) -> ClusterConfigError:
    return ClusterConfigError(f"Slurm's host list cannot be read at {text!r}", "it looks like node[01-03,07],login")
