import os
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Program, verify

from . import programs
from .programs import batch, compiled, program, quick, strategy


def hooks():
    optimizer = keras.optimizers.Optimizer
    return (
        tf.GradientTape.gradient,
        optimizer.apply,
        optimizer._all_reduce_sum_gradients,
        tf.distribute.ReplicaContext.all_reduce,
        tf.distribute.ReplicaContext.all_gather,
        type(tf.function(lambda: None)).__call__,
        type(tf.distribute.get_strategy().extended)._num_replicas_in_sync,
    )


def state():
    return {
        "floatx": keras.config.floatx(),
        "policy": keras.config.dtype_policy().name,
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "environment": dict(os.environ),
        "hooks": hooks(),
        "optimiser of graphs": tf.config.optimizer.get_experimental_options(),
        "eager": tf.config.functions_run_eagerly(),
        "replicas": tf.distribute.get_strategy().num_replicas_in_sync,
    }


class TestGlobalState:
    def test_is_as_before_when_verify_returns(self):
        keras.utils.set_random_seed(5)
        name = keras.layers.Dense(1).name
        before = state()
        assert verify(compiled(), [batch()], strategy=strategy(2)).ok
        assert state() == before
        assert keras.layers.Dense(1).name == _next(name)

    def test_is_as_before_when_verify_raises(self):
        before = state()

        def broken():
            keras.config.set_floatx("float16")
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            verify(broken, [batch()], strategy=strategy(2))
        assert state() == before

    def test_tensorflow_draws_the_same_numbers_after(self):
        tf.random.set_seed(3)
        first = tf.random.normal([2]).numpy(), tf.random.normal([2]).numpy()
        tf.random.set_seed(3)
        again = tf.random.normal([2]).numpy()
        verify(program(), [batch()], strategy=strategy(2), dtypes=("float64",))
        np.testing.assert_array_equal(first[0], again)
        np.testing.assert_array_equal(first[1], tf.random.normal([2]).numpy())

    def test_settings_of_keras_hold_in_build(self):
        seen = []

        def model():
            own = keras.saving.get_registered_object("Own")
            seen.append((own, keras.config.is_flash_attention_enabled(), keras.layers.Dense(1).name))
            return programs.dense()

        keras.config.disable_flash_attention()
        try:
            with keras.saving.custom_object_scope({"Own": programs.dense}):
                assert quick(program(model)).ok
        finally:
            keras.config.enable_flash_attention()
        assert set(seen) == {(programs.dense, False, "dense")}

    def test_functions_of_the_user_keep_no_hook(self):
        drawn = []

        @tf.function(jit_compile=True)
        def noise(x):
            return x + tf.random.stateless_normal(tf.shape(x), [1, 2], dtype=x.dtype)

        def loss(model, x, y):
            return programs.squared_error(model, noise(x), y)

        assert not verify(program(loss=loss), [batch()], strategy=strategy(2), dtypes=("float64",)).ok
        drawn = noise(tf.zeros((12, 6), tf.float64)).numpy()
        assert len(np.unique(drawn[:, 0])) == 12


def _next(name):
    stem, _, number = name.rpartition("_")
    return f"{stem}_{int(number) + 1}" if number.isdigit() else f"{name}_1"


class TestExceptionsOfTheUser:
    def test_build_that_raises(self):
        def build():
            raise LookupError("no such layer")

        with pytest.raises(LookupError, match="no such layer") as caught:
            verify(build, [batch()], strategy=strategy(2))
        assert any("build()" in note for note in caught.value.__notes__)

    def test_step_that_raises_on_one_device(self):
        class OwnError(Exception):
            def __init__(self, code, where):
                super().__init__(f"{code} in {where}")

        def failing(model, x, y):
            raise OwnError(7, "my step")

        with pytest.raises(OwnError, match="7 in my step") as caught:
            verify(program(loss=failing), [batch()], strategy=strategy(2))
        assert any("by train_step on one device (float64)" in note for note in caught.value.__notes__)

    @pytest.mark.parametrize("built", [None, 3, keras.Sequential([keras.layers.Dense(1)])])
    def test_build_that_returns_the_wrong_thing(self, built):
        with pytest.raises(TypeError, match="compiled keras.Model or a Program"):
            verify(lambda: built, [batch()], strategy=strategy(2))

    def test_build_that_makes_other_variables_each_time(self):
        sizes = iter(range(3, 99))

        def model():
            return programs.mlp(keras.layers.Dense(next(sizes)))

        with pytest.raises(ValueError, match=r"kernel.*has shape"):
            verify(program(model), [batch()], strategy=strategy(2))

    def test_build_that_returns_what_was_made_outside_of_it(self):
        model, optimizer = compiled()(), keras.optimizers.SGD(0.1)
        for build, what in ((lambda: model, "model"), (program(make_optimizer=lambda _: optimizer), "optimizer")):
            with pytest.raises(ValueError, match=f"must create the {what}: it returned one that was made outside"):
                verify(build, [batch()], strategy=strategy(2))

    def test_step_that_returns_no_loss(self):
        def build():
            plain = program()()
            return Program(lambda data: {"other": plain.train_step(data)["loss"]}, model=plain.model)

        with pytest.raises(ValueError, match="'loss'"):
            verify(build, [batch()], strategy=strategy(2))


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"accept": ("no_such_cause",)}, "no known cause"),
            ({"steps": 0}, "steps is 0"),
            ({"dtypes": ("int8",)}, "dtypes"),
            ({"devices": object()}, "both devices and strategy"),
        ],
    )
    def test_wrong_ones_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            verify(program(), [batch()], strategy=strategy(2), **options)

    @pytest.mark.parametrize(
        "other", [tf.distribute.MultiWorkerMirroredStrategy, tf.distribute.experimental.CentralStorageStrategy]
    )
    def test_strategy_of_another_layout_is_refused(self, other):
        with pytest.raises(ValueError, match=r"MirroredStrategy with as many replicas|devices=split_device"):
            verify(program(), [batch()], strategy=other())

    def test_inside_a_scope_it_is_refused(self):
        mirrored = strategy(2)
        with mirrored.scope(), pytest.raises(RuntimeError, match="outside"):
            verify(program(), [batch()], strategy=mirrored)


class TestSeveralVerifications:
    def test_other_models_sizes_and_replicas_in_one_process_and_after_training(self):
        model = compiled()()
        model.fit(*batch(), verbose=0)
        assert verify(program(), [batch(12)], strategy=strategy(2), dtypes=("float64",)).ok
        wider = compiled(lambda: programs.mlp(keras.layers.Dense(7)), "adam")
        assert verify(wider, [batch(20)], strategy=strategy(4), dtypes=("float64",)).ok
        assert verify(program(), [batch(9)], strategy=strategy(3), dtypes=("float64",)).ok


class TestPinnedDtype:
    def test_program_of_one_dtype_is_judged_in_it_and_the_report_says_so(self):
        def build():
            model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1, dtype="float32")])
            model.compile("sgd", "mse")
            return model

        report = verify(build, [batch()], strategy=strategy(2))
        assert report.ok, str(report)
        assert any("weaker evidence" in note for note in report.notes)

    def test_every_question_is_judged_by_one_table(self):
        def build():
            model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1, dtype="bfloat16")])
            model.compile(keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1)), "mse")
            return model

        report = quick(build)
        names = ("gradient_equivalence/float32", "reference_reproducibility", "update_equivalence/overflow")
        assert {programs.check(report, name).allowed for name in names} == {0.05}

    def test_loss_taken_in_float32_is_no_false_alarm(self):
        def loss(model, x, y):
            error = tf.cast(model(x), tf.float32) - tf.cast(y, tf.float32)
            return tf.reduce_sum(tf.square(error)) / 12

        report = verify(program(loss=loss), [batch(12)], strategy=strategy(3), steps=2)
        assert report.ok, str(report)
        assert any("float32" in note for note in report.notes)


class TestProgress:
    @pytest.mark.parametrize(("dtypes", "parts"), [(("float64", "float32"), 4), (("float32",), 3)])
    def test_is_told_after_each_part(self, dtypes, parts):
        data = tf.data.Dataset.from_tensor_slices(batch(7)).batch(4)  # the second one is split unevenly
        told = []
        options = {"dtypes": dtypes, "shrink": False, "on_progress": lambda *counts: told.append(counts)}
        verify(compiled(), data, strategy=strategy(2), **options)
        assert told == [(done, parts) for done in range(1, parts + 1)]
