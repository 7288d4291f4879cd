import re

import numpy as np
import pytest
import tensorflow as tf

from distribute import first_rows
from distribute.equivalence_check.inputs import read_inputs

from .programs import batch, check, compiled, failed, program, quick, squared_error, strategy


def pipeline(*, shard, per_replica=4, examples=32, shuffle=False):
    """An input function as users write it, with or without the call of `shard`."""

    def make(context):
        dataset = tf.data.Dataset.from_tensor_slices(batch(examples))
        if shuffle:
            dataset = dataset.shuffle(examples, seed=3)
        if shard:
            dataset = dataset.shard(context.num_input_pipelines, context.input_pipeline_id)
        return dataset.batch(per_replica)

    return make


class TestTensorsWithoutRows:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: tf.ragged.constant([[1, 2], [3], [4, 5, 6], [7]]), "ragged.*to_tensor"),
            (lambda: tf.sparse.from_dense(np.eye(4)), "sparse.*to_dense"),
        ],
    )
    def test_ragged_and_sparse_tensors_are_answered_with_what_to_give(self, make, message):
        tensor = make()
        with pytest.raises(TypeError, match=message):
            read_inputs([(tensor, np.ones((4, 1)))], strategy(2))
        with pytest.raises(TypeError, match=message):
            read_inputs(tf.data.Dataset.from_tensor_slices((tensor, np.ones((4, 1)))).batch(2), strategy(2))


class TestListOfBatches:
    def test_every_batch_is_checked_under_its_number(self):
        report = quick(program(), [batch(12), batch(8, 1), batch(5, 2)])
        names = {one.name for one in report.checks}
        gradients = {"gradient_equivalence/float64", "gradient_equivalence/float64@2", "gradient_equivalence/float64@3"}
        assert gradients <= names
        assert report.ok, str(report)

    def test_nested_batches_pass(self):
        def loss(model, x, y):
            return tf.reduce_sum(tf.square(model(x) - y)) / 12

        def unpacked(data):
            return data["in"][0], data["out"]

        def build():
            plain = program(loss=loss)()
            step = plain.train_step
            return type(plain)(lambda data: step(unpacked(data)), model=plain.model, optimizer=plain.optimizer)

        x, y = batch(12)
        assert quick(build, [{"in": (x,), "out": y}]).ok

    def test_batch_smaller_than_the_replicas_passes_where_the_step_allows_it(self):
        report = quick(program(), [batch(2)], num_replicas=3)
        assert report.ok, str(report)
        assert "[1, 1, 0]" in check(report, "input_coverage").detail

    def test_replica_without_examples_that_divides_by_nothing_is_named(self):
        def local_mean(model, x, y):
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            return tf.reduce_mean(tf.square(model(x) - tf.cast(y, model.compute_dtype))) / replicas

        report = quick(program(loss=local_mean), [batch(2)], num_replicas=3)
        assert report.causes[0] == "empty_replica"

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ([], "no batch"),
            ([(np.zeros((4, 6)), np.zeros((3, 1)))], "unequal leading axes"),
            ([np.float32(1)], "leading axis"),
        ],
    )
    def test_data_that_cannot_be_used_is_refused(self, data, message):
        with pytest.raises(ValueError, match=message):
            quick(program(), data)

    def test_only_a_replica_without_examples_fails_for_want_of_them(self):
        def demanding(least):
            def loss(model, x, y):
                if tf.distribute.get_strategy().num_replicas_in_sync > 1:
                    tf.debugging.assert_greater_equal(tf.shape(x)[0], least)
                return squared_error(model, x, y)

            return quick(program(loss=loss), [batch(9), batch(1)])

        report = demanding(least=1)
        assert failed(report) == {"execution@2", "gradient_equivalence/float64@2"}
        assert report.causes == ("empty_replica",)
        assert not demanding(least=100).causes


class TestDataOfAnotherKind:
    def examples(self):
        x, y = batch(12)
        return x, y, np.ones(12, "float32")

    def test_is_refused(self):
        for data in (7, self.examples()[0], {"x": self.examples()[0]}):
            with pytest.raises(TypeError, match=r"\[\(x, y\)\].*InputContext"):
                quick(program(), data)

    def test_what_fit_takes_is_answered_with_what_to_give(self):
        x, y, w = self.examples()
        for data, message in (
            ((x, y), "a tuple of 2 arrays: give a list of global batches, [(x, y)], or"),
            ((x, tf.constant(y), w), "a tuple of 3 arrays: give a list of global batches, [(x, y, w)], or"),
            (({"a": x}, y), "a tuple (dict, ndarray): give a list of global batches, [(x, y)], or"),
            ((x, None), "a tuple (ndarray, NoneType): give a list of global batches, [(x, y)], or"),
            (lambda: (x, y), "a tuple of 2 arrays"),
        ):
            with pytest.raises(TypeError, match=re.escape(message)):
                quick(program(), data)
            with pytest.raises(TypeError, match=re.escape(message)):
                first_rows(data, 3)

    def test_tuple_of_batches_is_read_as_a_list_of_them(self):
        x, y, _ = self.examples()
        for data, sizes in (
            (((x, y), (x[:5], y[:5])), [12, 5]),
            ((x, x[:5]), [12, 5]),
            (({"a": x}, {"a": x}), [12, 12]),
            ([x, x], [12, 12]),
            ([(x, y)], [12]),
            ((x,), [12]),
        ):
            assert [sum(one.sizes) for one in read_inputs(data, strategy(2)).batches] == sizes

    def test_data_set_that_is_not_batched_is_refused(self):
        x, y, _ = self.examples()
        for labels in (y, y[:, 0]):
            dataset = tf.data.Dataset.from_tensor_slices((x, labels))
            for data in (dataset, lambda context, dataset=dataset: dataset, lambda *, dataset=dataset: dataset):
                with pytest.raises(ValueError, match=r"leading axis of examples.*\.batch\(B\)"):
                    quick(program(), data)

    def test_model_in_the_place_of_build_is_refused(self):
        with pytest.raises(TypeError, match=r"build is a model: give a function that makes one"):
            quick(compiled()(), [batch(12)])


class TestDataset:
    def test_rest_of_the_epoch_is_checked_as_uneven(self):
        dataset = tf.data.Dataset.from_tensor_slices(batch(19)).batch(16)
        report = quick(program(), dataset)
        assert report.ok, str(report)
        assert check(report, "gradient_equivalence/float64@uneven").status == "passed"
        assert "19 examples" in check(report, "input_coverage").detail

    def test_without_another_size_uneven_is_skipped_with_the_reason(self):
        report = quick(program(), tf.data.Dataset.from_tensor_slices(batch(32)).batch(16))
        assert "size 16" in check(report, "gradient_equivalence/float64@uneven").detail

    def test_uneven_rest_in_a_compiled_model_fails(self):
        report = quick(compiled(), tf.data.Dataset.from_tensor_slices(batch(19)).batch(16))
        assert "gradient_equivalence/float64@uneven" in failed(report)
        assert report.causes == ("uneven_batch_weighting",)

    def test_endless_data_is_a_note(self):
        dataset = tf.data.Dataset.from_tensor_slices(batch(4)).batch(4).repeat()
        report = quick(program(), dataset)
        assert report.ok, str(report)
        assert "the data set had not ended after 1000 batches: input coverage was not judged" in report.notes
        assert check(report, "input_coverage").status == "skipped"

    def test_one_replica_skips_the_uneven_batch(self):
        report = quick(program(), tf.data.Dataset.from_tensor_slices(batch(19)).batch(16), num_replicas=1)
        assert report.ok
        assert "one replica" in check(report, "gradient_equivalence/float64@uneven").detail


class TestFunctionWithoutParameters:
    def test_returns_a_list_or_a_data_set(self):
        dataset = tf.data.Dataset.from_tensor_slices(batch(19)).batch(16)
        for returned, sizes in (([batch(12)], [12]), (dataset, [16, 3])):
            inputs = read_inputs(lambda *, returned=returned: returned, strategy(2))
            assert [sum(one.sizes) for one in inputs.batches] == sizes
        assert first_rows(lambda: [batch(12)], 3)[0][0].shape == (3, 6)

    def test_is_taken_by_verify(self):
        assert quick(program(), lambda: [batch(12)]).ok

    def test_with_a_parameter_it_is_one_of_an_input_context(self):
        seen = []

        def make(context=None):
            seen.append(context)
            return tf.data.Dataset.from_tensor_slices(batch(8)).batch(4)

        read_inputs(make, strategy(2))
        assert all(isinstance(context, tf.distribute.InputContext) for context in seen)


class TestInputFunction:
    def test_list_in_the_place_of_a_data_set_is_refused(self):
        with pytest.raises(TypeError, match=r"returned an object of type list: return a tf\.data\.Dataset"):
            quick(program(), lambda context: [batch(12)])

    @pytest.mark.parametrize("shuffle", [False, True])
    def test_sharded_pipeline_passes(self, shuffle):
        report = quick(program(), pipeline(shard=True, shuffle=shuffle))
        assert report.ok, str(report)

    def test_example_seen_twice_by_unsharded_readers(self):
        report = quick(program(), pipeline(shard=False))
        assert failed(report) == {"input_coverage"}
        assert report.causes == ("replicated_input",)

    def test_examples_that_never_come(self):
        def make(context):
            dataset = tf.data.Dataset.from_tensor_slices(batch(32))
            if context.num_input_pipelines > 1:
                dataset = dataset.shard(context.num_input_pipelines + 1, context.input_pipeline_id)
            return dataset.batch(4)

        report = quick(program(), make)
        assert failed(report) == {"input_coverage"}
        assert not report.causes

    def test_dropped_remainder_is_a_note(self):
        def make(context):
            dataset = tf.data.Dataset.from_tensor_slices(batch(30))
            dataset = dataset.shard(context.num_input_pipelines, context.input_pipeline_id)
            return dataset.batch(4, drop_remainder=True)

        report = quick(program(), make)
        assert report.ok, str(report)
        assert any("drop_remainder" in note for note in report.notes)
