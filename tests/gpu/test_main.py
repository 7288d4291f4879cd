"""The main command on one real GPU, split; `make gpu-test OUTPUT=folder` keeps what it measured.

For each split the folder gets ``report.json``, ``ledgers.json`` (configured limit, allocator's peaks, process) and
``nvml.txt``, the process table of the GPU right after the run.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import tensorflow as tf

from tests.process import run_main

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="TensorFlow sees no GPU"),
    pytest.mark.timeout(600),
]


def keep(run, name):
    """Copies what a run measured into the folder that the variable GPU_TEST_OUTPUT names."""
    if "GPU_TEST_OUTPUT" not in os.environ:
        return
    folder = Path(os.environ["GPU_TEST_OUTPUT"], name)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / "report.json", folder)
    memory = json.loads((run / "report.json").read_text())["memory"]
    ledgers = {
        "configured_mib": memory["limit_mib"],
        "allocator": {"replicas": memory["replicas"], "reference_peak_mib": memory["reference_peak_mib"]},
        "process": {name: memory[name] for name in ("process_peak_mib", "overhead_mib")},
    }
    (folder / "ledgers.json").write_text(json.dumps(ledgers, indent=2) + "\n")
    table = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False)
    (folder / "nvml.txt").write_text(table.stdout + table.stderr)


class TestOneGpuSplit:
    @pytest.mark.parametrize("num_replicas", [2, 4])
    def test_proves_and_trains_within_a_limit_that_tensorflow_enforces(self, tmp_path, num_replicas):
        flags = [f"--virtual_gpus={num_replicas}", "--memory_limit=1024", "--steps=50", f"--output_dir={tmp_path}"]
        result = run_main(*flags, timeout=580)
        keep(tmp_path, f"virtual-{num_replicas}")
        assert result.returncode == 0, result.stdout + result.stderr
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["devices"]["kind"] == "gpu"
        assert report["devices"]["replicas"] == num_replicas
        assert "TensorFlow's allocator" in report["devices"]["limit_enforced_by"]
        assert all(0 < replica["peak_mib"] <= 1024 for replica in report["memory"]["replicas"])
        assert report["memory"]["overhead_mib"] > 0
