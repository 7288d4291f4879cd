"""Did the replicas see each example once? Readers that shard, and readers that do not."""

import numpy as np
import pytest
import tensorflow as tf

from .programs import batch, check, failed, program, quick


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

    def test_strings_are_counted(self):
        from distribute.equivalence_check.coverage import counted

        assert counted(np.array([b"a", b"b", b"a"], object)).total() == 3
        assert len(counted(np.array([[b"a"], [b"b"], [b"a"]], object))) == 2
