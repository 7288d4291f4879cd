"""A healthy machine as the checks see it, and what is asserted of every row."""

from train.machine_checks.nvidia import GpuFacts
from train.machine_checks.probe import Probe
from train.machine_checks.row import Status

SITE = "/venv/lib/python3.12/site-packages/tensorflow/__init__.py"
BUILD = {
    "is_cuda_build": "True",
    "cuda_version": "12.5.1",
    "cudnn_version": "9",
    "cuda_compute_capabilities": ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"],
}
HEALTHY = Probe(tensorflow="2.21.0", file=SITE, keras="3.15.1", backend="tensorflow", build=BUILD)
GPU = GpuFacts(0, "NVIDIA L4", (8, 9), total_mib=23_000, free_mib=22_700)


def assert_row(row, status, *words):
    assert row.status == status, row
    for word in words:
        assert word in row.found + " " + row.remedy, row
    if status != Status.OK:
        assert row.remedy, row
