"""Environment variables that go wrong: each row with its fault planted."""

import pytest

from distribute.cluster_processes.member import Member, loopback_members
from train.machine_checks.row import Status
from train.machine_checks.variables import variable_rows

from .facts import assert_row


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
            ("{", "is no JSON"),
            ("{}", "has no 'cluster'"),
            ('{"cluster": {"worker": ["a.invalid:1"]}, "task": {"type": "worker", "index": 0}}', "does not resolve"),
        ],
    )
    def test_a_cluster_that_is_none(self, value, word):
        """All that can be wrong with one: tests/distribute/test_tf_config.py."""
        row = self.row(TF_CONFIG=value)
        assert_row(row, Status.PROBLEM, word)
        assert not row.found.startswith("TF_CONFIG")

    def test_a_cluster(self):
        member = loopback_members(2)[1]
        assert_row(self.row(TF_CONFIG=member.tf_config()), Status.OK, "worker 1 in a cluster of 2")

    def test_a_cluster_in_public(self):
        member = Member((*loopback_members(1)[0].addresses, "8.8.8.8:2222"), 0)
        _, row = variable_rows({"TF_CONFIG": member.tf_config()}, 0)
        assert_row(row, Status.WARNING, "8.8.8.8", "isolated network")

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
