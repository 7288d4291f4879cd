"""Did the replicas see each example once? Readers that shard, and readers that do not."""

import numpy as np
import pytest
import tensorflow as tf

from distribute import pad_last_batch
from distribute.equivalence_check import input_checks
from distribute.equivalence_check.coverage import counted, weighted
from distribute.equivalence_check.inputs import read_inputs

from .programs import batch, check, failed, program, quick, strategy


class TestInputCoverage:
    def reader(self, shard, examples=24, size=None, change=None, drop_remainder=False):
        def make(context):
            dataset = tf.data.Dataset.from_tensor_slices(batch(examples))
            if shard is not None:
                dataset = dataset.shard(context.num_input_pipelines, shard(context))
            dataset = change(dataset) if change else dataset
            return dataset.batch(size or context.get_per_replica_batch_size(24), drop_remainder)

        return make

    @pytest.mark.parametrize(("examples", "drop"), [(24, False), (24, True), (25, False), (48, True)])
    def test_readers_of_the_same_examples_in_a_short_epoch(self, examples, drop):
        report = quick(program(), self.reader(lambda context: 0, examples, drop_remainder=drop))
        assert failed(report) == {"input_coverage"}
        assert report.causes == ("replicated_input",)

    def test_sharded_short_epoch_passes(self):
        report = quick(program(), self.reader(lambda context: context.input_pipeline_id))
        assert report.ok, str(report)
        assert "each one once" in check(report, "input_coverage").detail

    @pytest.mark.parametrize("examples", [26, 30, 34])
    def test_shuffled_and_dropped_remainder_passes(self, examples):
        build = self.reader(
            lambda context: context.input_pipeline_id,
            examples,
            4,
            lambda dataset: dataset.shuffle(examples),
            drop_remainder=True,
        )
        report = quick(program(), build)
        assert report.ok, str(report)

    def test_missing_examples_are_not_said_to_come_once(self):
        report = quick(program(), self.reader(lambda context: context.input_pipeline_id, 30, 4, None, True))
        assert "each one once" not in check(report, "input_coverage").detail

    def noise(self, dataset):
        return dataset.map(lambda x, y: (x + tf.random.normal(tf.shape(x)), y))

    def test_random_augmentation_is_skipped_with_the_reason(self):
        tf.random.set_seed(None)  # with a seed, which another test may have set, the noise repeats itself
        for data in (
            self.reader(lambda context: context.input_pipeline_id, change=self.noise),
            self.noise(tf.data.Dataset.from_tensor_slices(batch(24))).batch(24),
        ):
            report = quick(program(), data)
            assert report.ok, str(report)
            assert "other values each time" in check(report, "input_coverage").detail
            assert any("other values each time" in note for note in report.notes)

    def coverage(self, data):
        return input_checks.coverage(read_inputs(data, strategy(2)), 2)

    def padded(self, context=None):
        """56 rows are filled up to 64 with copies of others each time, since every reading shuffles anew."""
        dataset = tf.data.Dataset.from_tensor_slices(batch(56))
        if context:
            dataset = dataset.shard(context.num_input_pipelines, context.input_pipeline_id)
        return pad_last_batch(dataset.shuffle(56).batch(16), 16)

    def test_rows_of_weight_0_may_be_others_each_time(self):
        tf.random.set_seed(None)  # with a seed, which another test may have set, the order repeats itself
        for data in (self.padded(), self.padded):
            found, _, notes = self.coverage(data)
            assert found.status == "passed"
            assert not notes
            assert "56 examples of one epoch, each one once" in found.detail
            assert "rows of weight 0 are left out" in found.detail

    def test_padded_readers_of_the_same_examples_are_found(self):
        found, explained, notes = self.coverage(lambda context: self.padded())
        assert found.status == "failed"
        assert "56 examples came too often, 0 of 56 never" in found.detail
        assert not notes
        assert explained[0].cause == "replicated_input"

    def test_weights_are_the_third_part_of_a_batch(self):
        x, y = batch(3)
        kept = np.array([1, 0, 2], "float32")
        for nest, number in (((x, y, kept), 2), ((x, y, {"a": kept, "b": kept * 0}), 2), ((x, kept), 3)):
            assert weighted(counted(nest)).total() == number
        assert weighted(counted((x, y, kept.astype(int)))).total() == 3  # a label, as a step of one's own reads it
        assert weighted(counted([x, y, kept])).total() == 3
        assert weighted(counted((x, y, np.zeros((3, 4, 1))))).total() == 0
        assert counted((x[:0], y[:0], kept[:0])).total() == 0

    def test_strings_are_counted(self):
        assert counted(np.array([b"a", b"b", b"a"], object)).total() == 3
        assert len(counted(np.array([[b"a"], [b"b"], [b"a"]], object))) == 2
