"""Verification dies neither of a limit that is meant for training, nor of a reference that does not fit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import DeviceError, Program, verify
from distribute.equivalence_check import host_memory
from distribute.equivalence_check.host_memory import needed_mib
from distribute.equivalence_check.variables import OPTIMIZER, TRAINABLE, Slot, shared

BATCHES = [(np.linspace(-1.0, 1.0, 24, dtype=np.float32).reshape(12, 2), np.ones([12, 1], np.float32))]


def program_that_runs_out_of_memory(where):
    """A linear regression whose step raises ResourceExhaustedError where `where(strategy, dtype, rows)` says so."""
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)

    def run_out():
        raise MemoryError("planted")  # TensorFlow makes it a ResourceExhaustedError

    def train_step(batch):
        features, targets = batch
        replica = tf.distribute.get_replica_context()
        if where(tf.distribute.get_strategy(), model.compute_dtype, features.shape[0]):
            tf.py_function(run_out, [], [])
        with tf.GradientTape() as tape:
            num_examples = replica.all_reduce("SUM", tf.cast(tf.shape(features)[0], model.compute_dtype))
            loss = tf.reduce_sum(tf.square(model(features) - targets)) / num_examples
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)


def whole_batch_on_the_device(strategy, dtype, rows):
    return rows == 12 and not tf.distribute.has_strategy()


def replicas_in_float64(strategy, dtype, rows):
    return strategy.num_replicas_in_sync > 1 and dtype == "float64" and rows == 6


def replicas(strategy, dtype, rows):
    return strategy.num_replicas_in_sync > 1 and rows == 6


def statuses_of(report):
    return {check.name: check.status for check in report.checks}


class TestOutOfMemory:
    def test_a_reference_that_does_not_fit_on_one_device_runs_on_the_host(self, strategy_of):
        report = verify(
            lambda: program_that_runs_out_of_memory(whole_batch_on_the_device), BATCHES, strategy=strategy_of(2)
        )
        assert report.ok, report
        assert statuses_of(report)["gradient_equivalence/float64"] == "passed"
        assert any("reference ran on the host" in note for note in report.notes)

    def test_replicas_that_do_not_fit_in_float64_are_judged_in_float32(self, strategy_of):
        report = verify(lambda: program_that_runs_out_of_memory(replicas_in_float64), BATCHES, strategy=strategy_of(2))
        assert report.ok, report
        assert statuses_of(report)["gradient_equivalence/float64"] == "skipped"
        assert statuses_of(report)["gradient_equivalence/float32"] == "passed"
        assert any("weaker evidence" in note for note in report.notes)

    def test_replicas_that_fit_in_neither_fail(self, strategy_of):
        report = verify(
            lambda: program_that_runs_out_of_memory(replicas),
            BATCHES,
            strategy=strategy_of(2),
        )
        assert statuses_of(report)["execution"] == "failed"


class TestHostMemory:
    # Resident memory at its peak, measured on two CPU cores with the nets of benchmarks/wide_net.py.
    @pytest.mark.parametrize(
        ("trained", "copies", "num_replicas", "measured_mib"),
        [
            (5_926_402, 3, 1, 3_203),
            (5_926_402, 3, 2, 4_557),
            (5_926_402, 3, 4, 6_235),
            (11_796_402, 3, 2, 8_330),
            (5_926_402, 1, 2, 2_929),
            (5_926_402, 1, 4, 4_042),
        ],
    )
    def test_is_what_was_measured(self, trained, copies, num_replicas, measured_mib):
        weights = Slot("kernel", TRAINABLE, tf.zeros([trained]))
        moments = Slot("moments", OPTIMIZER, tf.zeros([copies - 1, trained]))
        assert needed_mib([weights, moments], num_replicas, value_bytes=8) == pytest.approx(measured_mib, rel=0.2)

    def test_a_model_that_does_not_fit_is_refused_before_it_fills_the_memory(self, monkeypatch):
        monkeypatch.setattr(host_memory, "host_memory_mib", lambda: 901)

        def build():
            model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1000), keras.layers.Dense(1)])
            model.compile("adam", "mse")
            return model

        with pytest.raises(DeviceError, match=r"takes some 0\.9 GiB of host memory, and this machine has 0\.9"):
            verify(build, BATCHES, strategy=tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))

    def test_replicas_that_agree_share_one_array(self):
        value = np.array([0.0, np.nan])
        first, same, other = shared([value, value.copy(), np.array([-0.0, np.nan])])
        assert same is first
        assert other is not first
