"""CUDA's libraries, built against and found: each row with its fault planted."""

from train.machine_checks.cuda import Library, cuda_rows, required_wheels
from train.machine_checks.row import Status

from .facts import BUILD, assert_row


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
