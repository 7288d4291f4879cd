"""Figures out of what TensorFlow's allocator writes when memory runs out."""

import os
import subprocess
import sys

import pytest

from distribute.allocator_dump import LiveAllocation, read_allocator_dump
from distribute.log_explanation import explain

MIB = 2**20

GPU_DUMP = """
2023-04-23 01:00:16.820335: W tensorflow/core/common_runtime/bfc_allocator.cc:479] Allocator (GPU_0_bfc) ran out of memory trying to allocate 588.00MiB (rounded to 616562688)requested by op _EagerConst
I0000 00:00:1795589416.012485   28964 bfc_allocator.cc:1105] InUse at 7fa140385100 of size 47710208 next 878
I0000 00:00:1795589416.012485   28964 bfc_allocator.cc:1105] InUse at 7fa140385200 of size 47710208 next 879
I0000 00:00:1795589416.012485   28964 bfc_allocator.cc:1105] Free  at 7fa143105100 of size 23593216 next 812
I0000 00:00:1795589416.012485   28964 bfc_allocator.cc:1105] Free  at 7fa144785200 of size 4096 next 735
I0000 00:00:1795589416.012514   28964 bfc_allocator.cc:1113] 9 Chunks of size 256 totalling 2.2KiB
I0000 00:00:1795589416.012530   28964 bfc_allocator.cc:1128] Stats:
Limit:                         1.50GiB
InUse:                        91.00MiB
MaxInUse:                    112.00MiB
NumAllocs:                          22
LargestFreeBlock:                   0B
ResourceExhaustedError: OOM when allocating tensor with shape[3,512,1024,98] and type float on /job:localhost/replica:0/task:0/device:GPU:1 by allocator GPU_1_bfc [Op:Mul]
"""  # noqa: E501


class TestReadAllocatorDump:
    def test_a_whole_dump(self):
        dump = read_allocator_dump(GPU_DUMP)
        assert (dump.allocator, dump.device, dump.requested_by) == ("GPU_1_bfc", "GPU:1", "_EagerConst")
        assert dump.wanted_bytes == 616562688
        assert (dump.shape, dump.dtype) == ((3, 512, 1024, 98), "float")
        assert (dump.limit_bytes, dump.in_use_bytes, dump.peak_bytes) == (1536 * MIB, 91 * MIB, 112 * MIB)
        assert dump.largest_free_bytes == 23593216
        assert dump.largest_live == (LiveAllocation(47710208, 2),)
        assert dump.is_within_limit
        for figure in ("wanted 588 MiB", "[3, 512, 1024, 98]", "limit 1.5 GiB", "2 × 45.5 MiB", "largest free piece"):
            assert figure in str(dump)

    def test_the_exception_alone_gives_the_size_from_shape_and_type(self):
        dump = read_allocator_dump(
            "OOM when allocating tensor with shape[3,3,512,1024] and type half on /device:GPU:0 by allocator GPU_0_bfc"
        )
        assert dump.wanted_bytes == 3 * 3 * 512 * 1024 * 2
        assert (dump.device, dump.limit_bytes, dump.is_within_limit) == ("GPU:0", None, False)

    @pytest.mark.parametrize(("shape", "size"), [("[]", 4), ("[7]", 28), ("[0,5]", 0)])
    def test_shapes_of_any_rank(self, shape, size):
        assert read_allocator_dump(f"OOM when allocating tensor with shape{shape} and type float").wanted_bytes == size

    def test_versions_before_two_wrote_plain_numbers_and_other_chunks(self):
        dump = read_allocator_dump(
            "Allocator (gpu_bfc) ran out of memory trying to allocate 3.78MiB.  See logs for memory state.\n"
            "I bfc_allocator.cc:670] Chunk at 0x230fb80800 of size 256\n"
            "I bfc_allocator.cc:800] InUse at 0x7f3bdf000b00 next 5 of size 512\n"
            "I bfc_allocator.cc:698] Stats: \nLimit:                   503270604\nInUse:                   503061248\n"
        )
        assert (dump.limit_bytes, dump.in_use_bytes) == (503270604, 503061248)
        assert dump.largest_live == (LiveAllocation(512, 1), LiveAllocation(256, 1))
        assert not dump.is_within_limit

    def test_operations_where_the_dump_has_them(self):
        dump = read_allocator_dump(
            "OOM when allocating tensor with shape[9] and type float on /device:GPU:0 by allocator GPU_0_bfc\n"
            "Current usage from device: /device:GPU:0, allocator: GPU_0_bfc\n"
            "  64.00MiB from conv/Conv2D\n  1.00MiB from dense/MatMul\nRemaining 3 nodes with 2.0KiB\n"
        )
        assert [live.op for live in dump.largest_live] == ["conv/Conv2D", "dense/MatMul"]
        chunk = (
            "Allocator (GPU_0_bfc) ran out of memory trying to allocate 1B\nInUse at 7f of size 512 by op Relu next 1"
        )
        assert read_allocator_dump(chunk).largest_live == (LiveAllocation(512, 1, "Relu"),)

    def test_the_last_failure_counts_and_only_it(self):
        first = "Allocator (GPU_0_bfc) ran out of memory trying to allocate 9.00GiB\nInUse at 7f of size 9999 next 1\n"
        second = "Allocator (GPU_1_bfc) ran out of memory trying to allocate 1.00MiB\nInUse at 7f of size 256 next 1\n"
        dump = read_allocator_dump(first + second)
        assert (dump.device, dump.wanted_bytes, dump.largest_live) == ("GPU:1", MIB, (LiveAllocation(256, 1),))

    def test_an_exception_of_another_size_tells_of_another_failure(self):
        asked = "Allocator (GPU_0_bfc) ran out of memory trying to allocate 9.00GiB\nInUse at 7f of size 9999 next 1\n"
        oom = "OOM when allocating tensor with shape{} and type float on /device:CPU:0 by allocator cpu\n"
        dump = read_allocator_dump(asked + oom.format("[1,416,416,3]") + oom.format("[1,559,512,3]"))
        assert (dump.wanted_bytes, dump.shape) == (559 * 512 * 3 * 4, (1, 559, 512, 3))
        assert (dump.device, dump.largest_live) == ("CPU:0", ())

    def test_old_versions_leave_the_type_out(self):
        dump = read_allocator_dump("ResourceExhaustedError: OOM when allocating tensor with shape[2304,384]")
        assert (dump.wanted_bytes, dump.shape) == (None, (2304, 384))
        assert str(dump) == "wanted a tensor of shape [2304, 384]"

    def test_only_the_largest_allocations_are_kept(self):
        chunks = "".join(f"InUse at 7f of size {256 * size} next 1\n" for size in range(1, 20_000))
        dump = read_allocator_dump("Allocator (GPU_0_bfc) ran out of memory trying to allocate 1B\n" + chunks)
        assert len(dump.largest_live) == 5

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "Epoch 1/2\nLimit: 5\nInUse at 7f of size 512 next 1",
            "Allocator (GPU_0_bfc) ran out of memory trying to allocate 2.20GiB with freed_by_count=0. The caller "
            "indicates that this is not a failure, but this may mean that there could be performance gains",
            "Allocator (GPU_0_bfc) ran out of memory trying to allocate 1.02GiB with freed_by_count=0. The caller\n"
            "indicates that this is not a failure",
        ],
    )
    def test_none_where_nothing_failed(self, text):
        assert read_allocator_dump(text) is None

    def test_lines_are_read_once(self):
        dump = read_allocator_dump(line for line in GPU_DUMP.splitlines())
        assert dump == read_allocator_dump(GPU_DUMP)

    @pytest.mark.proof  # TensorFlow waits 10 s before it gives up
    def test_what_this_tensorflow_writes(self):
        """The real thing: the allocator that guards a GPU guards the CPU here."""
        code = (
            "import tensorflow as tf\n"
            "kept = [tf.ones([1024, 1024]) + number for number in range(6)]\n"
            "tf.ones([4000, 4000])"
        )
        settings = {"TF_CPU_ALLOCATOR_USE_BFC": "true", "TF_CPU_BFC_MEM_LIMIT_IN_MB": "64", "TF_CPP_MIN_LOG_LEVEL": "0"}
        environment = {**os.environ, **settings}
        result = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        dump = read_allocator_dump(result.stderr)
        assert (dump.wanted_bytes, dump.shape, dump.device) == (64_000_000, (4000, 4000), "CPU:0")
        assert dump.limit_bytes == 64 * MIB
        assert dump.largest_live[0] == LiveAllocation(4 * MIB, 6)
        assert [one.identifier for one in explain(result.stderr)][0] == "host_out_of_memory"
