"""On a GPU: one process, TensorFlow's counters per logical device, NVML for the process."""

import json
import os
import textwrap

import pytest
import tensorflow as tf

from tests.process import run_python

CODE = """
    import json
    from distribute import split_device
    from distribute.memory import check_memory
    devices = split_device({num_replicas}, memory_limit_mib={limit_mib}, kind="gpu")
    targets = "tests.distribute.memory_targets:"
    report = check_memory(targets + {build!r}, targets + "images", devices=devices)
    print(json.dumps(report.to_dict()))
"""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="needs an NVIDIA GPU"),
]


def check(build, num_replicas=2, limit_mib=1024):
    code = CODE.format(build=build, num_replicas=num_replicas, limit_mib=limit_mib)
    # The parent's own TensorFlow holds the GPU, too: it must not take all of its memory.
    result = run_python(textwrap.dedent(code), **{**os.environ, "TF_FORCE_GPU_ALLOW_GROWTH": "true"})
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    return report, {check["name"]: check["status"] for check in report["checks"]}


class TestMemoryOnGpu:
    @pytest.mark.parametrize("num_replicas", [1, 2, 4])
    def test_a_healthy_program_stays_within_its_limit(self, num_replicas):
        report, checks = check("conv_program", num_replicas)
        assert report["ok"], report
        assert checks["memory_bounds/limit"] == "passed"
        memory = report["memory"]
        assert len(memory["replicas"]) == num_replicas
        assert all(0 < replica["peak_mib"] <= 1024 for replica in memory["replicas"])
        assert memory["process_peak_mib"] > 0

    def test_a_step_that_keeps_memory_is_seen(self):
        assert check("leaking_program")[1]["memory_bounds/growth"] == "failed"

    def test_a_limit_that_is_too_small_is_a_failed_check(self):
        assert check("program_that_evaluates_much", limit_mib=48)[1]["memory_bounds/limit"] == "failed"
