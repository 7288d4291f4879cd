"""A row on the links between GPUs: do they deliver what is sent?"""

from pathlib import Path

from train.machine_checks.child import Answer, ask
from train.machine_checks.row import Row, Status

_CHILD = Path(__file__).with_name("links_child.py")
_TIMEOUT_S = 300  # seconds; kernels may have to be compiled
_NAME = "links"
_LEAST = 2  # GPUs that have a link between them


def links_row(num_gpus: int | None) -> Row:
    """What came of known values that were sent between all GPUs, in a process of its own.

    Args:
      num_gpus: GPUs that TensorFlow sees, None where it cannot be imported.
    """
    if num_gpus is None:
        return Row(_NAME, Status.SKIPPED, "not known", "TensorFlow cannot be imported")
    if num_gpus < _LEAST:
        seen = "one GPU" if num_gpus else "no GPU"
        return Row(_NAME, Status.SKIPPED, "none", f"TensorFlow sees {seen}, and a link needs two")
    return judged(num_gpus, ask(_CHILD, str(num_gpus), "gpu", timeout_s=_TIMEOUT_S))


def judged(num_gpus: int, answer: Answer) -> Row:
    """The row for what the child said of so many GPUs."""
    if answer.returncode is None:
        found = f"values sent between {num_gpus} GPUs were not there after {_TIMEOUT_S} s"
        remedy = "boot with iommu=pt and turn PCIe ACS off (NCCL User Guide, Troubleshooting); NCCL_P2P_DISABLE=1"
        return Row(_NAME, Status.PROBLEM, found, remedy)
    if answer.returncode or "ok" not in answer.said:
        lines = [line.strip() for line in answer.log.splitlines() if line.strip()]
        last = lines[-1] if lines else f"exit code {answer.returncode}"
        remedy = "python train/doctor.py --log explains TensorFlow's log; other rows may name the reason"
        return Row(_NAME, Status.PROBLEM, f"nothing could be sent between {num_gpus} GPUs: {last}", remedy)
    if not answer.said["ok"]:
        return Row(_NAME, Status.PROBLEM, answer.said["text"], "; or ".join(answer.said["remedies"]))
    return Row(_NAME, Status.OK, f"{num_gpus} GPUs get what they are sent, {answer.said['seconds']:.1f} s")
