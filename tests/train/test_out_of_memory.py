"""Running out of memory inside a run: one message and `oom_report.json`, however TensorFlow words it."""

import json

import pytest
import tensorflow as tf

from train import out_of_memory
from train.errors import MachineError
from train.machine_checks.nvidia import GpuFacts, GpuProcess, NvidiaFacts
from train.record import leave_report
from train.run_folder import open_run_folder

OOM = (
    "OOM when allocating tensor with shape[256,32,26,26] and type float on "
    "/job:localhost/replica:0/task:0/device:GPU:1 by allocator GPU_1_bfc"
)
DISGUISES = [
    (tf.errors.ResourceExhaustedError, OOM, "out of GPU memory"),
    (tf.errors.InternalError, "Blas xGEMM launch failed : a.shape=[1,64,576], b.shape=[1,576,64], m=64", "cuBLAS"),
    (
        tf.errors.UnknownError,
        "Failed to get convolution algorithm. This is probably because cuDNN failed to initialize, "
        "so try looking to see if a warning log message was printed above.",
        "cuDNN",
    ),
    (tf.errors.NotFoundError, "No algorithm worked!", "workspace"),
    (
        tf.errors.InternalError,
        "Failed copying input tensor from /job:localhost/replica:0/task:0/device:CPU:0 to "
        "/job:localhost/replica:0/task:0/device:GPU:0 in order to run _EagerConst: Dst tensor is not initialized.",
        "copied",
    ),
]


def run_that_raises(error, folder):
    def run(recording):
        raise error

    return leave_report(open_run_folder(str(folder), resume=False), run)


class TestOutOfMemory:
    @pytest.mark.parametrize(("kind", "text", "words"), DISGUISES)
    def test_every_disguise_is_exit_3_with_one_message(self, tmp_path, kind, text, words):
        with pytest.raises(MachineError, match="out of GPU memory") as caught:
            run_that_raises(kind(None, None, text), tmp_path)
        assert words in str(caught.value)
        assert "train/plan.py" in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 4
        report = json.loads((tmp_path / "oom_report.json").read_text())
        assert text in report["error"]
        assert report["explained"]["remedies"]
        assert json.loads((tmp_path / "report.json").read_text())["ok"] is False

    def test_the_allocators_figures_are_told(self, tmp_path):
        figures = r"wanted 21\.12 MiB for a tensor of shape \[256, 32, 26, 26\], float; on GPU:1"
        with pytest.raises(MachineError, match=figures):
            run_that_raises(tf.errors.ResourceExhaustedError(None, None, OOM), tmp_path)
        allocator = json.loads((tmp_path / "oom_report.json").read_text())["allocator"]
        assert (allocator["device"], allocator["wanted_bytes"]) == ("GPU:1", 256 * 32 * 26 * 26 * 4)

    def test_who_else_holds_memory_is_told(self, tmp_path, monkeypatch):
        gpu = GpuFacts(0, "GPU", total_mib=2048, free_mib=100, processes=(GpuProcess(7, 1500, "python"),))
        monkeypatch.setattr(out_of_memory, "read_nvidia", lambda: NvidiaFacts(gpus=(gpu,)))
        with pytest.raises(MachineError, match="100 MiB of 2048 MiB free; other processes: 7 python 1500 MiB"):
            run_that_raises(tf.errors.ResourceExhaustedError(None, None, OOM), tmp_path)

    @pytest.mark.parametrize(
        "error",
        [
            tf.errors.InternalError(None, None, "CUBLAS_STATUS_EXECUTION_FAILED"),
            tf.errors.InvalidArgumentError(None, None, "Matrix size-incompatible: In[0]: [1,64], In[1]: [65,1]"),
            KeyError("memory"),
        ],
    )
    def test_other_errors_are_left_as_they_are(self, tmp_path, error):
        with pytest.raises(type(error)) as caught:
            run_that_raises(error, tmp_path)
        assert caught.value is error
        assert not (tmp_path / "oom_report.json").exists()
