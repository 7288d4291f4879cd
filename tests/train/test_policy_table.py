"""Which policies there are on which machine, and the table of what came of them."""

from train.policy_table import policies, table


class TestPolicies:
    def test_a_cpu_says_what_it_cannot_run(self):
        found = policies(on_gpu=False, num_replicas=2, limits_mib=[512, 64])
        skipped = {policy.name for policy in found if policy.skipped}
        assert skipped == {"growth", "TF_FORCE_GPU_ALLOW_GROWTH"}
        assert [policy.configured for policy in found if policy.name == "limit"] == ["512 MiB", "64 MiB"]
        assert [policy.configured for policy in found if policy.name == "growing limit"] == [
            "up to 512 MiB",
            "up to 64 MiB",
        ]
        assert all(policy.memory_policy == "default" for policy in found if not policy.skipped)

    def test_a_gpu_runs_all_with_what_each_sets(self):
        found = {policy.name: policy for policy in policies(on_gpu=True, num_replicas=4, limits_mib=[512])}
        assert {policy.name for policy in found.values() if policy.skipped} == {
            "growing limit"
        }  # TensorFlow refuses it
        assert found["growth"].memory_policy == "growth"
        assert found["TF_FORCE_GPU_ALLOW_GROWTH"].environment == {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        assert (found["limit"].memory_policy, found["limit"].limit_mib, found["limit"].num_replicas) == (
            "limit",
            512,
            1,
        )
        assert (found["virtual"].memory_policy, found["virtual"].limit_mib) == ("limit", 512)
        assert found["virtual"].num_replicas == 4

    def test_the_table_aligns_and_shows_what_is_not_known(self):
        row = {
            "policy": "limit",
            "configured": "64 MiB",
            "allocator_peak_mib": 60.4,
            "process_peak_mib": 706.0,
            "overhead_mib": None,
            "beyond_limit_mib": 642.0,
            "process_freed_mib": 700.0,
            "examples_per_second": 2345.6,
            "outcome": "trained",
        }
        header, line = table([row])
        assert line.split() == ["limit", "64", "MiB", "60", "706", "-", "642", "700", "2,346", "trained"]
        assert header.index("outcome") == line.index("trained")
