"""What is not explained, which of several causes goes first, exceptions with their chain, and huge logs."""

import itertools
import tracemalloc

import pytest

from distribute.log_explanation import RULES, Evidence, explain, read_log
from distribute.log_rules.memory import OUT_OF_MEMORY
from distribute.log_rules.rule import Kind
from distribute.log_rules.statements import clean, statements

from .logs import ARTICLE, LOGS, identifiers


class TestPrecision:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "CUBLAS_STATUS_EXECUTION_FAILED",
            "InternalError: Graph execution error:",
            "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
            "CUDA out of memory. Tried to allocate 2.00 GiB",
            "MemoryError",
            "The docs say: 'No algorithm worked!' means that memory ran out.",
            "We saw that no algorithm worked, and that the memory limit of 1024 MiB was fine.",
            "Killed the old run and started a new one",
            "Killed\nstep 12",
            "    raise RuntimeError('Physical devices cannot be modified after being initialized')",
            'assert "Could not start gRPC server" in message',
            "InvalidArgumentError: Incompatible shapes: [32,10] vs. [32,1] [Op:Sub]",
            "AttributeError: module 'keras' has no attribute 'distribution'",
            "tensorflow.python.framework.errors_impl.NotFoundError: data/train.csv; No such file or directory",
        ],
    )
    def test_is_not_explained(self, text):
        assert explain(text) == []

    def test_a_failed_kernel_is_no_lack_of_memory(self):
        log = "E cuda_blas.cc:428] failed to run cuBLAS routine: CUBLAS_STATUS_EXECUTION_FAILED\n" + ARTICLE
        assert identifiers(log) == ["gpu_kernel_failed"]
        assert "gpu_kernel_failed" not in OUT_OF_MEMORY

    def test_a_crash_of_the_gpu_goes_before_what_follows_from_it(self):
        crash = "E cuda_event.cc:29] failed to query event: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access\n"
        assert identifiers(crash + ARTICLE) == ["gpu_crash"]

    def test_warnings_do_not_explain_another_mistake(self):
        findings = read_log((LOGS / "unrelated/mistake_after_noise.txt").read_text().split("\n"))
        assert findings.explained == ()
        assert findings.unknown_end.text.startswith("ValueError: Input 0 of layer")
        assert [one.identifier for one in findings.unrelated] == ["cuda_library_missing", "no_gpu_visible"]

    def test_warnings_alone_are_what_the_log_says(self):
        assert identifiers(
            "I cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used."
        ) == ["driver_missing"]

    def test_an_end_that_is_not_known_is_told_beside_what_is_known(self):
        findings = read_log((ARTICLE + "\nTraceback (most recent call last):\n  File 'x'\nqueue.Empty").split("\n"))
        assert [one.identifier for one in findings.explained] == ["cublas_failed"]
        assert findings.unknown_end.text == "queue.Empty"

    def test_another_librarys_end_is_not_explained_by_what_it_shares_with_tensorflow(self):
        findings = read_log((LOGS / "unrelated/jax_out_of_memory.txt").read_text().split("\n"))
        assert findings.explained == ()
        assert "XlaRuntimeError" in findings.unknown_end.text


class TestOtherLibraries:
    FRAME = '  File "/usr/lib/python3/dist-packages/{}/a.py", line 1, in f\n'
    FAILED = "RuntimeError: Memory growth cannot differ between GPU devices"

    @pytest.mark.parametrize("package", ["torch", "mmcv", "cupy_backends"])
    def test_what_another_library_raised_is_not_explained(self, package):
        assert identifiers(self.FRAME.format(package) + self.FAILED) == []
        ipython = f"~/env/lib/python3.11/site-packages/{package}/nn/a.py in forward(self, x)\n"
        assert identifiers(ipython + self.FAILED) == []

    @pytest.mark.parametrize("package", ["tensorflow", "keras", "tf_keras"])
    def test_what_tensorflow_raised_below_it_is(self, package):
        frames = self.FRAME.format("torch") + self.FRAME.format(package)
        assert identifiers(frames + self.FAILED) == ["growth_differs"]

    def test_what_a_user_of_tensorflow_raised_is(self):
        assert identifiers(self.FRAME.format("transformers") + self.FAILED) == ["growth_differs"]
        warning = "/usr/lib/python3/dist-packages/torch/a.py:4193: UserWarning: in a later version\n"
        assert identifiers(warning + self.FAILED) == ["growth_differs"]

    def test_a_log_that_names_only_another_library_is_not_explained(self):
        mismatch = "E1027 15:10:59.012564 3266428 cuda_dnn.cc:456] Loaded runtime CuDNN library: 9.10.1 but source was"
        mismatch += " compiled with: 9.13.1.\n"
        assert identifiers(mismatch) == ["cudnn_version"]
        assert identifiers("import jax\n" + mismatch) == []
        assert identifiers("import jax, tensorflow\n" + mismatch) == ["cudnn_version"]

    def test_the_file_that_wrote_a_line_does_not_tell(self):
        """TensorFlow 2.21 writes its lines from where JAX does."""
        line = "E external/xla/xla/stream_executor/cuda/cuda_dnn.cc:427] "
        assert identifiers(line + "Could not create cudnn handle: CUDNN_STATUS_INTERNAL_ERROR") == ["cudnn_failed"]


class TestMemory:
    RETRIED = "W bfc_allocator.cc:246] Allocator (GPU_0_bfc) ran out of memory trying to allocate 1.02GiB with\n"
    REFUSED = "I a.cc:801] failed to allocate 7.81G (8387559424 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY\n"
    OOM = "ResourceExhaustedError: OOM when allocating tensor with shape[2304,384]\n"
    NODE = '  [[Node: sub_1 = Sub[T=DT_FLOAT, _device="/job:localhost/task:0/{}:0"](x, _device="/task:0/cpu:0"]]\n'

    def test_an_allocation_that_is_no_failure_is_none_when_its_line_is_wrapped(self):
        log = self.RETRIED + "freed_by_count=0. The caller indicates that this is not a failure, but may mean"
        assert identifiers(log) == ["allocation_retried"]

    def test_a_refused_allocation_is_a_notice_until_something_fails(self):
        assert identifiers(self.REFUSED) == ["allocation_refused"]
        assert identifiers(self.REFUSED + "KeyError: 'width'") == []
        assert identifiers(self.REFUSED + ARTICLE) == ["cublas_failed", "allocation_refused"]
        assert identifiers(self.REFUSED + self.OOM + self.NODE.format("gpu")) == ["gpu_out_of_memory"]

    def test_the_device_may_stand_in_the_next_line_or_nowhere(self):
        assert identifiers(self.OOM) == ["out_of_memory"]
        assert identifiers(self.OOM + self.NODE.format("cpu")) == ["host_out_of_memory"]
        assert identifiers(self.OOM + " 1/9 [=>....] - loss: 0.4\r" + self.NODE.format("gpu")) == ["gpu_out_of_memory"]


class TestSeveralCauses:
    def test_the_cause_goes_before_the_warning_and_the_consequence_is_left_out(self):
        text = "".join(
            (LOGS / f"{name}.txt").read_text() for name in ("registered_twice", "libcudart_missing", "cudnn_version")
        )
        assert identifiers(text) == ["cudnn_version", "cuda_library_missing", "registered_twice"]

    def test_memory_said_openly_goes_before_memory_in_disguise(self):
        text = ARTICLE + (LOGS / "oom_tensor_on_gpu.txt").read_text()
        assert identifiers(text) == ["gpu_out_of_memory"]

    def test_two_independent_causes_are_both_told(self):
        text = (LOGS / "disk_full.txt").read_text() + (LOGS / "truncated_record.txt").read_text()
        assert identifiers(text) == ["disk_full", "record_damaged"]

    def test_a_cpu_is_no_gpu(self):
        device = "/job:localhost/replica:0/task:0/device:CPU:0 by allocator bfc_cpu_allocator_for_gpu"
        text = f"ResourceExhaustedError: OOM when allocating tensor with shape[9,9] and type float on {device}"
        assert identifiers(text) == ["host_out_of_memory"]

    def test_the_allocators_figures_come_with_it(self):
        dump = explain((LOGS / "oom_old_stats.txt").read_text())[0].dump
        assert (dump.limit_bytes, dump.in_use_bytes) == (503270604, 503061248)


class TestExceptions:
    def test_the_whole_chain_is_read_the_first_cause_first(self):
        try:
            try:
                raise RuntimeError("Virtual devices cannot be modified after being initialized")
            except RuntimeError as error:
                raise ValueError("could not set up") from error
        except ValueError as error:
            explained = explain(error)
        assert [one.identifier for one in explained] == ["devices_set_too_late"]
        assert explained[0].evidence == (
            Evidence(1, "RuntimeError: Virtual devices cannot be modified after being initialized"),
        )

    def test_a_context_that_was_suppressed_is_not(self):
        error = ValueError("could not set up")
        error.__context__ = RuntimeError("Virtual devices cannot be modified after being initialized")
        assert [one.identifier for one in explain(error)] == ["devices_set_too_late"]
        error.__suppress_context__ = True  # raise … from None
        assert explain(error) == []

    def test_a_group_and_a_circle(self):
        member = RuntimeError("Memory growth cannot differ between GPU devices")
        group = ExceptionGroup("workers", [ValueError("x"), member])
        member.__cause__ = group
        assert [one.identifier for one in explain(group)] == ["growth_differs"]

    def test_what_tensorflow_raises(self):
        import tensorflow as tf

        error = tf.errors.ResourceExhaustedError(
            None,
            None,
            "OOM when allocating tensor with shape[9] and type float on /device:GPU:0 by allocator GPU_0_bfc",
        )
        assert [one.identifier for one in explain(error)] == ["gpu_out_of_memory"]


class TestHugeLogs:
    def test_are_read_in_bounded_memory(self):
        lines = (f"{step}/100000 ━━━━ 10s 15ms/step - accuracy: 0.9 - loss: 0.{step}" for step in range(5_000))
        hits = itertools.repeat(
            "E cuda_blas.cc:226] failed to create cublas handle: CUBLAS_STATUS_NOT_INITIALIZED", 2_000
        )
        tracemalloc.start()
        findings = read_log(itertools.chain(lines, hits))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert findings.explained[0].occurrences == 2_000
        assert findings.explained[0].evidence[0].line == 5_001
        assert peak < 2**20

    def test_one_huge_line_is_no_trouble(self):
        assert identifiers("x" * 3_000_000) == []
        assert identifiers("Error: " * 200_000) == []


class TestRules:
    def test_each_says_what_to_do_and_where_it_is_from(self):
        assert len({rule.identifier for rule in RULES}) == len(RULES)
        for rule in RULES:
            assert 1 <= len(rule.remedies) <= 3, rule.identifier
            assert rule.source.startswith("https://"), rule.identifier
            assert set(rule.follows_from) <= {one.identifier for one in RULES}, rule.identifier
            assert (rule.kind != Kind.LIKELY) or rule.tell_apart, f"{rule.identifier}: what tells its causes apart?"

    def test_statements_begin_behind_headers_and_nowhere_else(self):
        found = [one.text for one in statements(clean("2021: E a/b.cc:12] Internal: Blas failed"))]
        assert "Blas failed" in found
        assert not any(text.startswith("failed") for text in found)
