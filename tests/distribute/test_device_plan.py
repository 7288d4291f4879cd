import pytest

from distribute.device_plan import GPU_RESERVE_MIB, DeviceError, Gpu, Inventory, even_slices, plan_devices

LAPTOP_GPU = Gpu("GeForce MX150", total_mib=2048, free_mib=1900)
BIG_GPU = Gpu("H100", total_mib=81_000, free_mib=80_000)


def machine(*gpus, host_memory_mib=16_000):
    return Inventory(tuple(gpus), host_memory_mib)


class TestEvenSlices:
    @pytest.mark.parametrize(
        ("num_devices", "num_physical", "slices"),
        [
            (1, 1, (1,)),
            (4, 1, (4,)),
            (4, 2, (2, 2)),
            (5, 2, (3, 2)),
            (3, 2, (2, 1)),
            (2, 4, (1, 1)),
            (7, 3, (3, 2, 2)),
        ],
    )
    def test_spreads_evenly_and_the_first_take_the_rest(self, num_devices, num_physical, slices):
        assert even_slices(num_devices, num_physical) == slices


class TestWithoutGpu:
    def test_the_cpu_is_split(self):
        plan = plan_devices(machine(), 4)
        assert (plan.kind, plan.slices, plan.placement, plan.policy) == ("cpu", (4,), "virtual", "default")

    def test_one_replica_uses_the_cpu_as_it_is(self):
        assert plan_devices(machine(), 1).placement == "physical"

    def test_a_limit_is_kept_and_said_not_to_be_enforced(self):
        plan = plan_devices(machine(), 2, memory_limit_mib=1024)
        assert plan.memory_limit_mib == 1024
        assert plan.policy == "limit"
        assert "nothing" in plan.limit_enforced_by

    def test_limits_beyond_the_memory_of_the_machine_are_refused_with_one_that_fits(self):
        with pytest.raises(DeviceError, match=r"2 x 9000 MiB = 18000 MiB .* 16000 MiB: ask for at most 8000 MiB each"):
            plan_devices(machine(), 2, memory_limit_mib=9000)

    def test_a_gpu_that_was_asked_for_is_missed(self):
        with pytest.raises(DeviceError, match="TensorFlow sees none"):
            plan_devices(machine(), 2, kind="gpu")

    def test_growth_is_said_to_have_no_effect(self):
        assert "no effect" in plan_devices(machine(), 2, policy="growth").reason


class TestOneGpu:
    def test_one_replica_takes_the_gpu_as_it_is(self):
        plan = plan_devices(machine(LAPTOP_GPU), 1)
        assert (plan.kind, plan.placement, plan.policy, plan.memory_limit_mib) == (
            "gpu",
            "physical",
            "default",
            None,
        )

    def test_it_is_split_with_the_limit_given(self):
        plan = plan_devices(machine(BIG_GPU), 2, memory_limit_mib=1024)
        assert (plan.slices, plan.placement, plan.memory_limit_mib) == ((2,), "virtual", 1024)
        assert "each logical GPU" in plan.limit_enforced_by

    def test_without_a_limit_each_gets_an_even_share_less_the_reserve(self):
        plan = plan_devices(machine(LAPTOP_GPU), 2)
        assert plan.memory_limit_mib == (1900 - GPU_RESERVE_MIB) // 2
        assert plan.policy == "limit"

    def test_the_cpu_can_be_asked_for(self):
        assert plan_devices(machine(BIG_GPU), 2, kind="cpu").kind == "cpu"

    def test_limits_beyond_its_memory_are_refused(self):
        with pytest.raises(DeviceError, match=r"2 x 1500 MiB = 3000 MiB .* has 2048 MiB: ask for at most 1024 MiB"):
            plan_devices(machine(LAPTOP_GPU), 2, memory_limit_mib=1500)

    def test_limits_beyond_what_others_left_free_are_refused(self):
        busy = Gpu("H100", total_mib=81_000, free_mib=1000)
        with pytest.raises(DeviceError, match="1000 MiB free"):
            plan_devices(machine(busy), 2, memory_limit_mib=1024)

    def test_a_gpu_without_room_is_busy(self):
        busy = Gpu("H100", total_mib=81_000, free_mib=600)
        with pytest.raises(DeviceError, match="600 MiB free, too little for 2 replicas"):
            plan_devices(machine(busy), 2)

    def test_unknown_free_memory_asks_for_a_limit(self):
        with pytest.raises(DeviceError, match="--memory_limit"):
            plan_devices(machine(Gpu()), 2)
        assert plan_devices(machine(Gpu()), 2, memory_limit_mib=512).memory_limit_mib == 512


class TestSeveralGpus:
    def test_one_gpu_each_when_there_are_enough(self):
        plan = plan_devices(machine(*[BIG_GPU] * 4), 2)
        assert (plan.slices, plan.placement, plan.policy) == ((1, 1), "physical", "default")

    def test_a_limit_holds_for_whole_gpus_too(self):
        plan = plan_devices(machine(BIG_GPU, BIG_GPU), 2, memory_limit_mib=1024)
        assert (plan.placement, plan.policy, plan.memory_limit_mib) == ("physical", "limit", 1024)

    def test_fewer_gpus_than_replicas_are_all_split(self):
        plan = plan_devices(machine(BIG_GPU, BIG_GPU), 5)
        assert plan.slices == (3, 2)
        assert plan.memory_limit_mib == (80_000 - GPU_RESERVE_MIB) // 3

    def test_the_smallest_share_is_the_limit_of_all(self):
        plan = plan_devices(machine(BIG_GPU, LAPTOP_GPU), 4)
        assert plan.memory_limit_mib == (1900 - GPU_RESERVE_MIB) // 2

    @pytest.mark.parametrize("num_gpus", [1, 2, 4, 8])
    @pytest.mark.parametrize("num_devices", [1, 2, 3, 4, 8, 16])
    def test_any_number_is_served_by_as_many_gpus_as_there_are(self, num_gpus, num_devices):
        plan = plan_devices(machine(*[BIG_GPU] * num_gpus), num_devices)
        assert sum(plan.slices) == num_devices
        assert len(plan.slices) == min(num_gpus, num_devices)
        assert max(plan.slices) - min(plan.slices) <= 1
        needs_limit = num_devices > num_gpus
        assert (plan.placement, plan.memory_limit_mib is not None) == (
            ("virtual" if needs_limit else "physical"),
            needs_limit,
        )

    def test_one_that_is_busy_decides_the_share_of_all(self):
        busy = Gpu("H100", total_mib=81_000, free_mib=5000)
        assert plan_devices(machine(BIG_GPU, busy), 4).memory_limit_mib == (5000 - GPU_RESERVE_MIB) // 2
        with pytest.raises(DeviceError, match=r"GPU 1 \(H100\), which has \d+ MiB free \(nvidia-smi"):
            plan_devices(machine(BIG_GPU, busy), 2, memory_limit_mib=6000)

    def test_one_that_is_busy_and_not_needed_does_not_count(self):
        busy = Gpu("H100", total_mib=81_000, free_mib=100)
        assert plan_devices(machine(BIG_GPU, BIG_GPU, busy), 2, memory_limit_mib=6000).slices == (1, 1)

    def test_a_mig_instance_is_split_as_a_gpu_of_its_size(self):
        instance = Gpu("NVIDIA H100 80GB HBM3 MIG 1g.10gb", total_mib=9984, free_mib=9970)
        assert plan_devices(machine(instance), 2).memory_limit_mib == (9970 - GPU_RESERVE_MIB) // 2
        with pytest.raises(DeviceError, match=r"MIG 1g.10gb\), which has 9984 MiB: ask for at most 4992 MiB each"):
            plan_devices(machine(instance), 2, memory_limit_mib=8000)

    def test_growth_goes_with_whole_gpus(self):
        assert plan_devices(machine(BIG_GPU, BIG_GPU), 2, policy="growth").policy == "growth"


class TestDifferentModels:
    def test_all_get_what_the_smallest_has(self):
        plan = plan_devices(machine(BIG_GPU, LAPTOP_GPU), 2)
        assert (plan.placement, plan.policy, plan.memory_limit_mib) == ("physical", "limit", 1900 - GPU_RESERVE_MIB)
        assert "models differ (GeForce MX150, H100)" in plan.reason

    @pytest.mark.parametrize("policy", ["default", "growth"])
    def test_a_policy_of_ones_own_is_kept(self, policy):
        plan = plan_devices(machine(BIG_GPU, LAPTOP_GPU), 2, policy=policy)
        assert (plan.policy, plan.memory_limit_mib) == (policy, None)
        assert "models differ" in plan.reason

    def test_memory_that_nobody_tells_sets_no_limit(self):
        plan = plan_devices(machine(BIG_GPU, Gpu("RTX 3060")), 2)
        assert (plan.policy, plan.memory_limit_mib) == ("default", None)

    def test_one_that_is_not_used_does_not_count(self):
        assert "models differ" not in plan_devices(machine(BIG_GPU, BIG_GPU, LAPTOP_GPU), 2).reason


class TestContradictions:
    @pytest.mark.parametrize("policy", ["default", "growth"])
    @pytest.mark.parametrize(("gpus", "limit"), [((), 1024), ((BIG_GPU,), 1024), ((BIG_GPU,), None)])
    def test_other_policies_refuse_a_limit_and_a_split_gpu(self, policy, gpus, limit):
        with pytest.raises(ValueError, match="contradicts"):
            plan_devices(machine(*gpus), 2, memory_limit_mib=limit, policy=policy)

    @pytest.mark.parametrize("gpus", [(), (BIG_GPU, BIG_GPU)])
    def test_policy_limit_needs_a_limit_or_a_split_gpu(self, gpus):
        with pytest.raises(ValueError, match="needs a limit"):
            plan_devices(machine(*gpus), 2, policy="limit")

    def test_policy_limit_without_a_limit_shares_a_split_gpu(self):
        assert plan_devices(machine(BIG_GPU), 2, policy="limit").memory_limit_mib == (80_000 - GPU_RESERVE_MIB) // 2


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"num_devices": 0}, "at least 1"),
            ({"num_devices": -1}, "at least 1"),
            ({"num_devices": 2.5}, "whole number"),
            ({"num_devices": "2"}, "whole number"),
            ({"num_devices": True}, "whole number"),
            ({"memory_limit_mib": "1024"}, "whole number"),
            ({"memory_limit_mib": 0}, "positive"),
            ({"memory_limit_mib": -5}, "positive"),
            ({"kind": "tpu"}, "'tpu' is unknown"),
            ({"policy": "all"}, "'all' is unknown"),
        ],
    )
    def test_out_of_range(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            plan_devices(machine(BIG_GPU), **{"num_devices": 2, **arguments})
