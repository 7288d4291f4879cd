"""Known failures are recognised in real logs, whatever stands in front of them, and nothing else is explained."""

import itertools
import tracemalloc
from pathlib import Path

import pytest

from distribute.log_explanation import RULES, Evidence, explain, read_log
from distribute.log_rules.rule import Kind
from distribute.log_rules.statements import clean, statements

LOGS = Path(__file__).resolve().parent.parent / "train/logs"
ARTICLE = (LOGS / "article_cublas.txt").read_text()

# Excerpts of public reports, each with its source in the first line, and what is to be found first.
EXPECTED = {
    "addn_empty_replica": "addn_shapes_differ",
    "allocation_retried": "allocation_retried",
    "article_cublas": "cublas_failed",
    "bad_alloc": "host_out_of_memory",
    "blas_batched": "cublas_failed",
    "blas_gemm_in_notebook": "cublas_failed",
    "blas_sgemm_conv": "cublas_failed",
    "cannot_dlopen": "cuda_library_missing",
    "checkpoint_not_sstable": "checkpoint_damaged",
    "collective_shapes": "collective_shapes_differ",
    "compiled_from_ptx": "kernels_compiled_at_first_use",
    "cross_replica_context": "wrong_context",
    "cubin_no_binary": "gpu_architecture",
    "cublas_alloc_failed_windows": "cublas_failed",
    "cuda_context_out_of_memory": "gpu_out_of_memory",
    "cuda_out_of_memory_at_start": "gpu_out_of_memory",
    "cudart_dll_missing": "cuda_library_missing",
    "cudnn_internal_error": "cudnn_failed",
    "cudnn_version": "cudnn_version",
    "cudnn_version_9": "cudnn_version",
    "data_ended": "data_ended_early",
    "disk_full": "disk_full",
    "dll_load_failed": "native_library_not_loaded",
    "dnn_library_not_found": "dnn_library_not_found",
    "dnn_library_not_found_graph": "dnn_library_not_found",
    "driver_missing": "driver_missing",
    "driver_state": "driver_state",
    "driver_too_old": "driver_too_old",
    "driver_versions_differ": "driver_versions_differ",
    "dst_tensor": "copy_to_gpu_failed",
    "gpu_fell_off_the_bus": "gpu_lost",
    "growth_differs": "growth_differs",
    "growth_with_limit": "growth_with_limit",
    "grpc_server": "grpc_server_not_started",
    "illegal_address": "gpu_crash",
    "illegal_instruction": "cpu_instructions",
    "invalid_ptx": "gpu_architecture",
    "keras_distribution": "keras_distribution_on_tensorflow",
    "killed": "killed",
    "launch_failed_in_cudnn": "gpu_crash",
    "libcublas_import_error": "cuda_library_missing",
    "libcudart_missing": "cuda_library_missing",
    "libdevice_missing": "libdevice_missing",
    "merge_call": "merge_call_in_graph",
    "nccl_bare_system_error": "nccl_failed",
    "nccl_duplicate_gpu": "nccl_one_gpu_twice",
    "nccl_not_built_in": "nccl_not_built_in",
    "nccl_system_error": "nccl_failed",
    "no_algorithm_worked": "no_convolution_algorithm",
    "no_cuda_drivers": "driver_missing",
    "no_device": "no_gpu_visible",
    "no_kernel_image": "gpu_architecture",
    "numpy_dtype_size": "numpy_version",
    "nvml_version_mismatch": "driver_versions_differ",
    "oom_old_stats": "gpu_out_of_memory",
    "oom_tensor_on_gpu": "gpu_out_of_memory",
    "oom_with_dump": "gpu_out_of_memory",
    "oom_xla": "gpu_out_of_memory",
    "peer_lost": "peer_lost",
    "peer_lost_in_json": "peer_lost",
    "peer_lost_socket_closed": "peer_lost",
    "per_replica": "per_replica_as_tensor",
    "per_replica_added": "per_replica_as_tensor",
    "physical_devices_too_late": "devices_set_too_late",
    "protobuf_descriptors": "protobuf_version",
    "ptxas_missing": "ptxas_missing",
    "registered_twice": "registered_twice",
    "tensorrt_missing": "tensorrt_missing",
    "truncated_record": "record_damaged",
    "unsupported_ptx": "driver_too_old",
    "unrecognized_device": "no_such_device",
    "variable_not_created_in_scope": "variable_outside_scope",
    "variable_outside_scope": "variable_outside_scope",
    "virtual_devices_too_late": "devices_set_too_late",
    "xla_over_devices": "xla_over_devices",
}
UNRELATED = sorted(path.stem for path in (LOGS / "unrelated").glob("*.txt"))


def identifiers(text):
    return [explained.identifier for explained in explain(text)]


class TestRealLogs:
    @pytest.mark.parametrize(("log", "identifier"), EXPECTED.items())
    def test_is_recognised_first_with_evidence_and_a_source(self, log, identifier):
        text = (LOGS / f"{log}.txt").read_text()
        assert text.startswith("# https://")
        first = explain(text)[0]
        assert first.identifier == identifier
        lines = text.split("\n")
        for evidence in first.evidence:
            assert evidence.text[:30] in clean(lines[evidence.line - 1])

    @pytest.mark.parametrize("log", UNRELATED)
    def test_of_another_kind_is_not_explained(self, log):
        assert identifiers((LOGS / f"unrelated/{log}.txt").read_text()) == []

    def test_every_excerpt_is_expected_and_every_rule_has_one(self):
        assert {path.stem for path in LOGS.glob("*.txt")} == set(EXPECTED)
        assert {rule.identifier for rule in RULES} == set(EXPECTED.values())


class TestTheArticle:
    def test_says_out_of_gpu_memory_and_names_growth_and_limit(self):
        (explained,) = explain(ARTICLE)
        assert "out of GPU memory" in explained.what
        remedies = " ".join(explained.remedies)
        for word in ("--memory_policy=growth", "TF_FORCE_GPU_ALLOW_GROWTH", "--memory_limit"):
            assert word in remedies
        assert "libraries that do not fit" in explained.tell_apart
        assert any("a.shape=[1,64,576], b.shape=[1,576,64]" in evidence.text for evidence in explained.evidence)

    @pytest.mark.parametrize(
        "disguise",
        [
            lambda text: text.replace("\n", "\r\n"),
            lambda text: "".join(f"\x1b[31m{line}\x1b[0m\n" for line in text.split("\n")),
            lambda text: "".join(f"2026-11-25T06:00:00.123Z {line}\n" for line in text.split("\n")),
            lambda text: "".join(f"[2026-11-25 06:00:00] [worker-0]: {line}\n" for line in text.split("\n")),
            lambda text: "".join(f"train-1  | {line}\n" for line in text.split("\n")),
            lambda text: "".join(f"[1,0]<stderr>:{line}\n" for line in text.split("\n")),
            lambda text: "".join(f"Nov 25 06:00:00 host python[4211]: {line}\n" for line in text.split("\n")),
            lambda text: "".join(f"(Worker pid=77) {line}\n" for line in text.split("\n")),
            lambda text: "".join(f"> {line}\n" for line in text.split("\n")),
            lambda text: text.replace("\n", "\\n"),
            lambda text: " ".join(text.split("\n")),
            lambda text: text.replace("xGEMM", "GEMM").replace("stream_executor/cuda", "xla/stream_executor/cuda"),
            lambda text: text[: text.index("CUBLAS_STATUS_NOT_INITIALIZED") + 14],
            lambda text: "\x00\xff\x00binary\x07" * 50 + "\n" + text,
            lambda text: "\n".join(
                line[start : start + 80] for line in text.split("\n") for start in range(0, 400, 80)
            ),
        ],
        ids=[
            *("crlf", "colours", "times", "ranks", "compose", "mpi", "journal", "ray", "quoted", "json", "one line"),
            *("newer words", "truncated", "binary", "wrapped"),
        ],
    )
    def test_in_any_dress(self, disguise):
        assert identifiers(disguise(ARTICLE))[:1] == ["cublas_failed"]

    @pytest.mark.parametrize(
        "message",
        [
            "failed to create cublas handle: the library was not initialized",
            "InternalError: Blas GEMM launch failed : a.shape=(32, 8), b.shape=(8, 30), m=32, n=30, k=8",
            "Blas xGEMM launch failed : a.shape=[1,64,576], b.shape=[1,576,64]",
            "INTERNAL: Blas xGEMV launch failed : a.shape=[1,8,9]",
            "InternalError('Blas SGEMM launch failed : m=32768, n=1, k=16')",
            "CUBLAS_STATUS_NOT_INITIALIZED",
            "ERROR:root:failed to create cublas handle: CUBLAS_STATUS_ALLOC_FAILED",
            '{"level": "error", "message": "Blas GEMM launch failed : a.shape=(2, 3)"}',
            "No BLAS support in stream.",
        ],
    )
    def test_one_message_is_enough(self, message):
        assert identifiers(message) == ["cublas_failed"]


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
        assert identifiers(log) == []

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
