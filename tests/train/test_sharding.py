"""Shards: each row exactly once, whatever the batch and the number of replicas."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.train.sources import array_source
from train.data import train_batches
from train.sharding import shard_input_fn, take_shard

_NUM_REPLICAS = (1, 2, 3, 4, 8)
_BATCH_SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 19, 29, 64)


def _shards(batch: tuple, num_replicas: int) -> list:
    shards = [take_shard(batch, replica_id, num_replicas) for replica_id in range(num_replicas)]
    return [tf.nest.map_structure(lambda part: part.numpy(), shard) for shard in shards]


@pytest.mark.parametrize("num_replicas", _NUM_REPLICAS)
@pytest.mark.parametrize("batch_size", _BATCH_SIZES)
class TestShardsOfABatch:
    def test_hold_each_row_exactly_once_in_order(self, batch_size, num_replicas):
        rows = tf.range(batch_size)
        shards = _shards((rows,), num_replicas)
        real = np.concatenate([part[weights == 1] for part, weights in shards])
        assert real.tolist() == list(range(batch_size))

    def test_weigh_each_row_one_and_each_filler_zero(self, batch_size, num_replicas):
        weights = [weights for _, weights in _shards((tf.range(batch_size),), num_replicas)]
        assert sum(part.sum() for part in weights) == batch_size
        fillers = max(num_replicas - batch_size, 0)
        assert sum((part == 0).sum() for part in weights) == fillers

    def test_are_balanced_and_never_empty(self, batch_size, num_replicas):
        sizes = [len(weights) for _, weights in _shards((tf.range(batch_size),), num_replicas)]
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1


class TestTakeShard:
    def test_takes_the_same_rows_of_every_tensor_of_a_nest(self):
        rows = tf.range(10)
        batch = ({"a": rows, "b": [tf.stack([rows, rows], 1), rows]}, rows)
        features, labels, weights = take_shard(batch, 1, 3)
        assert labels.numpy().tolist() == [3, 4, 5]
        assert features["a"].numpy().tolist() == features["b"][1].numpy().tolist() == [3, 4, 5]
        assert features["b"][0].numpy().tolist() == [[3, 3], [4, 4], [5, 5]]
        assert weights.numpy().tolist() == [1, 1, 1]

    @pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
    def test_weights_have_the_dtype_of_the_images(self, dtype):
        *_, weights = take_shard((tf.zeros([4, 2], dtype), tf.range(4)), 0, 2)
        assert weights.dtype == dtype

    def test_weights_of_integers_are_float32(self):
        assert take_shard((tf.range(4),), 0, 2)[-1].dtype == tf.float32

    def test_is_traced_once_for_all_batch_sizes_and_replicas(self):
        traces = []

        @tf.function(input_signature=[tf.TensorSpec([None]), tf.TensorSpec([], tf.int32)])
        def shard(images, replica_id):
            traces.append(images.shape)
            return take_shard((images,), replica_id, 3)

        assert [len(shard(tf.zeros([size]), replica)[0]) for size in (9, 7) for replica in range(3)] == [3] * 3 + [
            2,
            2,
            3,
        ]
        assert len(traces) == 1

    def test_works_in_replica_context(self):
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])

        @tf.function
        def step(batch):
            context = tf.distribute.get_replica_context()
            return take_shard(batch, context.replica_id_in_sync_group, context.num_replicas_in_sync)[0]

        result = strategy.run(step, args=((tf.range(5),),))
        assert strategy.experimental_local_results(result)[0].numpy().tolist() == [0, 1, 2, 3, 4]


class TestShardInputFn:
    """21 examples in batches of 8: the last one, of 5, is uneven, and smaller than 8 replicas."""

    def _make_batches(self) -> tf.data.Dataset:
        return train_batches(array_source(21), global_batch_size=8, seed=3, num_epochs=2)

    def _expected(self, num_replicas: int) -> list:
        """[step][replica] -> (images, labels, weights)."""
        return [_shards(batch, num_replicas) for batch in self._make_batches()]

    def _read(self, num_pipelines: int, pipeline: int, num_replicas: int) -> list:
        context = tf.distribute.InputContext(num_pipelines, pipeline, num_replicas)
        return list(shard_input_fn(self._make_batches)(context).as_numpy_iterator())

    def _assert_same(self, actual: list, expected: list) -> None:
        for actual_shard, expected_shard in itertools.zip_longest(actual, expected):
            for actual_part, expected_part in zip(actual_shard, expected_shard, strict=True):
                np.testing.assert_array_equal(actual_part, expected_part)

    @pytest.mark.parametrize("num_replicas", _NUM_REPLICAS)
    def test_one_pipeline_yields_all_shards_in_replica_order(self, num_replicas):
        expected = list(itertools.chain.from_iterable(self._expected(num_replicas)))
        self._assert_same(self._read(1, 0, num_replicas), expected)

    @pytest.mark.parametrize("num_replicas", _NUM_REPLICAS)
    def test_each_of_n_pipelines_yields_its_own_shard(self, num_replicas):
        expected = self._expected(num_replicas)
        for replica in range(num_replicas):
            self._assert_same(self._read(num_replicas, replica, num_replicas), [shards[replica] for shards in expected])

    def test_two_workers_of_two_replicas_yield_two_shards_each(self):
        expected = self._expected(4)
        for worker in range(2):
            own = [shards[2 * worker + local] for shards in expected for local in range(2)]
            self._assert_same(self._read(2, worker, 4), own)

    def test_spec_leaves_the_batch_size_open(self):
        spec = shard_input_fn(self._make_batches)(tf.distribute.InputContext(1, 0, 2)).element_spec
        assert [part.shape.as_list() for part in spec] == [[None, 8, 8, 1], [None], [None]]

    def test_is_what_a_strategy_hands_to_its_replicas(self):
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
        dataset = strategy.distribute_datasets_from_function(shard_input_fn(self._make_batches))
        self._assert_same(
            [tuple(part.numpy() for part in shard) for shard in dataset],
            [shards[0] for shards in self._expected(1)],
        )
