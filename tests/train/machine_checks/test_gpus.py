"""The driver, the GPUs and who uses them: each row with its fault planted."""

import os
import types
from pathlib import Path

import pytest

from train.machine_checks import nvidia
from train.machine_checks.gpus import capability_row, driver_row, gpu_rows, memory_row
from train.machine_checks.nvidia import GpuFacts, GpuProcess, NvidiaFacts
from train.machine_checks.row import Status

from .facts import BUILD, GPU, assert_row


class TestGpus:
    def test_no_driver(self):
        rows = gpu_rows(NvidiaFacts(error="NVML Shared Library Not Found"), BUILD, 0)
        assert [row.status for row in rows] == [Status.SKIPPED] * 3
        assert "NVML Shared Library Not Found" in rows[0].remedy

    def test_driver(self):
        assert_row(driver_row(NvidiaFacts("555.42.06", (12, 5))), Status.OK, "runs CUDA 12.5")
        assert_row(driver_row(NvidiaFacts("535.104", (12, 2))), Status.WARNING, "555")
        assert_row(driver_row(NvidiaFacts("470.57", (11, 4))), Status.PROBLEM, "CUDA 12 is needed")
        broken = NvidiaFacts(has_kernel_module=True, error="Driver/library version mismatch")
        assert_row(driver_row(broken), Status.PROBLEM, "version mismatch", "restart")

    def test_seen_by_tensorflow(self):
        facts = NvidiaFacts("555.42", (12, 5), (GPU, GPU))
        assert_row(gpu_rows(facts, BUILD, 2)[1], Status.OK, "2 seen")
        assert_row(gpu_rows(facts, BUILD, 1)[1], Status.WARNING, "CUDA_VISIBLE_DEVICES")
        assert_row(gpu_rows(facts, BUILD, 0)[1], Status.PROBLEM, "0 seen")
        assert_row(gpu_rows(facts, BUILD, None)[1], Status.SKIPPED, "cannot be imported")

    @pytest.mark.parametrize(
        ("capability", "status", "word"),
        [
            ((5, 2), Status.PROBLEM, "begins at 6.0"),
            ((6, 1), Status.OK, "6.1"),
            ((7, 5), Status.OK, "7.5"),
            ((8, 9), Status.OK, "8.9"),
            ((9, 0), Status.WARNING, "for minutes"),
            ((12, 0), Status.WARNING, "tensorflow#89272"),
            (None, Status.SKIPPED, "NVML does not tell"),
        ],
    )
    def test_kernels_for_the_gpu(self, capability, status, word):
        assert_row(capability_row(GpuFacts(0, "GPU", capability), BUILD), status, word)
        assert_row(capability_row(GpuFacts(0, "GPU", capability), {}), status, word)

    def test_a_free_gpu(self):
        assert_row(memory_row(GPU), Status.OK, "22,700 of 23,000 MiB free", "nobody")

    def test_a_busy_gpu(self):
        busy = GpuFacts(0, "GPU", (8, 9), 23_000, 15_000, processes=(GpuProcess(4711, 7_900, "python"),))
        assert_row(memory_row(busy), Status.WARNING, "pid 4711 (python, 7,900 MiB)", "--memory_policy=growth", "14,488")
        full = GpuFacts(0, "GPU", (8, 9), 23_000, 300, processes=(GpuProcess(4711, None),))
        assert_row(memory_row(full), Status.PROBLEM, "memory unknown", "not visible here")

    def test_users_that_nvml_does_not_list(self):
        hidden = GpuFacts(0, "GPU", (8, 9), 23_000, 15_000)
        assert_row(memory_row(hidden), Status.WARNING, "NVML does not list")

    def test_what_nvml_does_not_tell(self):
        assert_row(memory_row(GpuFacts(0, "GPU")), Status.SKIPPED, "NVML")
        assert_row(memory_row(GpuFacts(0, "GPU", (8, 0), 80_000, 70_000, mig=True)), Status.OK, "MIG instances")
        assert "MIG" in capability_row(GpuFacts(0, "A100", (8, 0), mig=True), BUILD).found

    def test_this_machine_is_read_without_a_crash(self):
        facts = nvidia.read_nvidia()
        assert facts.driver or facts.error

    def test_a_process_that_does_not_use_cuda_is_not_named(self):
        """In a container NVML lists the host's process ids, and another process may have the same number here."""
        uses_cuda = "libcuda" in Path("/proc/self/maps").read_text()
        assert bool(nvidia.name_of(os.getpid())) == uses_cuda
        assert nvidia.name_of(2**31 - 1) == ""

    def test_facts_come_from_nvml(self, monkeypatch):
        """A machine with one GPU whose driver does not know MIG, at the boundary of NVML's functions."""
        error = nvidia.pynvml.NVMLError(nvidia.pynvml.NVML_ERROR_NOT_SUPPORTED)

        def not_supported(handle):
            raise error

        def memory(handle, version=None):
            if version is None:
                raise AssertionError("this version of the question calls used what the driver reserves")
            return types.SimpleNamespace(total=4 << 30, free=3 << 30, reserved=616 << 20)

        answers = {
            "nvmlInit": lambda: None,
            "nvmlShutdown": lambda: None,
            "nvmlSystemGetCudaDriverVersion_v2": lambda: 12050,
            "nvmlSystemGetDriverVersion": lambda: "555.42.06",
            "nvmlDeviceGetCount": lambda: 1,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetMemoryInfo": memory,
            "nvmlDeviceGetMigMode": not_supported,
            "nvmlDeviceGetName": lambda handle: "NVIDIA T400",
            "nvmlDeviceGetCudaComputeCapability": lambda handle: (7, 5),
            "nvmlDeviceGetComputeRunningProcesses": lambda handle: [
                types.SimpleNamespace(pid=2**31 - 1, usedGpuMemory=64 << 20),
                types.SimpleNamespace(pid=2**31 - 1, usedGpuMemory=None),
            ],
        }
        for name, answer in answers.items():
            monkeypatch.setattr(nvidia.pynvml, name, answer)
        facts = nvidia.read_nvidia()
        processes = (GpuProcess(2**31 - 1, 64), GpuProcess(2**31 - 1, None))
        gpu = GpuFacts(0, "NVIDIA T400", (7, 5), 4096 - 616, 3072, mig=False, processes=processes)
        assert (facts.driver, facts.cuda, facts.gpus) == ("555.42.06", (12, 5), (gpu,))
