"""Damage that is planted on one way between devices, and what the verdict calls it."""

import numpy as np
import pytest
import tensorflow as tf

from distribute import check_transport
from distribute.devices import Devices
from distribute.transport_check import copies
from distribute.transport_check.known_values import MOST_EXACT, SIZES_IN_BYTES, copied_values, float_values

SENT = sum(len(values) for values in copied_values())
SUMMED = sum(size // 4 for size in SIZES_IN_BYTES)


def devices_of(num_devices, limit_mib=None):
    names = tuple(f"CPU:{index}" for index in range(num_devices))
    return Devices("cpu", names, "virtual", "default", limit_mib, "", "")


def strategy_with(operations, num_replicas):
    return tf.distribute.MirroredStrategy(list(devices_of(num_replicas).names), cross_device_ops=operations)


def damage_copies(monkeypatch, damage, *, source, target):
    """What goes from one device to another one arrives as `damage` has it."""
    copy_to = copies.copy_to

    def damaging(value, device):
        arrived = copy_to(value, device)
        hit = value.device.endswith(source) and device == target
        return tf.constant(damage(arrived.numpy())) if hit else arrived

    monkeypatch.setattr(copies, "copy_to", damaging)


def last_value_negated(values):
    return np.append(values[:-1], -values[-1:])


class AlteringReduction(tf.distribute.ReductionToOneDevice):
    """Alters what is summed over replicas."""

    def __init__(self, alter):
        super().__init__()
        self.alter = alter

    def reduce_implementation(self, *args):
        return self._altered(super().reduce_implementation(*args))

    def batch_reduce_implementation(self, *args):
        return [self.reduce_implementation(args[0], value, to, args[2]) for value, to in args[1]]

    def _altered(self, mirrored):
        return type(mirrored)([self.alter(value) for value in mirrored.values])


class TestSoundDevices:
    @pytest.mark.parametrize("num_devices", [2, 3, 4])
    def test_pass(self, strategy_of, num_devices):
        verdict = check_transport(strategy_of(num_devices), devices_of(num_devices))
        assert verdict.ok
        assert str(verdict) == "every device gets what it is sent"
        assert verdict.to_dict() == {"ok": True, "failures": [], "remedies": [], "seconds": verdict.seconds}

    def test_send_no_more_than_a_small_limit_has_room_for(self, strategy_of, monkeypatch):
        monkeypatch.setattr(copies, "copy_to", lambda value, device: tf.zeros_like(value))
        verdict = check_transport(strategy_of(2), devices_of(2, limit_mib=8))
        assert verdict.failures[0].num_values * 4 < 0.1 * 8 * 2**20

    def test_one_device_has_nothing_to_send(self, strategy_of):
        verdict = check_transport(strategy_of(1), devices_of(1))
        assert verdict.ok
        assert "CPU:0 is the only device" in str(verdict)
        assert verdict.to_dict() == {}

    def test_the_second_call_sends_nothing(self, strategy_of, monkeypatch):
        strategy = strategy_of(2)
        first = check_transport(strategy, devices_of(2))
        damage_copies(monkeypatch, last_value_negated, source="CPU:0", target="CPU:1")
        assert check_transport(strategy, devices_of(2)) is first


class TestDamagedCopies:
    @pytest.mark.parametrize(
        ("damage", "num_wrong", "first"),
        [
            (last_value_negated, 4, f"{-copied_values()[0][-1]} where {copied_values()[0][-1]} belongs"),
            (np.zeros_like, SENT, f"0 where {copied_values()[0][0]} belongs"),
            (
                lambda values: values if values.dtype == np.int64 else values * np.float32(np.nan),
                6 + 2**18,
                "nan where",
            ),
        ],
    )
    def test_name_the_pair_and_what_to_do(self, strategy_of, monkeypatch, damage, num_wrong, first):
        damage_copies(monkeypatch, damage, source="CPU:2", target="CPU:1")
        verdict = check_transport(strategy_of(3), devices_of(3))
        (failure,) = verdict.failures
        assert (failure.what, failure.num_wrong, failure.num_values) == ("CPU:2 -> CPU:1", num_wrong, SENT)
        assert failure.first.startswith(first)
        assert ["ACS" in verdict.remedies[0], "iommu=pt" in verdict.remedies[1]] == [True, True]
        assert "NCCL_P2P_DISABLE=1" in verdict.remedies[2]
        assert f"CPU:2 -> CPU:1: {num_wrong:,} of {SENT:,} values differ, first {failure.first}" in str(verdict)

    def test_of_every_pair_are_told_in_one_line(self, strategy_of, monkeypatch):
        monkeypatch.setattr(copies, "copy_to", lambda value, device: tf.zeros_like(value))
        verdict = check_transport(strategy_of(4), devices_of(4))
        assert len(verdict.failures) == 12
        assert verdict.found.endswith("; and 8 more")


class TestDamagedSums:
    @pytest.mark.parametrize("alter", [lambda value: value * 2, lambda value: value * np.nan])
    def test_name_the_collective_and_not_the_copies(self, alter):
        verdict = check_transport(strategy_with(AlteringReduction(alter), 2), devices_of(2))
        assert [failure.what for failure in verdict.failures] == [
            "the strategy's all-reduce, on CPU:0",
            "the strategy's all-reduce, on CPU:1",
        ]
        assert {(failure.num_wrong, failure.num_values) for failure in verdict.failures} == {(SUMMED, SUMMED)}
        assert "NCCL_P2P_DISABLE=1" in verdict.remedies[0]
        assert "ReductionToOneDevice" in verdict.remedies[1]

    def test_a_replica_that_is_dropped(self):
        """As TensorFlow's own operation does with an odd number of them."""
        lossy = strategy_with(tf.distribute.HierarchicalCopyAllReduce(num_packs=1), 3)
        verdict = check_transport(lossy, devices_of(3))
        assert {failure.what.split(",")[0] for failure in verdict.failures} == {"the strategy's all-reduce"}

    def test_the_sum_on_one_device(self, strategy_of, monkeypatch):
        strategy = strategy_of(2)
        monkeypatch.setattr(tf.distribute, "ReductionToOneDevice", lambda: AlteringReduction(tf.zeros_like))
        verdict = check_transport(strategy, devices_of(2))
        assert [failure.what for failure in verdict.failures] == [
            "ReductionToOneDevice, on CPU:0",
            "ReductionToOneDevice, on CPU:1",
        ]
        assert "ACS" in verdict.remedies[0]


class TestKnownValues:
    def test_use_every_bit_and_never_zero(self):
        for values in copied_values():
            assert np.all(values != 0)
        integers = copied_values()[2]
        assert integers.dtype == np.int64
        assert np.bitwise_or.reduce(integers) == np.bitwise_or.reduce(~integers) == -1
        assert len(np.unique(integers)) == len(integers) == 2**17

    def test_float32_holds_them_and_the_sum_of_thirty_two_replicas(self):
        most = MOST_EXACT // sum(range(1, 33)) - 1
        values = float_values(2**20, most)
        assert (values.min(), values.max()) == (1, most)
        assert np.array_equal(values, values.astype(np.int64))
