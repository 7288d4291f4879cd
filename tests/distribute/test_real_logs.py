"""Excerpts of public reports are recognised, whatever stands in front of them, and those of another kind are not."""

import json

import pytest

from distribute.log_explanation import RULES, explain
from distribute.log_rules.statements import clean

from .logs import ARTICLE, LOGS, identifiers

# Excerpts of public reports, each with its source in the first line, and what is to be found first.
EXPECTED = {
    "addn_empty_replica": "addn_shapes_differ",
    "allocation_refused": "allocation_refused",
    "allocation_retried": "allocation_retried",
    "article_cublas": "cublas_failed",
    "auto_shard_policy": "sharded_by_examples",
    "bad_alloc": "host_out_of_memory",
    "batch_not_divisible": "batch_not_divisible",
    "blas_batched": "cublas_failed",
    "blas_gemm_in_notebook": "cublas_failed",
    "blas_sgemm_conv": "cublas_failed",
    "cannot_dlopen": "cuda_library_missing",
    "checkpoint_not_sstable": "checkpoint_damaged",
    "collective_shapes": "collective_shapes_differ",
    "collectives_set_too_late": "collectives_set_too_late",
    "compiled_from_ptx": "kernels_compiled_at_first_use",
    "cross_replica_context": "wrong_context",
    "cubin_no_binary": "gpu_architecture",
    "cublas_alloc_failed_windows": "cublas_failed",
    "cublas_execution_failed": "gpu_kernel_failed",
    "cuda_context_out_of_memory": "gpu_out_of_memory",
    "cuda_out_of_memory_at_start": "allocation_refused",
    "cudart_dll_missing": "cuda_dll_missing",
    "cudnn_execution_failed": "gpu_kernel_failed",
    "cudnn_execution_failed_conv": "gpu_kernel_failed",
    "cudnn_internal_error": "cudnn_failed",
    "cudnn_version": "cudnn_version",
    "cudnn_version_9": "cudnn_version",
    "cudnn_version_newer": "cudnn_version",
    "data_ended": "data_ended_early",
    "devices_busy": "gpu_busy",
    "devices_busy_set_device": "gpu_busy",
    "disk_full": "disk_full",
    "dll_load_failed": "native_library_not_loaded",
    "dnn_library_not_found": "dnn_library_not_found",
    "dnn_library_not_found_graph": "dnn_library_not_found",
    "driver_missing": "driver_missing",
    "driver_not_loaded": "driver_not_loaded",
    "driver_state": "driver_state",
    "driver_too_old": "driver_too_old",
    "driver_too_old_windows": "driver_too_old",
    "driver_versions_differ": "driver_versions_differ",
    "dst_tensor": "copy_to_gpu_failed",
    "gpu_fell_off_the_bus": "gpu_lost",
    "growth_differs": "growth_differs",
    "growth_with_limit": "growth_with_limit",
    "grpc_server": "grpc_server_not_started",
    "illegal_address": "gpu_crash",
    "illegal_instruction": "cpu_instructions",
    "invalid_ptx": "gpu_architecture",
    "keras_3_in_transformers": "keras_2_code",
    "keras_3_legacy_optimizer": "keras_2_code",
    "keras_3_saved_model": "keras_2_code",
    "keras_distribution": "keras_distribution_on_tensorflow",
    "kernel_image_invalid": "gpu_architecture",
    "killed": "killed",
    "launch_failed_in_cudnn": "gpu_crash",
    "libcublas_import_error": "cuda_library_not_imported",
    "libcublas_import_error_1x": "cuda_library_not_imported",
    "libcudart_missing": "cuda_library_missing",
    "libdevice_missing": "libdevice_missing",
    "loss_reduction": "loss_reduction",
    "merge_call": "merge_call_in_graph",
    "nccl_bare_system_error": "nccl_failed",
    "nccl_duplicate_gpu": "nccl_one_gpu_twice",
    "nccl_infiniband": "nccl_infiniband",
    "nccl_init_horovod": "nccl_failed",
    "nccl_not_built_in": "nccl_not_built_in",
    "nccl_system_error": "nccl_infiniband",
    "no_algorithm_worked": "no_convolution_algorithm",
    "no_cuda_drivers": "driver_missing",
    "no_device": "no_gpu_visible",
    "no_kernel_for_device": "no_kernel_for_device",
    "no_kernel_image": "gpu_architecture",
    "no_kernel_image_at_start": "gpu_architecture",
    "not_mirrored": "not_mirrored",
    "not_per_replica_reduced": "reduced_what_is_not_per_replica",
    "numpy_dtype_size": "numpy_version",
    "nvml_version_mismatch": "driver_versions_differ",
    "oom_old_stats": "gpu_out_of_memory",
    "oom_on_cpu_node": "host_out_of_memory",
    "oom_tensor_on_gpu": "gpu_out_of_memory",
    "oom_when_initialized": "gpu_out_of_memory",
    "oom_with_dump": "gpu_out_of_memory",
    "oom_without_device": "out_of_memory",
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
    "tf_config_no_chief": "tf_config_wrong",
    "tf_config_no_cluster": "tf_config_wrong",
    "tf_config_task_type": "tf_config_wrong",
    "truncated_record": "record_damaged",
    "unrecognized_device": "no_such_device",
    "unsupported_ptx": "driver_too_old",
    "variable_made_in_function": "variable_made_in_function",
    "variable_not_created_in_scope": "variable_outside_scope",
    "variable_outside_scope": "variable_outside_scope",
    "virtual_devices_too_late": "devices_set_too_late",
    "xla_over_devices": "xla_over_devices",
}
UNRELATED = sorted(path.stem for path in (LOGS / "unrelated").glob("*.txt"))


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
            lambda text: "".join(f"0: {line}\n" for line in text.split("\n")),
            lambda text: "".join(f"train.log:{number}:{line}\n" for number, line in enumerate(text.split("\n"))),
            lambda text: "".join(json.dumps({"log": f"{line}\n"}) + "\n" for line in text.split("\n")),
            lambda text: "".join(f" 12/100 [==>.....] - ETA: 1:02 - loss: 0.45\r{line}\n" for line in text.split("\n")),
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
            *("crlf", "colours", "times", "ranks", "compose", "mpi", "journal", "ray", "quoted", "srun", "grep"),
            *("docker", "progress bars", "json", "one line", "newer words", "truncated", "binary", "wrapped"),
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
