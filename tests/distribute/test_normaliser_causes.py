"""Means over something else than the examples, tokens, weights, labels, are named with what each replica divided by."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Program

from . import programs
from .programs import batch, explained, program, quick


class TestInFloat32:
    """A cast to float32 in the user's code keeps a program there; causes are told with its rounding."""

    def build(self, mean):
        def build():
            model = programs.mlp(keras.layers.Dense(4, activation="tanh", dtype="float32"))
            model.compile(keras.optimizers.SGD(0.1), Cast())
            return model

        class Cast(keras.losses.Loss):
            def call(self, labels, outputs):
                return mean(labels, tf.cast(outputs, tf.float32))

        return build

    @pytest.mark.parametrize("num_replicas", [2, 3])
    def test_masked_mean_of_each_replica(self, num_replicas):
        def masked_mean(labels, outputs):
            mask = tf.cast(labels > 0, tf.float32)
            return tf.reduce_sum(mask * tf.square(outputs - tf.cast(labels, tf.float32))) / tf.reduce_sum(mask)

        x, y = batch(24)
        data = [(x, np.where(np.arange(24)[:, None] % 5 < 2, np.abs(y), 0).astype("float32"))]
        report = quick(self.build(masked_mean), data, num_replicas)
        assert report.causes == ("loss_summed_over_replicas", "masked_mean_per_replica")
        assert any("judged by the table of float32" in note for note in report.notes)

    def test_uneven_shards(self):
        def mean(labels, outputs):
            return tf.reduce_mean(tf.square(outputs - tf.cast(labels, tf.float32)), axis=-1)

        _, one = explained(self.build(mean), [batch(7)])
        assert one.cause == "uneven_batch_weighting"


class TestNormalisers:
    def weighted(self, name):
        def build():
            plain, model = program()(), programs.dense()
            optimizer = keras.optimizers.SGD(0.1)
            optimizer.build(model.trainable_variables)

            def train_step(data):
                weights = tf.cast(data[name], model.compute_dtype)
                with tf.GradientTape() as tape:
                    error = tf.square(model(data["x"]) - tf.cast(data["y"], model.compute_dtype))[:, 0]
                    loss = tf.reduce_sum(weights * error) / tf.reduce_sum(weights)
                    loss /= tf.distribute.get_strategy().num_replicas_in_sync
                gradients = tape.gradient(loss, model.trainable_variables)
                optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
                return {"loss": loss}

            return Program(train_step, model=[model, plain.model])

        return build

    def test_sample_weights_are_found_in_the_batch(self):
        x, y = batch(12)
        weights = np.random.default_rng(1).uniform(0.1, 3, 12).astype("float32")
        _, one = explained(self.weighted("importance"), [{"x": x, "y": y, "importance": weights}])
        assert one.cause == "sample_weight_mean_per_replica"
        assert "batch['importance']" in one.evidence

    def test_flags_that_may_be_either_are_both_named(self):
        x, y = batch(12)
        flags = np.array([1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0], "float32")
        report, one = explained(self.weighted("valid_mask"), [{"x": x, "y": y, "valid_mask": flags}])
        assert report.causes == ("masked_mean_per_replica", "sample_weight_mean_per_replica")  # its name says mask
        assert "batch['valid_mask']" in one.evidence

    def test_shard_without_a_label_counts_for_nothing_and_its_loss_is_not_a_number(self):
        def build():
            plain = program()()
            model, optimizer = plain.model, plain.optimizer

            def train_step(data):
                x, y, labelled = data
                with tf.GradientTape() as tape:
                    error = tf.square(model(x) - tf.cast(y, model.compute_dtype))[:, 0]
                    loss = tf.reduce_mean(tf.boolean_mask(error, labelled))
                    loss /= tf.distribute.get_strategy().num_replicas_in_sync
                gradients = tape.gradient(loss, model.trainable_variables)
                optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
                return {"loss": loss}

            return Program(train_step, model=model, optimizer=optimizer)

        report, one = explained(build, [(*batch(8), np.arange(8) < 3)])
        assert report.causes == ("masked_mean_per_replica", "non_finite")
        assert "batch[2]" in one.evidence
        assert report.explanations[1].variable == "loss"

    def test_padded_tokens_of_a_compiled_model(self):
        def build():
            model = keras.Sequential(
                [
                    keras.Input((5,), dtype="int32"),
                    keras.layers.Embedding(9, 4, mask_zero=True),
                    keras.layers.Dense(9),
                ]
            )
            model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            return model

        tokens = np.random.default_rng(0).integers(1, 9, (12, 5)).astype("int32")
        tokens[:5, 2:] = 0
        _, one = explained(build, [(tokens, tokens)])
        assert one.cause == "masked_mean_per_replica"
        assert "are not 0" in one.evidence

    def test_padded_tokens_of_a_step_that_shifts_its_targets_itself(self):
        def build():
            model = keras.Sequential([keras.Input((6,), dtype="int32"), keras.layers.Embedding(9, 9)])
            optimizer = keras.optimizers.SGD(0.1)

            def train_step(tokens):
                targets = tokens[:, 1:]
                with tf.GradientTape() as tape:
                    losses = keras.losses.sparse_categorical_crossentropy(targets, model(tokens[:, :-1]), True)
                    valid = tf.cast(targets != 0, losses.dtype)
                    loss = tf.reduce_sum(losses * valid) / tf.reduce_sum(valid)
                    loss /= tf.distribute.get_strategy().num_replicas_in_sync
                gradients = tape.gradient(loss, model.trainable_variables)
                optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
                return {"loss": loss}

            return Program(train_step, model=model, optimizer=optimizer)

        tokens = np.random.default_rng(0).integers(1, 9, (12, 7)).astype("int32")
        tokens[:5, 2:] = 0
        _, one = explained(build, [tokens])
        assert one.cause == "masked_mean_per_replica"
        assert "batch[:, 1:] that are not 0" in one.evidence
