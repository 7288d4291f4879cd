import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Program
from train.checkpoint import Checkpoints
from train.epoch_means import EpochMeans
from train.errors import NonFiniteError
from train.replica_state import combined


def build(strategy):
    """A model whose moving statistics differ from replica to replica, and that draws random numbers."""
    with strategy.scope():
        model = keras.Sequential([keras.Input([2]), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)])
        optimizer = keras.optimizers.SGD()
        optimizer.build(model.trainable_variables)
    return Program(train_step=None, model=model, optimizer=optimizer)


def step(strategy, program, value=1.0):
    @tf.function
    def run():
        def replica_step():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            program.model(tf.fill([4, 2], value * tf.cast(replica, tf.float32)), training=True)

        strategy.run(replica_step)

    run()


def copies(strategy, program):
    return [
        [copy.numpy() for copy in strategy.experimental_local_results(variable.value)]
        for variable in program.model.non_trainable_variables
    ]


def checkpoints(folder, strategy, program):
    return Checkpoints(folder, program, strategy=strategy)


@pytest.fixture
def saved(tmp_path, strategy_of):
    """A checkpoint of two replicas, and the values that they held."""
    strategy = strategy_of(2)
    writer = build(strategy)
    step(strategy, writer)
    checkpoints(tmp_path, strategy, writer).save(1, EpochMeans())
    return tmp_path, copies(strategy, writer)


class TestRestore:
    def test_gives_each_replica_what_it_held(self, saved, strategy_of):
        folder, (mean, variance, seed) = saved
        assert not np.array_equal(*mean)
        assert seed[0][1] == 1  # how often it was drawn from
        strategy = strategy_of(2)
        reader = build(strategy)
        checkpoints(folder, strategy, reader).restore_latest()
        np.testing.assert_array_equal(copies(strategy, reader), [mean, variance, seed])

    @pytest.mark.parametrize("num_replicas", [1, 3])
    def test_gives_another_number_of_replicas_the_mean(self, saved, strategy_of, num_replicas):
        folder, (mean, _, seed) = saved
        strategy = strategy_of(num_replicas)
        reader = build(strategy)
        restored = checkpoints(folder, strategy, reader)
        restored.restore_latest()
        means, _, seeds = copies(strategy, reader)
        np.testing.assert_array_equal(means, [np.mean(mean, axis=0)] * num_replicas)
        np.testing.assert_array_equal(seeds, [seed[0]] * num_replicas)
        assert restored.differing_names == [reader.model.layers[0].moving_mean.path]


class TestSave:
    def test_statistics_that_are_ruined_on_another_replica_than_the_first(self, tmp_path, strategy_of):
        strategy = strategy_of(2)
        ruined = build(strategy)
        step(strategy, ruined, value=np.inf)
        with pytest.raises(NonFiniteError, match="moving_mean"):
            checkpoints(tmp_path, strategy, ruined).save(1, EpochMeans())
        assert not list(tmp_path.glob("*.index"))


class TestCombined:
    def test_agreement_is_kept_to_the_bit(self):
        value = np.float32([0.1, 1e-45, -0.0])
        assert combined(np.stack([value] * 3)).tobytes() == value.tobytes()

    def test_is_the_mean_of_floating_point_and_the_first_of_whole_numbers(self):
        np.testing.assert_array_equal(combined(np.float32([[1], [4]])), np.float32([2.5]))
        np.testing.assert_array_equal(combined(np.int64([[1], [4]])), [1])
