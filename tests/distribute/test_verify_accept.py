"""What the user accepts: no failure, as long as nothing else is wrong."""

import keras
import tensorflow as tf

from distribute import Program, verify

from . import programs
from .programs import batch, check, failed, program, quick, strategy


def replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync


class TestAccept:
    ACCEPTED = ("local_batch_statistics", "moving_statistics_not_aggregated")

    def test_plain_batch_normalization_is_accepted(self):
        build = program(lambda: programs.mlp(keras.layers.BatchNormalization()))
        report = verify(build, [batch()], strategy=strategy(2), accept=self.ACCEPTED)
        assert report.ok, str(report)
        assert report.accepted == self.ACCEPTED
        assert check(report, "gradient_equivalence/float64").status == "accepted"

    def test_another_mistake_still_fails(self):
        def local_mean(model, x, y):
            return tf.reduce_mean(tf.square(model(x, training=True) - tf.cast(y, model.compute_dtype)))

        build = program(lambda: programs.mlp(keras.layers.BatchNormalization()), loss=local_mean)
        report = verify(build, [batch()], strategy=strategy(2), accept=self.ACCEPTED, dtypes=("float64",))
        assert "gradient_equivalence/float64" in failed(report)
        assert report.causes == ("loss_summed_over_replicas",)

    def test_cause_that_does_not_occur_is_a_note(self):
        report = verify(program(), [batch()], strategy=strategy(2), accept=("non_finite",), dtypes=("float64",))
        assert report.ok
        assert "non_finite" in report.notes[0]


class TestAcceptedStatistics:
    ACCEPTED = ("local_batch_statistics", "moving_statistics_not_aggregated")

    def normalised(self, outputs=lambda prediction, loss: {}, write=lambda own: None):
        def build():
            own = tf.Variable(0.0, trainable=False, name="own")
            model, optimizer = programs.mlp(keras.layers.BatchNormalization()), keras.optimizers.SGD(0.1)
            optimizer.build(model.trainable_variables)

            def train_step(data):
                x, y = data
                write(own)
                with tf.GradientTape() as tape:
                    prediction = model(x, training=True)
                    error = tf.reduce_sum(tf.square(prediction - tf.cast(y, prediction.dtype)))
                    loss = error / tf.cast(programs.global_count(x), error.dtype)
                gradients = tape.gradient(loss, model.trainable_variables)
                optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
                return {"loss": loss, **outputs(prediction, loss)}

            return Program(train_step, model=model, optimizer=optimizer, variables=[own])

        return build

    def test_variable_apart_beside_batch_normalization_still_fails(self):
        def write(own):
            own.assign(tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, own.dtype))

        report = quick(self.normalised(write=write), accept=self.ACCEPTED)
        assert {"replica_sync", "state_equivalence/float64"} <= failed(report)
        assert report.causes == ("unsynchronized_variable",)

    def test_state_wrong_alike_on_all_replicas_still_fails(self):
        report = quick(self.normalised(write=lambda own: own.assign_add(1.0 * replicas())), accept=self.ACCEPTED)
        assert "state_equivalence/float64" in failed(report)

    def test_metric_wrong_by_itself_still_fails(self):
        build = self.normalised(lambda prediction, loss: {"most": tf.reduce_max(prediction)})
        report = quick(build, accept=self.ACCEPTED)
        assert failed(report) == {"metrics/most"}
        assert check(report, "metrics/loss").status == "accepted"

    def test_metric_that_follows_the_statistics_is_accepted(self):
        report = quick(self.normalised(lambda prediction, loss: {"twice": 2 * loss}), accept=self.ACCEPTED, steps=2)
        assert report.ok, str(report)
        assert report.accepted == self.ACCEPTED


class TestAcceptedRate:
    def test_scaled_learning_rate_is_accepted_over_several_steps(self):
        def build():
            model = programs.dense()
            model.compile(keras.optimizers.Adam(0.01 * replicas()), "mse")
            return model

        report = quick(build, num_replicas=3, steps=3, accept=("learning_rate_scaling",))
        assert report.ok, str(report)
        assert report.accepted == ("learning_rate_scaling",)

    def test_scaled_schedule_is_accepted(self):
        def build():
            model = programs.dense()
            rate = keras.optimizers.schedules.ExponentialDecay(0.01 * replicas(), 1, 0.5)
            model.compile(keras.optimizers.SGD(rate), "mse")
            return model

        report = quick(build, steps=2, accept=("learning_rate_scaling",))
        assert report.ok, str(report)
        assert report.accepted == ("learning_rate_scaling",)
