"""The planner: a model of the allocator against the real one, replay, extrapolation, and plans that hold."""

import json
import textwrap
from dataclasses import replace

import pytest

from distribute.memory_plan import MemoryPlanner
from distribute.memory_planning.bfc import BfcAllocator, OutOfMemoryError
from distribute.memory_planning.replay import MIB, fits, replayed, smallest_limit_mib
from distribute.memory_planning.scaling import at_rows
from distribute.memory_timeline.allocations import Allocation
from tests.process import run_python

TARGETS = "tests.distribute.memory_targets:"


class TestAllocatorModel:
    def test_a_free_chunk_that_is_less_than_twice_as_large_is_given_whole(self):
        allocator = BfcAllocator(4 * MIB, grows=False)
        allocator.release(self.between_others(allocator, 1000 * 256))
        allocator.allocate(600 * 256)
        assert allocator.in_use == (1000 + 2) * 256

    def test_a_larger_one_is_split_and_the_rest_is_free(self):
        allocator = BfcAllocator(4 * MIB, grows=False)
        address = self.between_others(allocator, 1000 * 256)
        allocator.release(address)
        assert allocator.allocate(500 * 256) == address
        assert allocator.allocate(500 * 256) == address + 500 * 256

    def test_sizes_are_rounded_up_and_the_peak_stays(self):
        allocator = BfcAllocator(MIB, grows=False)
        allocator.release(allocator.allocate(257))
        assert (allocator.in_use, allocator.peak) == (0, 512)

    def test_neighbours_join_and_pieces_that_do_not_touch_do_not(self):
        allocator = BfcAllocator(4 * 256, grows=False)
        first, second, third, fourth = [allocator.allocate(256) for _ in range(4)]
        allocator.release(first)
        allocator.release(third)
        with pytest.raises(OutOfMemoryError):
            allocator.allocate(512)  # as many bytes are free, in two pieces
        allocator.release(second)
        allocator.allocate(3 * 256)
        assert fourth not in (first, second, third)

    def test_regions_double_and_never_join(self):
        allocator = BfcAllocator(14 * MIB, grows=True)
        kept = [allocator.allocate(2 * MIB), allocator.allocate(4 * MIB), allocator.allocate(8 * MIB)]
        assert allocator.reserved == 14 * MIB
        for address in kept:
            allocator.release(address)
        with pytest.raises(OutOfMemoryError):
            allocator.allocate(9 * MIB)
        assert BfcAllocator(14 * MIB, grows=False).allocate(9 * MIB) >= 0

    def between_others(self, allocator, num_bytes):
        """A chunk with neighbours in use, so that it joins nothing when it is given back."""
        allocator.allocate(256)
        address = allocator.allocate(num_bytes)
        allocator.allocate(256)
        return address

    def test_places_a_real_program_as_tensorflow_does(self):
        code = """
            import json, os
            os.environ["TF_CPU_ALLOCATOR_USE_BFC"] = "true"
            import tensorflow as tf
            from distribute.memory_check.steps import StepRecorder, train
            from distribute.memory_planning.replay import replayed
            from distribute.memory_timeline.allocations import record_allocations
            from tests.distribute import memory_targets
            with record_allocations() as events:
                program = memory_targets.conv_program()
                train(program, memory_targets.images(32, 32), StepRecorder(["CPU:0"], num_steps=6))
            print(json.dumps([replayed(events, grows=True).peak, max(event.in_use for event in events), len(events)]))
        """
        result = run_python(textwrap.dedent(code))
        assert result.returncode == 0, result.stderr
        model, real, number = json.loads(result.stdout.splitlines()[-1])
        assert number > 1000
        # Two threads may have allocated in another order than their clocks say.
        assert model == pytest.approx(real, rel=0.02)


def taken(thread, address, mib, op):
    return Allocation(True, "cpu", address, 0, int(mib * MIB), 0, op, "temp", None, thread)


def given_back(thread, address):
    return Allocation(False, "cpu", address, 0, 0, 0, "", "", None, thread)


class TestReplay:
    def test_ops_under_way_at_the_same_time_follow_each_other_where_memory_is_short(self):
        events = [taken(1, 1, 8, "a"), taken(2, 2, 8, "b"), given_back(1, 1), given_back(2, 2)]
        assert replayed(events, grows=False).peak == 16 * MIB
        assert fits(events, 8, grows=False)
        assert not fits(events, 7, grows=False)
        assert smallest_limit_mib(events, grows=False) == 8

    def test_what_is_kept_is_not_waited_for(self):
        events = [taken(1, 1, 8, "a"), taken(2, 2, 8, "b"), taken(1, 3, 1, "c"), given_back(1, 1), given_back(2, 2)]
        assert not fits(events, 15, grows=False)
        assert fits(events, 17, grows=False)

    def test_an_op_that_waits_itself_helps_nobody(self):
        events = [taken(1, 1, 6, "a"), taken(2, 2, 6, "b"), taken(1, 3, 6, "a"), given_back(1, 3), given_back(1, 1)]
        assert not fits(events, 11, grows=False)

    def test_the_smallest_limit_is_one_above_which_all_fit(self):
        # Under 7 MiB the regions are 2 and 5, under 6 they are 2 and 4, and so on: some in between fit by chance.
        events = [taken(1, 1, 2, "a"), taken(1, 2, 3, "b"), given_back(1, 1), given_back(1, 2), taken(1, 3, 5, "c")]
        smallest = smallest_limit_mib(events, grows=True)
        assert all(fits(events, limit, grows=True) for limit in range(smallest, 40))
        assert not fits(events, smallest - 1, grows=True)

    def test_what_was_taken_before_the_recording_is_ignored(self):
        assert fits([given_back(1, 99), taken(1, 1, 1, "a")], 1, grows=False)


class TestExtrapolation:
    def test_what_grows_with_the_batch_grows_and_the_rest_stays(self):
        small = [taken(1, 1, 4, "kernel"), taken(1, 2, 1, "relu"), taken(1, 3, 2, "conv")]
        large = [taken(2, 7, 4, "kernel"), taken(2, 8, 2, "relu"), taken(2, 9, 3, "conv")]
        found = at_rows(small, large, (8, 16, 64))
        assert [event.requested_bytes / MIB for event in found] == [4, 8, 9]
        assert [event.thread for event in found] == [2, 2, 2]

    def test_what_has_no_partner_stays_as_it_is(self):
        found = at_rows([taken(1, 1, 1, "other")], [taken(1, 1, 3, "new")], (8, 16, 64))
        assert found[0].requested_bytes == 3 * MIB

    def test_pieces_of_one_op_are_told_apart_by_their_rank(self):
        small = [taken(1, 1, 1, "op"), taken(1, 2, 8, "op")]
        large = [replace(small[0], requested_bytes=2 * MIB), small[1]]
        found = at_rows(small, large, (1, 2, 4))
        assert [event.requested_bytes / MIB for event in found] == [4, 8]


class TestPlans:
    @pytest.mark.proof
    def test_the_planned_limit_works_and_the_parts_are_those_of_the_program(self):
        with MemoryPlanner(TARGETS + "conv_program", TARGETS + "images", num_replicas=4) as planner:
            plan = planner.plan()
            ends = list(planner.runs_under(plan.limit_mib, plan.rows, 2))
        assert ends == ["", ""]
        assert plan.rows == 16
        assert plan.parameters_mib == pytest.approx(4 * 93_322 / MIB)
        assert plan.gradients_mib == plan.parameters_mib
        assert plan.optimizer_mib == pytest.approx(2 * plan.parameters_mib, rel=0.01)
        assert max(plan.limits_mib) * 1.1 <= plan.limit_mib < max(plan.limits_mib) * 1.1 + 1
        assert plan.largest[0].size_bytes > plan.largest[-1].size_bytes
        assert plan.peak_mib > plan.activations_mib > 0

    @pytest.mark.proof
    def test_a_quick_plan_leaves_more_room(self):
        with MemoryPlanner(TARGETS + "conv_program", TARGETS + "images", num_replicas=4, quick=True) as planner:
            plan = planner.plan()
            rows = planner.largest_rows(plan.limit_mib)
        (needed,) = plan.limits_mib
        assert needed * 1.2 <= plan.limit_mib < needed * 1.2 + 1
        assert 8 <= rows <= 48

    @pytest.mark.proof
    @pytest.mark.parametrize("rows", [16, 64, 256])
    def test_a_limit_below_what_every_recording_needs_fails(self, rows):
        data = (TARGETS + "images", {"num_examples": rows, "global_batch_size": rows})
        with MemoryPlanner(TARGETS + "conv_program", data, num_replicas=1) as planner:
            plan = planner.plan()
            assert not any(planner.runs_under(plan.limit_mib, rows, 10))
            assert any(planner.runs_under(int(min(plan.limits_mib) / 1.2), rows, 10))

    @pytest.mark.proof
    def test_the_largest_batch_under_a_limit_runs_under_it(self):
        with MemoryPlanner(TARGETS + "conv_program", TARGETS + "images", num_replicas=2) as planner:
            rows = planner.largest_rows(64)
            assert rows > 32
            assert not any(planner.runs_under(64, rows, 4))
            assert any(planner.runs_under(64, 2 * rows, 2))
            assert planner.largest_rows(1) == 0

    @pytest.mark.proof
    def test_a_program_that_fails_is_told_with_its_reason(self):
        told = pytest.raises(RuntimeError, match=r"fails without a limit: it raised ZeroDivisionError in build")
        with MemoryPlanner(TARGETS + "build_that_raises", TARGETS + "images", num_replicas=2) as planner, told:
            planner.plan()

    @pytest.mark.parametrize(("build", "data"), [("not_there", "images"), ("conv_program", "no_batches")])
    def test_targets_that_cannot_be_planned_are_refused(self, build, data):
        with pytest.raises(ValueError, match="not_there|no batch"):
            MemoryPlanner(TARGETS + build, TARGETS + data, num_replicas=2)
