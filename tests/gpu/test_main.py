"""The main command on a real GPU; `make gpu-test` runs this."""

import json

import pytest
import tensorflow as tf

from tests.process import run_main

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="TensorFlow sees no GPU"),
]


class TestOneGpuSplit:
    @pytest.mark.parametrize("num_replicas", [2, 4])
    def test_trains_within_a_limit_that_tensorflow_enforces(self, tmp_path, num_replicas):
        flags = [f"--virtual_gpus={num_replicas}", "--memory_limit=1024", "--steps=50", f"--output_dir={tmp_path}"]
        result = run_main(*flags, timeout=550)
        assert result.returncode == 0, result.stderr
        devices = json.loads((tmp_path / "report.json").read_text())["devices"]
        assert devices["kind"] == "gpu"
        assert devices["replicas"] == num_replicas
        assert "TensorFlow's allocator" in devices["limit_enforced_by"]
