"""A cause comes with the numbers that it rests on, the place in the user's code, and what to write instead."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Program

from . import programs
from .programs import batch, compiled, explained, program, quick

HERE = Path(__file__).name


def line_of(location):
    """The source line that a location names."""
    file, number = re.match(r"(\S+\.py):(\d+) in ", location).groups()
    return Path(file).read_text().splitlines()[int(number) - 1]


def local_mean(model, x, y):
    error = tf.square(model(x, training=True) - tf.cast(y, model.compute_dtype))
    return tf.reduce_mean(error)


def regularised(model, x, y):
    return programs.squared_error(model, x, y) + 0.01 * tf.nn.l2_loss(model.trainable_variables[0])


class TestPlaces:
    def test_loss_of_a_custom_step(self):
        _, one = explained(program(loss=local_mean))
        assert "ratio 2" in one.evidence
        assert line_of(one.location).strip() == "return tf.reduce_mean(error)"

    @pytest.mark.proof
    def test_line_behind_control_flow_that_autograph_rewrites(self):
        def looped(model, x, y):
            total = tf.zeros((), model.compute_dtype)
            for _ in tf.range(2):
                total += local_mean(model, x, y)
            if total < 0:
                total = -total
            return total / 2

        _, one = explained(program(loss=looped))
        assert HERE in one.location
        assert "return total / 2" in line_of(one.location)

    def test_compiled_model_is_placed_where_it_is_compiled(self):
        _, one = explained(compiled(), [batch(7)])
        assert one.cause == "uneven_batch_weighting"
        assert "shard sizes [4, 3]" in one.evidence
        assert "model.compile(" in line_of(one.location)

    def test_clip_by_hand(self):
        def clipped(gradients, context):
            return tf.clip_by_global_norm(gradients, 0.05)[0]

        _, one = explained(program(change=clipped))
        assert one.cause == "clip_before_all_reduce"
        assert "clip_by_global_norm" in line_of(one.location)

    def test_reduction_by_hand(self):
        def reduced(gradients, context):
            return context.all_reduce("SUM", gradients)

        _, one = explained(program(change=reduced), num_replicas=3)
        assert one.cause == "double_all_reduce"
        assert "1 time(s) by the step and 1 time(s) by the optimizer" in one.evidence
        assert "context.all_reduce" in line_of(one.location)

    def test_layer_where_it_was_made(self):
        report, one = explained(program(lambda: programs.mlp(keras.layers.BatchNormalization())))
        assert report.causes == ("local_batch_statistics", "moving_statistics_not_aggregated")
        assert all("keras.layers.BatchNormalization()" in line_of(each.location) for each in report.explanations)
        assert one.variable == "batch_normalization"

    def test_write_of_a_variable(self):
        def build():
            plain = program()()
            own = tf.Variable(0.0, trainable=False, name="own")

            def train_step(data):
                own.assign(tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, own.dtype))
                return plain.train_step(data)

            return Program(train_step, model=plain.model, optimizer=plain.optimizer, variables=[own])

        _, one = explained(build)
        assert one.cause == "unsynchronized_variable"
        assert "own.assign(" in line_of(one.location)

    def test_reader_of_the_input(self):
        def reader(context):
            return tf.data.Dataset.from_tensor_slices(batch(24)).batch(context.get_per_replica_batch_size(24))

        report = quick(program(), reader)
        (one,) = report.explanations
        assert one.cause == "replicated_input"
        assert "def reader(context):" in line_of(one.location)


class TestTermOfTheWeights:
    def test_number_of_times_and_variable(self):
        _, one = explained(program(loss=regularised), num_replicas=3)
        assert one.cause == "regularizer_per_replica"
        assert "2 times what a function of the weights alone adds" in one.evidence
        assert one.variable == "sequential/dense/kernel"

    def test_layers_with_a_regulariser_are_named(self):
        def model():
            return programs.mlp(keras.layers.Dense(4, kernel_regularizer="l2", name="heavy"))

        def loss(model, x, y):
            return programs.squared_error(model, x, y) + sum(model.losses)

        _, one = explained(program(model, loss=loss))
        assert "heavy" in one.evidence

    def test_in_a_compiled_model_whose_loss_scale_is_rounded(self):
        """With three replicas Keras' 1/N is off by 3e-8."""

        class Penalised(keras.Sequential):
            def compute_loss(self, *args, **kwargs):
                penalty = 0.01 * tf.nn.l2_loss(self.trainable_variables[0])
                return super().compute_loss(*args, **kwargs) + penalty

        def build():
            model = Penalised([keras.Input((programs.FEATURES,)), keras.layers.Dense(4), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            return model

        _, one = explained(build, num_replicas=3)
        assert one.cause == "regularizer_per_replica"

    def test_uneven_weights_beside_it_are_both_named(self):
        def both(model, x, y):
            n = tf.distribute.get_strategy().num_replicas_in_sync
            return local_mean(model, x, y) / n + 0.01 * tf.nn.l2_loss(model.trainable_variables[0])

        report, _ = explained(program(loss=both), [batch(7)])
        assert report.causes == ("regularizer_per_replica", "uneven_batch_weighting")


class TestStatisticsBesideADivisionByTheGlobalBatch:
    @pytest.mark.parametrize("normalised", ["by a layer", "in the loss"])
    def test_the_division_is_not_blamed(self, normalised):
        def build():
            layers = [keras.layers.BatchNormalization()] if normalised == "by a layer" else []
            model, optimizer = programs.mlp(*layers), keras.optimizers.SGD(0.1)

            def train_step(data):
                x, y = data
                if not layers:
                    y = (y - tf.reduce_mean(y)) / tf.math.reduce_std(y)
                with tf.GradientTape() as tape:
                    error = tf.square(model(x, training=True) - y)[:, 0]
                    loss = tf.nn.compute_average_loss(error, global_batch_size=12)
                own = model.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, own), own, strict=True))
                return {"loss": loss}

            return Program(train_step, model=model, optimizer=optimizer)

        report = quick(build)
        statistics = ("local_batch_statistics", "moving_statistics_not_aggregated")
        assert not report.ok
        assert report.causes == (statistics if normalised == "by a layer" else ())


class TestSeveralLosses:
    def test_one_loss_of_two_that_is_not_divided_is_named_with_its_line(self):
        def build():
            models = [programs.dense(), programs.dense()]
            optimizers = [keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)]
            replicas = tf.distribute.get_strategy().num_replicas_in_sync

            def apply(number, loss, tape):
                own = models[number].trainable_variables
                optimizers[number].apply_gradients(zip(tape.gradient(loss, own), own, strict=True))

            def train_step(data):
                x, y = data
                with tf.GradientTape() as tape:
                    right = tf.reduce_mean(tf.square(models[0](x) - y)) / replicas
                apply(0, right, tape)
                with tf.GradientTape() as tape:
                    wrong = tf.reduce_mean(tf.square(models[1](x) - y))
                apply(1, wrong, tape)
                return {"loss": right}

            return Program(train_step, model=models, optimizer=optimizers)

        report, one = explained(build)
        assert report.causes == ("loss_summed_over_replicas",)
        assert "in 4 of the 4 variables that are off" in one.evidence
        assert "wrong = " in line_of(one.location)

    def test_term_with_a_mask_is_named_by_the_variables_that_it_alone_trains(self):
        def build():
            body, heads = keras.layers.Dense(4), [keras.layers.Dense(3), keras.layers.Dense(3)]
            body.build((None, 6))
            for head in heads:
                head.build((None, 4))
            optimizer = keras.optimizers.SGD(0.1)

            def train_step(data):
                x, y, mask = data
                replicas = tf.distribute.get_strategy().num_replicas_in_sync
                mask = tf.cast(mask, keras.config.floatx())
                with tf.GradientTape() as tape:
                    masked, plain = (tf.reduce_sum(tf.square(head(body(x)) - y), axis=1) for head in heads)
                    loss = tf.reduce_sum(masked * mask) / tf.reduce_sum(mask) + tf.reduce_mean(plain)
                    loss /= replicas
                trained = [v for layer in (body, *heads) for v in layer.trainable_variables]
                optimizer.apply_gradients(zip(tape.gradient(loss, trained), trained, strict=True))
                return {"loss": loss}

            return Program(train_step, model=[body, *heads], optimizer=optimizer)

        report, one = explained(build, [(*batch(12), np.array([1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1], "int32"))])
        assert report.causes == ("masked_mean_per_replica",)
        assert "in 2 of the 4 variables that are off" in one.evidence

    def test_layer_that_is_called_again_after_a_wrong_update_is_not_blamed(self):
        def build():
            model, optimizer = programs.dense(), keras.optimizers.SGD(0.1)
            replicas = tf.distribute.get_strategy().num_replicas_in_sync

            def train_step(data):
                x, y = data
                with tf.GradientTape() as tape:
                    error = tf.square(model(x) - (y - tf.reduce_mean(y)) / tf.math.reduce_std(y))
                    loss = tf.reduce_mean(error) / replicas
                own = model.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, own), own, strict=True))
                return {"loss": loss, "after": tf.reduce_mean(model(x))}

            return Program(train_step, model=model, optimizer=optimizer)

        report = programs.quick(build)
        assert not report.ok
        assert report.causes == ()  # statistics of the shard, but of no layer
