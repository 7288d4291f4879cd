"""What the replicas raise and one device does not is told whole, with what to write instead where that is known."""

import keras
import pytest
import tensorflow as tf

from distribute import Program, global_mean

from .programs import batch, check, dense, quick


class WithoutCall(keras.Model):
    """As in Keras' own examples: two parts, and a train_step that computes with them."""

    def __init__(self):
        super().__init__()
        self.part = dense()

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = global_mean(tf.reduce_sum(tf.square(self.part(x) - tf.cast(y, self.compute_dtype)), axis=-1))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


def without_call(*, built=False):
    def build():
        model = WithoutCall()
        model.compile(keras.optimizers.SGD(0.1))
        model.built = built
        return model

    return build


def accumulating():
    model = dense()
    model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), keras.losses.MeanSquaredError())
    return model


class TestFailedExecution:
    def test_of_a_model_without_call_says_how_keras_builds_one_under_a_strategy(self):
        detail = check(quick(without_call(), [batch()]), "execution").detail
        assert detail.startswith("the replicas raised RuntimeError, one device did not: Unable to automatically build")
        assert "does not have a `call()` method" in detail
        assert "instead: under a strategy Keras builds a model by calling it" in detail
        assert "\x1b" not in detail

    def test_is_gone_with_what_the_message_says_to_write(self):
        report = quick(without_call(built=True), [batch()])
        report.raise_if_failed()
        assert check(report, "execution").status == "passed"

    def test_of_what_keras_cannot_do_with_replicas_says_what_to_leave_out(self):
        detail = check(quick(accumulating, [batch()]), "execution").detail
        assert "merge_call" in detail
        assert "no gradient_accumulation_steps" in detail

    def test_of_an_optimizer_that_is_first_built_in_a_function_says_to_build_it_before(self):
        def build():
            model, optimizer = dense(), keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))

            @tf.function
            def train_step(data):
                x, y = data
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean(tf.square(model(x) - tf.cast(y, model.compute_dtype)))
                    scaled = optimizer.scale_loss(loss)
                gradients = tape.gradient(scaled, model.trainable_variables)
                optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
                return {"loss": loss}

            return Program(train_step, model=model, optimizer=optimizer)

        detail = check(quick(build, [batch()]), "execution").detail
        assert "Unable to lift tensor" in detail
        assert "optimizer.build(variables)" in detail

    @pytest.mark.parametrize("words", [2, 200])
    def test_keeps_beginning_and_end_of_a_message(self, words):
        def build():
            model = dense()
            model.compile("sgd", loss)
            return model

        def loss(labels, outputs):
            if tf.distribute.get_strategy().num_replicas_in_sync > 1:
                raise ValueError("here it begins" + " and goes on" * words + " here it ends")
            return tf.reduce_mean(tf.square(outputs - tf.cast(labels, outputs.dtype)), axis=-1)

        detail = check(quick(build, [batch()]), "execution").detail
        assert "here it begins and" in detail
        assert "here it ends" in detail
        assert len(detail) < 1000
        assert (" … " in detail) == (words == 200)
