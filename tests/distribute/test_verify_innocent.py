"""Correct programs pass, whatever they are made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Program, verify

from . import programs
from .programs import batch, check, compiled, failed, program, quick, strategy


def trained_apart(models, optimizers, data):
    """Each model trained once, by an optimizer of its own; their losses."""
    losses = []
    for model, optimizer in zip(models, optimizers, strict=True):
        with tf.GradientTape() as tape:
            losses.append(programs.squared_error(model, *data))
        gradients = tape.gradient(losses[-1], model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return losses


class TestInnocentPrograms:
    @pytest.mark.parametrize("num_replicas", [1, 2, 3, 4, 8])
    def test_custom_step_passes(self, num_replicas):
        report = verify(program(), [batch(24), batch(11, 1)], strategy=strategy(num_replicas), steps=2)
        assert report.ok, str(report)
        assert not report.causes
        assert check(report, "gradient_equivalence/float64").observed <= 1e-12

    @pytest.mark.parametrize("num_replicas", [1, 2, 3, pytest.param(8, marks=pytest.mark.proof)])
    def test_compiled_model_passes(self, num_replicas):
        build = compiled(optimizer="adam", metrics=["mae"])
        report = verify(build, [batch(24)], strategy=strategy(num_replicas), steps=3)
        assert report.ok, str(report)
        assert check(report, "metrics/mae").status == "passed"

    @pytest.mark.parametrize(
        "optimizer",
        [
            keras.optimizers.Lion,
            *(
                pytest.param(one, marks=pytest.mark.proof)
                for one in (keras.optimizers.AdamW, keras.optimizers.RMSprop, keras.optimizers.Adafactor)
            ),
        ],
    )
    def test_optimizers_that_amplify_rounding_pass(self, optimizer):
        def model():
            normalised = keras.layers.BatchNormalization(synchronized=True)
            return programs.mlp(keras.layers.Dense(4), normalised)

        # The bias before the normalisation has a gradient of zero, so its update is rounding alone.
        report = verify(program(model, optimizer), [batch(24)], strategy=strategy(3), steps=2)
        assert report.ok, str(report)

    def test_convolution_frozen_layer_and_dropout_without_training_pass(self):
        def model():
            frozen = keras.layers.Dense(5)
            frozen.trainable = False
            image = keras.layers.Reshape((2, 3, 1))
            return programs.mlp(image, keras.layers.Conv2D(3, 2), keras.layers.Flatten(), frozen)

        report = verify(program(model), [batch()], strategy=strategy(2))
        assert report.ok, str(report)
        assert len(report.variables) == len({row["path"] for row in report.variables}) >= 6

    def test_two_models_with_an_optimizer_each_pass(self):
        def build():
            models = [programs.dense(), programs.dense()]
            optimizers = [keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.1)]

            def train_step(data):
                losses = trained_apart(models, optimizers, data)
                return {"loss": sum(losses)}

            return Program(train_step, model=models, optimizer=optimizers)

        report = quick(build)
        assert report.ok, str(report)

    def test_sparse_gradients_pass(self):
        def model():
            return keras.Sequential(
                [
                    keras.Input((3,), dtype="int32"),
                    keras.layers.Embedding(9, 4),
                    keras.layers.Flatten(),
                    keras.layers.Dense(1),
                ]
            )

        rows = np.random.default_rng(0).integers(0, 9, (12, 3)).astype("int32")
        report = verify(program(model, keras.optimizers.Adam), [(rows, batch()[1])], strategy=strategy(3), steps=2)
        assert report.ok, str(report)

    def test_repeated_rows_of_an_embedding_pass_where_the_ratio_is_rounded(self):
        def model():
            embedding = keras.layers.Embedding(7, 3, mask_zero=True)
            pooled = keras.layers.GlobalAveragePooling1D()
            return keras.Sequential([keras.Input((4,), dtype="int32"), embedding, pooled, keras.layers.Dense(1)])

        rows = np.random.default_rng(0).integers(0, 7, (30, 4)).astype("int32")
        report = verify(compiled(model, "adamw"), [(rows, batch(30)[1])], strategy=strategy(3), steps=2)
        assert report.ok, str(report)

    def test_optimizers_that_make_their_slots_at_the_first_step_pass(self):
        def build():
            models, optimizers = [programs.dense(), programs.dense()], [keras.optimizers.Adam(), keras.optimizers.SGD()]

            def train_step(data):
                losses = trained_apart(models, optimizers, data)
                return {"loss": losses[0], "second": losses[1]}

            return Program(train_step, model=models)

        report = verify(build, [batch()], strategy=strategy(2), steps=2, dtypes=("float64",))
        assert report.ok, str(report)

    def test_model_without_variables_before_its_first_call_passes(self):
        def model():
            return keras.Sequential([keras.layers.Dense(3, activation="tanh"), keras.layers.Dense(1)])

        assert verify(compiled(model), [batch()], strategy=strategy(2)).ok
        own_step = program(model, build_optimizer=False)
        report = verify(own_step, [batch()], strategy=strategy(2), steps=2)
        assert report.ok, str(report)

    def test_own_update_without_optimizer_passes(self):
        def build():
            weight = tf.Variable(tf.ones((programs.FEATURES, 1), keras.config.floatx()), name="w")
            module = tf.Module()
            module.w = weight

            def train_step(data):
                x, y = data
                with tf.GradientTape() as tape:
                    loss = tf.reduce_sum(tf.square(x @ weight - y)) / 12
                gradient = tape.gradient(loss, weight)
                total = tf.distribute.get_replica_context().all_reduce("SUM", gradient)
                weight.assign_sub(0.1 * total)
                return {"loss": loss}

            return Program(train_step, model=module)

        report = verify(build, [batch(12)], strategy=strategy(2), steps=2)
        assert "gradient_equivalence/float64" not in failed(report), str(report)

    def test_trainable_variables_that_hold_no_real_numbers_pass(self):
        def build():
            module = tf.Module()
            module.w = tf.Variable(tf.ones((programs.FEATURES, 1), tf.complex64))
            module.steps, module.begun = tf.Variable(0, dtype=tf.int64), tf.Variable(False)
            module.text = tf.Variable("not begun")

            def train_step(data):
                x, y = (tf.cast(part, tf.complex64) for part in data)
                with tf.GradientTape() as tape:
                    loss = tf.reduce_sum(tf.square(tf.abs(x @ module.w - y))) / 12
                gradient = tape.gradient(loss, module.w)
                module.w.assign_sub(0.1 * tf.distribute.get_replica_context().all_reduce("SUM", gradient))
                module.steps.assign_add(1)
                module.begun.assign(True)
                module.text.assign("begun")
                return {"loss": loss}

            return Program(train_step, model=module)

        report = quick(build, steps=2)
        assert report.ok, str(report)
        assert {row["dtype"]: row["role"] for row in report.variables} == {
            "complex64": "trainable",
            "int64": "state",
            "bool": "state",
        }
        assert any("pins its dtype (float32)" in note for note in report.notes)


class TestOptimizersAndDtypes:
    def test_optimizer_that_asks_for_paths_passes(self):
        report = quick(program(make_optimizer=keras.optimizers.Muon), num_replicas=3, steps=2)
        assert report.ok, str(report)
        assert not any("could not be replayed" in note for note in report.notes)

    def test_bfloat16_passes(self):
        def build():
            model = programs.dense()
            model.compile("sgd", "mse", metrics=["mae"])
            return model

        report = verify(build, [batch(12)], strategy=strategy(2), dtypes=("float64", "bfloat16"))
        assert report.ok, str(report)


class TestRandomness:
    def test_masks_that_differ_between_replicas_pass(self):
        class OwnDropout(keras.layers.Layer):
            def call(self, x, training=False):
                context = tf.distribute.get_replica_context()  # None while Keras builds the layer symbolically
                replica = context.replica_id_in_sync_group if context else 0
                return tf.nn.experimental.stateless_dropout(x, 0.5, seed=tf.stack([7, tf.cast(replica, tf.int32)]))

        report = verify(program(lambda: programs.mlp(OwnDropout())), [batch()], strategy=strategy(2))
        assert report.ok, str(report)
        assert check(report, "randomness").status == "passed"

    def test_without_random_operations_it_is_skipped(self):
        report = verify(program(), [batch()], strategy=strategy(2), dtypes=("float64",))
        assert "not triggered" in check(report, "randomness").detail
