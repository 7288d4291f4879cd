"""The loop on N replicas against the loop on one: the same weights, losses and accuracies to rounding."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from configs.digits import get_config
from train.data import Source, eval_batches, train_batches
from train.errors import NonFiniteError
from train.loop import TrainFunction, evaluate, train
from train.step import build_program

# Seven batches an epoch, the last one of 7 examples: fewer than 8 replicas, and no multiple of 2, 3 or 4.
NUM_EXAMPLES, BATCH = 199, 32
STEPS = 20
RECIPE = dataclasses.replace(get_config(), global_batch_size=BATCH)


@pytest.fixture(autouse=True, scope="module")
def _float64():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="module")
def source():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, [NUM_EXAMPLES, 28, 28, 1], dtype=np.uint8)
    labels = random.integers(0, 10, [NUM_EXAMPLES])
    examples = tf.data.Dataset.from_tensor_slices((images, labels)).cache()
    return Source("noise", (28, 28, 1), 10, NUM_EXAMPLES, NUM_EXAMPLES, examples, examples, "memory")


def run(strategy, source, *, steps=STEPS, learning_rate=1e-3, steps_per_call=1):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        program = build_program(dataclasses.replace(RECIPE, learning_rate=learning_rate), (28, 28, 1), 10)
    history = []

    def after_call(step, means):
        history.extend(np.stack([means[name] for name in ("loss", "accuracy")], axis=1))
        return False

    batches = train_batches(source, global_batch_size=BATCH, seed=0, num_epochs=3, dtype="float64")
    train_function = TrainFunction(strategy, program)
    train(
        train_function,
        batches,
        first_step=0,
        num_steps=steps,
        after_call=after_call,
        steps_per_call=steps_per_call,
    )
    test = evaluate(strategy, program, eval_batches(source, global_batch_size=BATCH, dtype="float64"))
    return program, np.array(history), test


def train_all(strategy, program, batches, num_steps, **options):
    function = TrainFunction(strategy, program)
    train(function, batches, first_step=0, num_steps=num_steps, after_call=lambda step, means: False, **options)


@pytest.fixture(scope="module")
def single(source):
    return run(tf.distribute.get_strategy(), source)


class TestAgreementWithOneDevice:
    @pytest.mark.parametrize(
        "num_replicas", [2, pytest.param(3, marks=pytest.mark.proof), 4, pytest.param(8, marks=pytest.mark.proof)]
    )
    def test_after_twenty_steps(self, strategy_of, source, single, num_replicas):
        program, history, test = run(strategy_of(num_replicas), source)
        expected_program, expected_history, expected_test = single
        np.testing.assert_allclose(history, expected_history, rtol=1e-9)
        for variable, expected in zip(program.model.variables, expected_program.model.variables, strict=True):
            np.testing.assert_allclose(variable.numpy(), expected.numpy(), rtol=0, atol=1e-9, err_msg=variable.path)
        assert test["accuracy"] == pytest.approx(expected_test["accuracy"], abs=1e-12)
        assert test["loss"] == pytest.approx(expected_test["loss"], rel=1e-9)

    @pytest.mark.parametrize("num_replicas", [1, 2])
    def test_after_twenty_steps_by_six_in_a_call(self, strategy_of, source, single, num_replicas):
        program, history, _ = run(strategy_of(num_replicas), source, steps_per_call=6)
        expected_program, expected_history, _ = single
        np.testing.assert_allclose(history, expected_history, rtol=1e-9)
        for variable, expected in zip(program.model.variables, expected_program.model.variables, strict=True):
            np.testing.assert_allclose(variable.numpy(), expected.numpy(), rtol=0, atol=1e-9, err_msg=variable.path)

    def test_training_changed_the_weights(self, source, single):
        """Or the comparison above would hold for a loop that does nothing."""
        _, history, _ = single
        assert len(history) == STEPS
        assert len(np.unique(history[:, 0])) == STEPS


class TestEvaluate:
    def test_is_the_mean_over_all_examples(self, source, single):
        program, _, test = single
        images, labels = next(iter(eval_batches(source, global_batch_size=NUM_EXAMPLES, dtype="float64")))
        logits = program.model(images, training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        assert test["loss"] == pytest.approx(float(tf.reduce_mean(losses)), rel=1e-12)
        assert test["accuracy"] == pytest.approx(np.mean(np.argmax(logits, -1) == labels.numpy()), abs=1e-12)


class TestTrain:
    @pytest.mark.parametrize("steps_per_call", [1, 4])
    def test_is_traced_once_whatever_the_batch_and_the_number_of_steps(self, source, steps_per_call):
        keras.utils.set_random_seed(0)
        strategy = tf.distribute.get_strategy()
        program = build_program(RECIPE, (28, 28, 1), 10)
        train_function = TrainFunction(strategy, program)
        batches = train_batches(source, global_batch_size=BATCH, seed=0, num_epochs=2, dtype="float64")
        calls = []
        train(
            train_function,
            batches,
            first_step=0,
            num_steps=14,
            after_call=lambda step, means: calls.append(step),
            steps_per_call=steps_per_call,
            next_stop=lambda step: 7 if step < 7 else 14,
        )
        assert calls == ([*range(1, 15)] if steps_per_call == 1 else [4, 7, 11, 14])
        assert train_function.num_traces == 1

    def test_ends_when_told_to(self, source):
        strategy = tf.distribute.get_strategy()
        train_function = TrainFunction(strategy, build_program(RECIPE, (28, 28, 1), 10))
        batches = train_batches(source, global_batch_size=BATCH, seed=0, num_epochs=2, dtype="float64")
        assert train(train_function, batches, first_step=5, num_steps=14, after_call=lambda step, _: step == 8) == 8

    @pytest.mark.parametrize("num_replicas", [1, 2])
    def test_names_the_step_that_was_not_finite_among_several_in_a_call(self, strategy_of, source, num_replicas):
        keras.utils.set_random_seed(0)
        strategy = strategy_of(num_replicas)
        with strategy.scope():
            program = build_program(RECIPE, (28, 28, 1), 10)
        batches = train_batches(source, global_batch_size=BATCH, seed=0, num_epochs=3, dtype="float64")
        poisoned = batches.enumerate().map(lambda step, batch: (batch[0] / tf.cast(step != 8, tf.float64), batch[1]))
        with pytest.raises(NonFiniteError, match="step 9: NaN or Inf in loss on replica 0"):
            train_all(strategy, program, poisoned, 14, steps_per_call=6)
        expected_program, _, _ = run(strategy, source, steps=8)
        for variable, expected in zip(program.model.variables, expected_program.model.variables, strict=True):
            np.testing.assert_allclose(variable.numpy(), expected.numpy(), rtol=0, atol=1e-9, err_msg=variable.path)

    @pytest.mark.parametrize("num_replicas", [1, 2])
    def test_stops_before_the_update_at_nan_and_names_the_variable(self, strategy_of, source, num_replicas):
        strategy = strategy_of(num_replicas)
        with strategy.scope():
            program = build_program(RECIPE, (28, 28, 1), 10)
        bias = program.model.layers[0].bias
        bias.assign(np.full(bias.shape, np.inf))
        before = [variable.numpy() for variable in program.model.variables]
        batches = train_batches(source, global_batch_size=BATCH, seed=0, num_epochs=1, dtype="float64")
        with pytest.raises(
            NonFiniteError, match=r"step 1: NaN or Inf in loss on replica 0, .*conv2d\w*/kernel on replica 0"
        ):
            train_all(strategy, program, batches, 3)
        for variable, value in zip(program.model.variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)
