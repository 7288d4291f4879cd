"""A failure is shrunk: the fewest replicas and examples that still fail, with a line that runs them again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import first_rows, verify

from . import programs
from .programs import batch, compiled, program, strategy


@pytest.fixture(autouse=True)
def _enough_time(monkeypatch):
    """The search is bounded by a share of the check's time, which a busy machine may use up early."""
    monkeypatch.setattr("distribute.equivalence_check.verification._SHARE_OF_SHRINKING", 100)


def local_mean(model, x, y):
    return tf.reduce_mean(tf.square(model(x) - tf.cast(y, model.compute_dtype)))


def smallest(build, data, num_replicas, **options):
    report = verify(build, data, strategy=strategy(num_replicas), **options)
    assert report.smallest is not None, str(report)
    return report, report.smallest


class TestSmallest:
    def test_mistake_that_needs_little(self):
        report, one = smallest(program(loss=local_mean), [batch(16)], 4)
        assert (one.num_replicas, one.num_rows) == (2, 2)
        assert len(one.variables) == one.compared == 4
        for what in ("the optimizer", "the dtype (float64 and float32 alike)", "replicas", "the batch size"):
            assert what in " ".join(one.does_not_matter)
        assert one.rerun in str(report)
        assert report.to_dict()["smallest_failure"]["num_rows"] == 2

    def test_optimizer_that_clips_does_matter(self):
        build = program(make_optimizer=lambda rate: keras.optimizers.SGD(rate, global_clipnorm=0.01))
        report, one = smallest(build, [batch(4)], 2, dtypes=("float64",))
        assert report.causes == ("clip_before_all_reduce",)
        assert one.does_not_matter == ["the batch size"]

    def test_only_uneven_batches_fail(self):
        _, one = smallest(compiled(), [batch(12), batch(11)], 2)
        assert (one.num_replicas, one.num_rows) == (2, 3)
        assert one.passing_rows == [2]
        assert "the batch size" not in one.does_not_matter
        assert "data[1:]" in one.rerun

    def test_the_line_runs_the_small_case(self):
        build, data = compiled(), [batch(12), batch(11)]
        report, one = smallest(build, data, 3)
        line = one.rerun.replace("strategy=strategy", "strategy=strategy(2)")
        again = eval(
            line, {"verify": verify, "build": build, "data": data, "first_rows": first_rows, "strategy": strategy}
        )
        assert again.causes == report.causes == ("uneven_batch_weighting",)

    def test_strategy_of_the_user_is_not_taken_apart(self):
        lossy = tf.distribute.MirroredStrategy(
            [f"CPU:{k}" for k in range(3)], cross_device_ops=tf.distribute.HierarchicalCopyAllReduce(num_packs=1)
        )
        report = verify(program(), [batch(12)], strategy=lossy, dtypes=("float64",))
        assert report.causes[0] == "dropped_replica"
        assert (report.smallest.num_replicas, report.smallest.num_rows) == (3, 3)
        assert "strategy=strategy" in report.smallest.rerun

    @pytest.mark.proof
    def test_what_was_accepted_is_no_part_of_it(self):
        build = program(lambda: programs.mlp(keras.layers.BatchNormalization()))
        accept = ("local_batch_statistics",)
        report = verify(build, [batch(12)], strategy=strategy(2), dtypes=("float64",), accept=accept)
        assert report.causes == ("moving_statistics_not_aggregated",)
        assert report.smallest.variables
        assert all("moving" in name for name in report.smallest.variables)
        assert "accept=('local_batch_statistics',)" in report.smallest.rerun

    def test_can_be_turned_off_and_is_not_done_where_nothing_failed(self):
        assert verify(program(loss=local_mean), [batch()], strategy=strategy(2), shrink=False).smallest is None
        assert verify(program(), [batch()], strategy=strategy(2)).smallest is None


class TestFirstRows:
    def test_of_each_door(self):
        x, y = batch(12)
        dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
        for data in ([(x, y)], dataset, lambda context: dataset):
            (first,) = first_rows(data, 3)
            np.testing.assert_array_equal(first[0], x[:3])

    def test_too_many_are_refused(self):
        with pytest.raises(ValueError, match="20 rows were asked for, the first batch has 12"):
            first_rows([batch(12)], 20)
