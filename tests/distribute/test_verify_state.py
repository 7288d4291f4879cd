"""Variables that are set from N, or combined when they are read."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Program, verify

from . import programs
from .programs import batch, check, failed, program, quick, strategy


def replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync


def with_variable(variable, step, loss_of=lambda own: programs.squared_error):
    """The right program with a variable of its own that `step(variable, data)` writes; the loss may read it."""

    def build():
        own = variable()
        plain = program(loss=loss_of(own))()

        def train_step(data):
            step(own, data)
            return plain.train_step(data)

        return Program(train_step, model=plain.model, optimizer=plain.optimizer, variables=[own])

    return build


class TestSetFromTheNumberOfReplicas:
    @pytest.mark.parametrize("num_replicas", [2, 3])
    def test_learning_rate_scaled_where_it_is_set(self, num_replicas):
        def build():
            model = programs.dense()
            model.compile(keras.optimizers.SGD(0.1 * replicas()), "mse")
            return model

        report = quick(build, num_replicas=num_replicas, steps=2)
        assert {"update_equivalence/float64", "update_equivalence/float64/steps_2"} <= failed(report)
        assert "gradient_equivalence/float64" not in failed(report)
        assert report.causes == ("learning_rate_scaling",)

    def test_rate_that_comes_out_the_same_passes(self):
        def build():
            model = programs.dense()
            model.compile(keras.optimizers.Adam(0.1 * replicas() / replicas()), "mse")
            return model

        assert quick(build, num_replicas=3).ok

    @pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32",)])
    def test_share_kept_in_a_variable_passes(self, dtypes):
        def mean(share):
            return lambda model, x, y: share * tf.reduce_mean(tf.square(model(x) - tf.cast(y, model.compute_dtype)))

        build = with_variable(
            lambda: tf.Variable(1.0 / replicas(), trainable=False, dtype=keras.config.floatx()),
            lambda share, data: None,
            mean,
        )
        report = verify(build, [batch(12)], strategy=strategy(3), dtypes=dtypes)
        assert report.ok, str(report)

    def test_random_state_starts_as_on_one_device(self):
        def build():
            plain = program()()
            own = tf.Variable(np.random.default_rng().normal(size=3), trainable=False)
            return Program(plain.train_step, model=plain.model, optimizer=plain.optimizer, variables=[own])

        assert quick(build).ok


class TestCombinedWhenRead:
    def test_weights_that_each_replica_holds_for_itself_are_compared(self):
        def build():
            # As Sonnet's Replicator makes all variables.
            weights = tf.Variable(
                tf.ones([6, 1], keras.config.floatx()),
                trainable=True,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            model = tf.Module()
            model.weights = weights

            def train_step(data):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_sum(tf.square(data[0] @ weights - data[1])) / 12
                weights.assign_sub(0.1 * tape.gradient(loss, weights))
                return {"loss": loss}

            return Program(train_step, model=model)

        report = quick(build)
        assert "replica_sync" in failed(report)
        assert report.causes == ("missing_all_reduce",)

    def test_part_that_each_replica_keeps_for_itself_passes(self):
        def accumulator():
            return tf.Variable(
                tf.zeros([6], keras.config.floatx()),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
            )

        def accumulate(own, data):
            own.assign_add(tf.reduce_sum(data[0], axis=0))

        report = quick(with_variable(accumulator, accumulate), steps=2)
        assert report.ok, str(report)

    def counter(self, aggregation=tf.VariableAggregation.SUM):
        return tf.Variable(
            1.0,
            trainable=False,
            dtype=tf.float64,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=aggregation,
        )

    def test_examples_counted_on_each_replica_pass(self):
        def count(counter, data):
            counter.assign_add(tf.cast(tf.shape(data[0])[0], counter.dtype))

        report = verify(with_variable(self.counter, count), [batch(13)], strategy=strategy(3))
        assert report.ok, str(report)

    def test_steps_counted_once_per_replica_fail(self):
        report = quick(with_variable(self.counter, lambda counter, data: counter.assign_add(1.0)))
        assert {"state_equivalence/float64", "state_equivalence/saved"} <= failed(report)

    def test_metric_from_outside_of_build_hides_no_replica(self):
        metric = keras.metrics.Mean(name="seen")

        def build():
            plain = program()()
            return Program(plain.train_step, model=[plain.model, metric], optimizer=plain.optimizer)

        assert "same on 2 replicas" in check(quick(build), "replica_sync").detail

    def test_metric_handed_over_as_variables_passes(self):
        def build():
            plain, metric = program()(), keras.metrics.Mean(name="seen")

            def train_step(data):
                metric.update_state(data[1])
                return plain.train_step(data)

            return Program(train_step, model=plain.model, optimizer=plain.optimizer, variables=metric.variables)

        report = quick(build)
        assert report.ok, str(report)
