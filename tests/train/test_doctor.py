"""The doctor: each row with its fault planted, and the script as a user runs it."""

import io
import json
import os
import sys
import types
from pathlib import Path

import pytest

from distribute.log_explanation import read_log
from tests.process import assert_refused, run_script
from train import doctor
from train.machine_checks import nvidia
from train.machine_checks.cuda import Library, cuda_rows, required_wheels
from train.machine_checks.gpus import capability_row, driver_row, gpu_rows, memory_row
from train.machine_checks.host import cores_row, system_row
from train.machine_checks.host import memory_row as host_memory_row
from train.machine_checks.nvidia import GpuFacts, GpuProcess, NvidiaFacts
from train.machine_checks.probe import Probe, probe_tensorflow
from train.machine_checks.row import Row, Status, version_tuple
from train.machine_checks.software import keras_row, packages_row, python_row, tensorflow_row
from train.machine_checks.text import findings_text, rows_text
from train.machine_checks.variables import variable_rows, what_is_wrong_with_cluster

LOGS = Path(__file__).resolve().parent / "logs"
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


class TestSoftware:
    @pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
    def test_supported_python(self, version):
        assert_row(python_row(version), Status.OK)

    @pytest.mark.parametrize("version", [(3, 10), (3, 14), (2, 7)])
    def test_other_python(self, version):
        assert_row(python_row(version), Status.PROBLEM, "3.11 to 3.13")

    def test_tensorflow(self):
        assert_row(tensorflow_row(HEALTHY), Status.OK, "2.21.0")
        assert_row(tensorflow_row(Probe(tensorflow="2.16.1", file=SITE)), Status.WARNING, "2.16.1", "2.21")
        assert_row(
            tensorflow_row(Probe(tensorflow="2.21.0", file="/home/me/tensorflow/__init__.py")),
            Status.WARNING,
            "/home/me",
        )
        missing = Probe(error="ModuleNotFoundError: No module named 'tensorflow'")
        assert_row(tensorflow_row(missing), Status.PROBLEM, "No module named", "pip install")

    def test_an_import_that_fails_is_explained_by_its_log(self):
        log = read_log(["TypeError: Descriptors cannot be created directly."])
        assert_row(tensorflow_row(Probe(error="TypeError: …", log=log)), Status.PROBLEM, "protobuf")

    def test_keras(self):
        assert_row(keras_row(HEALTHY), Status.OK, "3.15.1")
        for version in ("3.15.0", "3.9.2", "2.15.0"):
            assert_row(keras_row(Probe(tensorflow="2.21.0", keras=version)), Status.PROBLEM, "3.15.1", "CVE")
        assert_row(
            keras_row(Probe(tensorflow="2.21.0", keras="3.16.0", backend="jax")), Status.PROBLEM, "KERAS_BACKEND"
        )
        assert_row(keras_row(Probe(tensorflow="2.21.0", keras_error="ImportError: x")), Status.PROBLEM, "ImportError")
        assert_row(keras_row(Probe()), Status.SKIPPED, "is installed")

    def test_packages(self):
        assert_row(packages_row({"tensorflow", "keras", "nvidia-ml-py"}), Status.OK)
        assert_row(packages_row({"tensorflow", "tensorflow-cpu"}), Status.PROBLEM, "tensorflow and tensorflow-cpu")
        assert_row(packages_row({"tensorflow", "pynvml"}), Status.WARNING, "nvidia-ml-py")

    @pytest.mark.parametrize(("text", "version"), [("2.21.0", (2, 21, 0)), ("3.15.1rc2", (3, 15, 1)), ("dev", ())])
    def test_versions(self, text, version):
        assert version_tuple(text) == version


class TestCuda:
    WHEELS = {wheel: Library(wheel, "", "12.6.1", "the wheel's") for wheel in required_wheels()}

    def rows(self, *, has_driver=True, build=BUILD, **changed):
        libraries = {**self.WHEELS, **{name.replace("_", "-"): library for name, library in changed.items()}}
        return {row.name: row for row in cuda_rows(libraries, build, has_driver=has_driver)}

    def test_all_there(self):
        rows = self.rows()
        assert {row.status for row in rows.values()} == {Status.OK}
        assert rows["CUDA"].found == "built with 12.5.1, found 12.6.1 (wheel)"
        assert list(rows) == ["CUDA", "cuDNN", "NCCL", "CUDA libraries"]

    def test_a_driver_without_libraries(self):
        row = self.rows(nvidia_cudnn_cu12=Library("nvidia-cudnn-cu12", error="no such file"))["cuDNN"]
        assert_row(row, Status.PROBLEM, "found nothing: no such file", "requirements-gpu.txt")

    def test_no_driver_needs_no_libraries(self):
        row = self.rows(has_driver=False, nvidia_nccl_cu12=Library("nvidia-nccl-cu12", error="no such file"))["NCCL"]
        assert_row(row, Status.SKIPPED, "no NVIDIA driver")

    def test_a_wheel_of_another_version(self):
        wrong = Library("nvidia-cudnn-cu12", "<10.0,>=9.3.0.75", "8.9.7.29", "the wheel's")
        assert_row(self.rows(nvidia_cudnn_cu12=wrong)["cuDNN"], Status.PROBLEM, "8.9.7.29", "<10.0,>=9.3.0.75")
        wrong = Library("nvidia-cublas-cu12", "<13.0,>=12.5.3.2", "11.1")
        assert_row(self.rows(nvidia_cublas_cu12=wrong)["CUDA libraries"], Status.PROBLEM, "nvidia-cublas-cu12 11.1")

    def test_a_missing_wheel_beside_others(self):
        row = self.rows(nvidia_cufft_cu12=Library("nvidia-cufft-cu12"))["CUDA libraries"]
        assert_row(row, Status.WARNING, "nvidia-cufft-cu12")
        row = self.rows(has_driver=False, nvidia_cufft_cu12=Library("nvidia-cufft-cu12"))["CUDA libraries"]
        assert_row(row, Status.SKIPPED, "1 of")

    def test_a_tensorflow_without_cuda(self):
        assert_row(self.rows(build={"is_cuda_build": "False"})["CUDA"], Status.PROBLEM, "tensorflow-cpu")
        assert_row(self.rows(build={"is_cuda_build": "False"}, has_driver=False)["CUDA"], Status.OK)

    def test_no_tensorflow_at_all(self):
        assert_row(self.rows(build={})["CUDA"], Status.SKIPPED, "cannot be imported")

    def test_what_tensorflow_asks_for_is_read_from_its_package(self):
        wheels = required_wheels()
        assert len(wheels) > 8
        assert all(versions.startswith(("<", ">")) for versions in wheels.values()), wheels


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

        answers = {
            "nvmlInit": lambda: None,
            "nvmlShutdown": lambda: None,
            "nvmlSystemGetCudaDriverVersion_v2": lambda: 12050,
            "nvmlSystemGetDriverVersion": lambda: "555.42.06",
            "nvmlDeviceGetCount": lambda: 1,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetMemoryInfo": lambda handle: types.SimpleNamespace(total=4 << 30, free=3 << 30),
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
        gpu = GpuFacts(0, "NVIDIA T400", (7, 5), 4096, 3072, mig=False, processes=processes)
        assert (facts.driver, facts.cuda, facts.gpus) == ("555.42.06", (12, 5), (gpu,))


class TestHost:
    @pytest.mark.parametrize(
        ("system", "release", "status", "word"),
        [
            ("Linux", "6.1.0", Status.OK, "Linux"),
            ("Linux", "5.15.90.1-microsoft-standard-WSL2", Status.OK, "WSL 2"),
            ("Linux", "4.4.0-19041-Microsoft", Status.PROBLEM, "wsl --set-version"),
            ("Windows", "10", Status.PROBLEM, "WSL 2"),
            ("Darwin", "23.1", Status.WARNING, "--device=cpu"),
        ],
    )
    def test_operating_system(self, system, release, status, word):
        assert_row(system_row(system, release), status, word)

    def test_memory(self):
        assert_row(host_memory_row(16_000, 16_000, 9_000), Status.OK, "16,000 MiB", "9,000 free")
        assert_row(host_memory_row(4_000, 16_000, 9_000), Status.OK, "control group", "about 4,000 free")
        assert_row(host_memory_row(16_000, 16_000, 500), Status.WARNING, "about 500 free")

    def test_cores(self):
        assert_row(cores_row(4, 4), Status.OK, "4")
        assert_row(cores_row(2, 64), Status.OK, "2 of 64")
        assert_row(cores_row(1, 64), Status.WARNING, "1 of 64")


class TestVariables:
    def row(self, num_gpus=0, **environment):
        (row,) = variable_rows(environment, num_gpus)
        return row

    def test_none_is_set(self):
        assert_row(self.row(PATH="/bin"), Status.OK, "no variable is set")

    @pytest.mark.parametrize(
        ("value", "num_gpus", "status", "word"),
        [
            ("", 0, Status.WARNING, "empty: hides every GPU"),
            ("", 1, Status.PROBLEM, "empty: hides every GPU"),
            ("-1", 2, Status.PROBLEM, "-1: hides every GPU"),
            ("0,x", 2, Status.WARNING, "'x' is no GPU"),
            ("0,7", 2, Status.WARNING, "'7' is no GPU"),
            ("0,0", 2, Status.PROBLEM, "twice"),
            ("1,0", 2, Status.OK, "1,0"),
            ("GPU-8f2c", 2, Status.OK, "GPU-8f2c"),
        ],
    )
    def test_visible_devices(self, value, num_gpus, status, word):
        assert_row(self.row(num_gpus, CUDA_VISIBLE_DEVICES=value), status, word)

    def test_growth(self):
        assert_row(self.row(TF_FORCE_GPU_ALLOW_GROWTH="1"), Status.WARNING, "true and false only")
        assert_row(self.row(TF_FORCE_GPU_ALLOW_GROWTH="true"), Status.WARNING, "--memory_limit")
        rows = variable_rows({"TF_FORCE_GPU_ALLOW_GROWTH": "true", "TF_GPU_ALLOCATOR": "cuda_malloc_async"}, 1)
        assert_row(rows[0], Status.WARNING, "grows by itself")
        assert_row(rows[1], Status.PROBLEM, "virtual GPUs")

    def test_allocators(self):
        assert_row(self.row(TF_GPU_ALLOCATOR="cuda_malloc_async"), Status.PROBLEM, "no limit holds")
        assert_row(self.row(TF_GPU_ALLOCATOR="cuda_malloc"), Status.WARNING, "unset")
        assert_row(self.row(TF_CPU_BFC_MEM_LIMIT_IN_MB="512"), Status.WARNING, "it does nothing")
        assert_row(self.row(TF_CPU_BFC_MEM_LIMIT_IN_MB="1GB"), Status.PROBLEM, "no number")
        both = {"TF_CPU_BFC_MEM_LIMIT_IN_MB": "512", "TF_CPU_ALLOCATOR_USE_BFC": "true"}
        assert_row(self.row(**both), Status.WARNING, "on, with 512 MiB", "whole process")

    @pytest.mark.parametrize(
        ("value", "word"),
        [
            ("{", "no JSON"),
            ("[1]", "no 'cluster'"),
            ("{}", "no 'cluster'"),
            ('{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}', "twice"),
            ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "no task worker 1"),
            ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "no task chief 0"),
        ],
    )
    def test_a_cluster_that_is_none(self, value, word):
        assert word in what_is_wrong_with_cluster(value)
        assert_row(self.row(TF_CONFIG=value), Status.PROBLEM, word, "unset it")

    def test_a_cluster(self):
        value = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": "1"}}
        assert_row(self.row(TF_CONFIG=json.dumps(value)), Status.OK)

    def test_xla(self, tmp_path):
        missing = f"--xla_gpu_cuda_data_dir={tmp_path}/no"
        assert_row(self.row(XLA_FLAGS=missing), Status.PROBLEM, "no such folder")
        assert_row(self.row(XLA_FLAGS=f"--xla_gpu_cuda_data_dir={tmp_path}"), Status.WARNING, "unset XLA_FLAGS")
        count = "--xla_force_host_platform_device_count=2"
        assert_row(self.row(XLA_FLAGS=count), Status.WARNING, "--virtual_gpus")

    def test_log_level(self):
        assert_row(self.row(TF_CPP_MIN_LOG_LEVEL="3"), Status.WARNING, "hides errors")
        assert_row(self.row(TF_CPP_MIN_LOG_LEVEL="2"), Status.WARNING, "hides warnings")
        assert_row(self.row(TF_CPP_MIN_LOG_LEVEL="1"), Status.OK)

    def test_another_cuda_on_the_library_path(self, tmp_path):
        assert_row(self.row(LD_LIBRARY_PATH=f"{tmp_path}:"), Status.OK)
        (tmp_path / "libcudnn.so.8").touch()
        assert_row(self.row(LD_LIBRARY_PATH=f"/lib:{tmp_path}"), Status.WARNING, str(tmp_path))

    def test_a_namesake_on_the_python_path(self, tmp_path):
        (tmp_path / "keras.py").touch()
        assert_row(self.row(PYTHONPATH=str(tmp_path)), Status.WARNING, "keras.py", "rename")

    def test_legacy_keras(self):
        assert_row(self.row(TF_USE_LEGACY_KERAS="1"), Status.PROBLEM, "Keras 2")
        assert_row(self.row(TF_USE_LEGACY_KERAS="0"), Status.OK)


class TestText:
    ROWS = (Row("Python", Status.OK, "3.12.1"), Row("driver", Status.PROBLEM, "old", "a new one " * 20))

    def test_is_aligned_and_without_colours_in_a_pipe(self):
        lines = rows_text(self.ROWS, 80, colours=False).splitlines()
        assert lines[0] == "1 problem, 0 warnings, 1 ok, 0 not looked at"
        assert lines[1] == "ok       Python  3.12.1"
        assert lines[2].startswith("problem  driver  old")
        assert lines[3].startswith("                 → a new one")
        assert max(map(len, lines)) <= 80

    def test_colours_on_a_terminal(self):
        assert "\033[31;1mproblem" in rows_text(self.ROWS, 80, colours=True)

    def test_an_end_that_is_not_known_is_shown(self):
        text = findings_text(read_log(["KeyError: 'width'"]), 120, colours=False)
        assert text.startswith("not recognised")
        assert "line 1: KeyError: 'width'" in text


class TestReadingLogs:
    def test_whatever_its_bytes_are(self):
        assert list(doctor.lines_of(io.BytesIO(b"a\xffb\r\nc"))) == ["a\ufffdb\r", "c"]
        assert list(doctor.lines_of(io.BytesIO(b""))) == []

    def test_powershell_writes_utf_16(self, tmp_path):
        path = tmp_path / "log"
        path.write_bytes((LOGS / "article_cublas.txt").read_text().encode("utf-16"))
        with path.open("rb") as file:
            assert read_log(doctor.lines_of(file)).explained[0].identifier == "cublas_failed"

    def test_the_rest_of_a_huge_line_is_left_out_and_lines_are_counted_right(self):
        lines = list(doctor.lines_of(io.BytesIO(b"x" * 300_000 + b"\nKilled\n")))
        assert [len(line) for line in lines] == [1 << 16, 6]


class TestScript:
    def test_a_log_from_a_file_without_tensorflow(self, tmp_path):
        """Nothing of it needs TensorFlow: the answer comes at once, and where TensorFlow is broken."""
        result = run_script(
            "train/doctor.py", f"--log={LOGS}/article_cublas.txt", f"--output_dir={tmp_path}", timeout=20
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        assert "\033" not in result.stdout
        for word in ("out of GPU memory", "--memory_policy=growth", "TF_FORCE_GPU_ALLOW_GROWTH", "--memory_limit"):
            assert word in result.stdout
        record = json.loads((tmp_path / "doctor.json").read_text())
        assert record["explained"][0]["identifier"] == "cublas_failed"

    def test_an_unrelated_traceback(self):
        result = run_script("train/doctor.py", f"--log={LOGS}/unrelated/python_traceback.txt")
        assert (result.returncode, result.stdout.split(":")[0]) == (0, "not recognised")

    def test_one_message(self):
        result = run_script("train/doctor.py", "--explain=Memory growth cannot differ between GPU devices")
        assert (result.returncode, result.stdout.split(":")[0]) == (0, "growth_differs")

    def test_refusals(self, tmp_path):
        assert_refused(run_script("train/doctor.py", "--log=no.log"), 1, "--log=no.log", "No such file")
        assert_refused(run_script("train/doctor.py", "--log=a", "--explain=b"), 1, "not both")
        (tmp_path / "file").touch()
        result = run_script("train/doctor.py", "--explain=a", f"--output_dir={tmp_path}/file")
        assert_refused(result, 1, "--output_dir", "another folder")
        assert_refused(run_script("train/doctor.py", "log"), 1, "unexpected argument 'log'")

    def test_this_machine(self, tmp_path):
        result = run_script("train/doctor.py", f"--output_dir={tmp_path}", CUDA_VISIBLE_DEVICES="")
        assert result.returncode == 0, result.stderr
        rows = json.loads((tmp_path / "doctor.json").read_text())["rows"]
        names = [row["name"] for row in rows]
        assert names[:3] == ["Python", "TensorFlow", "Keras"]
        assert {"driver", "host memory", "cores", "CUDA_VISIBLE_DEVICES"} <= set(names)
        assert "hides every GPU" in result.stdout

    @pytest.mark.parametrize(
        ("code", "word"),
        [
            ("raise ImportError('libcublas.so.12: cannot open shared object file')", "libcublas.so.12"),
            ("import os\nos.kill(os.getpid(), 4)", "SIGILL"),
            ("import sys\nsys.exit(3)", "exit code 3"),
        ],
    )
    def test_a_tensorflow_that_cannot_be_imported(self, tmp_path, code, word):
        (tmp_path / "tensorflow").mkdir()
        (tmp_path / "tensorflow/__init__.py").write_text(code)
        result = run_script("train/doctor.py", PYTHONPATH=str(tmp_path))
        assert result.returncode == 0, result.stderr
        line = next(line for line in result.stdout.splitlines() if "TensorFlow  " in line)
        assert line.startswith("problem")
        assert word in line
        assert "host memory" in result.stdout
        assert "goes before the installed tensorflow" in result.stdout

    def test_a_tensorflow_that_talks(self, tmp_path, monkeypatch):
        (tmp_path / "tensorflow").mkdir()
        (tmp_path / "tensorflow/__init__.py").write_text("print('{')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        probe = probe_tensorflow()
        assert probe.tensorflow == ""
        assert "AttributeError" in probe.error

    def test_a_missing_package_is_one_message(self, monkeypatch, capsys):
        monkeypatch.setattr(doctor, "FLAGS", types.SimpleNamespace(log=None, explain=None, output_dir=None))
        monkeypatch.setitem(sys.modules, "train.machine_checks.nvidia", None)
        assert doctor.main(["doctor.py"]) == 3
        assert "pip install" in capsys.readouterr().err
