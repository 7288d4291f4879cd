"""`split_device` configures a process once, so each test has its own."""

import pytest

from tests.process import run_python

HEAD = "import tensorflow as tf; from distribute import split_device, make_strategy\n"


OWN_SPLIT = (
    "tf.config.set_logical_device_configuration("
    "tf.config.list_physical_devices('CPU')[0], [tf.config.LogicalDeviceConfiguration()] * 2)"
)


def run(code):
    result = run_python(HEAD + code)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def error_of(code):
    """The last line of the traceback of a piece of code that fails."""
    result = run_python(HEAD + code)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stderr.strip().splitlines()[-1]


class TestSplitDevice:
    def test_makes_logical_cpus_and_says_so(self):
        made, summary, logical = run(
            "d = split_device(3, memory_limit_mib=64, kind='cpu'); print(d.names); print(d.summary)\n"
            "print([x.name for x in tf.config.list_logical_devices('CPU')])"
        )
        assert made == "('CPU:0', 'CPU:1', 'CPU:2')"
        assert "made 3 virtual CPU devices" in summary
        assert "the limit is enforced by nothing" in summary
        assert logical == "['/device:CPU:0', '/device:CPU:1', '/device:CPU:2']"

    def test_the_same_call_again_returns_the_same(self):
        assert run("print(split_device(2) is split_device(2))") == ["True"]

    def test_another_call_is_refused(self):
        error = error_of("split_device(2); split_device(3)")
        assert error.startswith("RuntimeError: this process was split with {'num_devices': 2")
        assert "asked for {'num_devices': 3}" in error

    def test_too_late_is_refused(self):
        error = error_of("tf.constant(1.0) + 1.0; split_device(2)")
        assert error.startswith("RuntimeError: 2 logical devices were asked for")
        assert "before the first TensorFlow operation" in error

    @pytest.mark.parametrize("count", [1, 3])
    def test_a_split_of_the_users_own_is_neither_kept_nor_replaced_in_silence(self, count):
        error = error_of(f"{OWN_SPLIT}; split_device({count})")
        assert error.startswith("RuntimeError: /physical_device:CPU:0 is split already, into 2 logical devices, and")
        assert f"and {count} logical device" in error
        assert "leave the splitting to split_device" in error

    def test_a_split_of_the_users_own_that_is_the_same_is_used(self):
        assert run(f"{OWN_SPLIT}; print(split_device(2).names)") == ["('CPU:0', 'CPU:1')"]

    def test_one_cpu_needs_no_split_and_works_at_any_time(self):
        assert run("tf.constant(1.0) + 1.0; print(split_device(1, kind='cpu').names)") == ["('CPU:0',)"]


class TestMakeStrategy:
    def test_one_device_gives_the_default_strategy(self):
        assert run("print(make_strategy(split_device(1)) is tf.distribute.get_strategy())") == ["True"]

    def test_sums_over_all_replicas(self):
        code = "s = make_strategy(split_device(3)); print(s.num_replicas_in_sync)\n"
        code += "f = lambda: tf.distribute.get_replica_context().replica_id_in_sync_group + 1\n"
        code += "print(s.reduce('SUM', s.run(f), axis=None).numpy())"
        assert run(code) == ["3", "6"]

    def test_with_the_collectives_of_real_gpus_the_same_devices_are_summed_over_again(self):
        """A second MirroredStrategy would clash with the first one's collectives, as the one made last does."""
        code = "import distribute.strategy; distribute.strategy._cross_device_ops = lambda devices: None\n"
        code += "d = split_device(2, kind='cpu')\n"
        code += "all_reduce = lambda part: tf.distribute.get_replica_context().all_reduce('SUM', part)\n"
        code += "ones = lambda s, n: s.run(tf.function(lambda: all_reduce(tf.ones([n]))))\n"
        code += "from distribute import check_transport; print(check_transport(make_strategy(d), d).ok)\n"
        code += "print([ones(make_strategy(d), n).values[1].shape[0] for n in (3, 5)])\n"
        assert run(code) == ["True", "[3, 5]"]
        assert "CollectiveReduceV2" in error_of(code + "ones(tf.distribute.MirroredStrategy(d.names), 7)")

    def test_a_device_that_does_not_exist_is_refused_instead_of_hanging(self):
        error = error_of(
            "import dataclasses; d = split_device(2, kind='cpu')\n"
            "make_strategy(dataclasses.replace(d, names=('CPU:0', 'GPU:0')))"
        )
        assert error.startswith(
            "distribute.device_plan.DeviceError: GPU:0 asked for, and TensorFlow has only CPU:0, CPU:1"
        )


class TestVerifyWithoutDevices:
    CODE = (
        "from distribute import verify; from tests.distribute.programs import batch, program\n"
        "report = verify(program(), [batch()], dtypes=('float64',), shrink=False)\n"
        "print(report.ok); print(report.devices)"
    )

    def test_a_fresh_process_is_split_in_two(self):
        ok, devices = run(self.CODE)
        assert ok == "True"
        assert "'replicas': 2, 'names': ['CPU:0', 'CPU:1'], 'memory_limit_mib': None" in devices

    def test_the_split_of_the_process_is_taken_and_described(self):
        ok, devices = run(f"split_device(3, memory_limit_mib=64, kind='cpu')\n{self.CODE}")
        assert ok == "True"
        assert "'placement': 'virtual', 'replicas': 3, 'names': ['CPU:0', 'CPU:1', 'CPU:2']" in devices
        assert "'memory_limit_mib': 64, 'limit_enforced_by': 'nothing" in devices
