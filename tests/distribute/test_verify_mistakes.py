"""One mistake planted in a right program: its check fails, and its cause is named."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Program, verify

from . import programs
from .programs import batch, check, compiled, failed, program, quick


def replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync


class TestPlantedMistakes:
    def report(self, build, data=None, num_replicas=2, **options):
        report = quick(build, data or [batch()], num_replicas, **options)
        assert not report.ok
        return report

    @pytest.mark.parametrize("num_replicas", [2, 3])
    def test_loss_averaged_per_replica_and_summed(self, num_replicas):
        def local_mean(model, x, y):
            return tf.reduce_mean(tf.square(model(x) - tf.cast(y, model.compute_dtype)))

        report = self.report(program(loss=local_mean), num_replicas=num_replicas)
        assert "gradient_equivalence/float64" in failed(report)
        assert report.causes[0] == "loss_summed_over_replicas"
        row = report.variables[0]
        assert row["ratio"] == pytest.approx(num_replicas)
        assert row["cosine"] == pytest.approx(1)

    def test_loss_divided_twice(self):
        def twice(model, x, y):
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            return programs.squared_error(model, x, y) / replicas

        assert self.report(program(loss=twice)).causes[0] == "loss_divided_twice"

    @pytest.mark.parametrize(("reduction", "causes"), [("sum", ("loss_divided_twice",)), ("mean", ())])
    def test_what_add_loss_gets_is_divided_by_keras(self, reduction, causes):
        class Endpoint(keras.layers.Layer):
            def call(self, labels, outputs):
                self.add_loss(getattr(keras.ops, reduction)(keras.ops.square(labels - outputs)))
                return outputs

        def build():
            inputs, labels = keras.Input([6]), keras.Input([1])
            model = keras.Model([inputs, labels], Endpoint()(labels, keras.layers.Dense(1)(inputs)))
            model.compile(keras.optimizers.SGD(0.1))
            return model

        x, y = batch()
        assert quick(build, [((x, y),)], 2).causes == causes

    def test_gradients_reduced_twice(self):
        def reduced(gradients, context):
            return context.all_reduce("SUM", gradients)

        assert self.report(program(change=reduced), num_replicas=3).causes[0] == "double_all_reduce"

    def test_gradients_never_combined(self):
        def build():
            model = programs.dense()

            def train_step(data):
                with tf.GradientTape() as tape:
                    loss = programs.squared_error(model, *data)
                gradients = tape.gradient(loss, model.trainable_variables)
                for gradient, variable in zip(gradients, model.trainable_variables, strict=True):
                    variable.value.assign_sub(0.1 * gradient)
                return {"loss": loss}

            return Program(train_step, model=model)

        report = self.report(build)
        assert {"gradient_equivalence/float64", "replica_sync"} <= failed(report)
        assert report.causes[0] == "missing_all_reduce"

    def test_batch_normalization_that_is_not_synchronised(self):
        build = program(lambda: programs.mlp(keras.layers.BatchNormalization()))
        report = self.report(build)
        assert {"gradient_equivalence/float64", "state_equivalence/float64", "replica_sync"} <= failed(report)
        assert report.causes == ("local_batch_statistics", "moving_statistics_not_aggregated")
        assert check(report, "communication/gradients").status == "passed"

    def test_uneven_batch_in_a_compiled_model(self):
        report = self.report(compiled(), [batch(12), batch(7)])
        assert "gradient_equivalence/float64" not in failed(report)
        assert "gradient_equivalence/float64@2" in failed(report)
        assert report.causes == ("uneven_batch_weighting",)

    def test_variable_written_on_one_replica(self):
        def build():
            plain = program()()
            counter = tf.Variable(0.0, trainable=False, name="counter")

            def train_step(data):
                replica = tf.distribute.get_replica_context().replica_id_in_sync_group
                counter.assign(tf.cast(replica, tf.float32))
                return plain.train_step(data)

            return Program(train_step, model=plain.model, optimizer=plain.optimizer, variables=[counter])

        report = self.report(build)
        assert "replica_sync" in failed(report)
        assert report.causes == ("unsynchronized_variable",)

    def test_saved_state_that_is_one_replicas_own(self):
        def build():
            plain = program()()
            seen = tf.Variable(tf.zeros((), keras.config.floatx()), trainable=False, name="seen")

            def train_step(data):
                seen.assign(tf.cast(tf.reduce_sum(data[0]), seen.dtype))
                return plain.train_step(data)

            return Program(train_step, model=plain.model, optimizer=plain.optimizer, variables=[seen])

        report = self.report(build)
        assert {"state_equivalence/saved", "state_equivalence/float64"} <= failed(report)

    def test_wrong_metric(self):
        def build():
            plain = program()()

            def train_step(data):
                return {**plain.train_step(data), "largest": tf.reduce_max(data[0])}

            return Program(train_step, model=plain.model, optimizer=plain.optimizer)

        report = self.report(build)
        assert failed(report) == {"metrics/largest"}
        assert report.causes == ("metric_aggregation",)

    def test_learning_rate_scaled_with_replicas(self):
        def build():
            plain = program()()
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            plain.optimizer.learning_rate.assign(0.1 * replicas)

            def train_step(data):
                plain.optimizer.learning_rate.assign(0.1 * replicas)
                return plain.train_step(data)

            return Program(train_step, model=plain.model, optimizer=plain.optimizer)

        report = self.report(build)
        assert "gradient_equivalence/float64" not in failed(report)
        assert "update_equivalence/float64" in failed(report)
        assert report.causes == ("learning_rate_scaling",)

    def test_candidate_that_raises(self):
        def build():
            plain = program()()

            def train_step(data):
                if tf.distribute.get_strategy().num_replicas_in_sync > 1:
                    raise RuntimeError("no room for two")
                return plain.train_step(data)

            return Program(train_step, model=plain.model, optimizer=plain.optimizer)

        report = self.report(build)
        assert {"execution", "gradient_equivalence/float64"} <= failed(report)
        assert "no room for two" in check(report, "execution").detail

    def test_not_a_number_on_one_replica(self):
        def poisoned(gradients, context):
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            last = tf.equal(context.replica_id_in_sync_group, 1) & (replicas > 1)
            return [tf.where(last, tf.constant(np.nan, g.dtype), g) for g in gradients]

        assert self.report(program(change=poisoned)).causes == ("non_finite",)

    def test_not_a_number_on_a_later_replica_alone_is_no_right_communication(self):
        def build():
            plain, own = program()(), tf.Variable(0.0, trainable=False)

            def train_step(data):
                replica = tf.distribute.get_replica_context().replica_id_in_sync_group
                number = tf.where(tf.equal(replica, 1), np.nan, 1.0)
                own.assign(number)
                zeros = [tf.zeros_like(variable) for variable in plain.model.trainable_variables]
                return {**plain.train_step(data), "gradients": [zero + tf.cast(number, zero.dtype) for zero in zeros]}

            return Program(train_step, model=plain.model, optimizer=plain.optimizer, variables=[own])

        assert {"communication/gradients", "communication/state"} <= failed(self.report(build))

    def test_reference_that_does_not_repeat_itself(self):
        def noisy(gradients, context):
            noise = tf.numpy_function(lambda: np.random.normal(), [], tf.float64)  # noqa: NPY002
            return [g * tf.cast(noise, g.dtype) for g in gradients]

        report = self.report(program(change=noisy))
        assert "reference_reproducibility" in failed(report)
        assert report.causes == ("irreproducible_reference",)

    def test_same_dropout_mask_on_every_replica(self):
        report = self.report(program(lambda: programs.mlp(keras.layers.Dropout(0.5, seed=1))))
        assert failed(report) == {"randomness"}
        assert report.causes == ("identical_randomness",)

    @pytest.mark.parametrize("size", [12, 11])
    def test_same_number_for_the_examples_of_every_replica(self, size):
        """One number for each example, and one for each of six features, as many as the even shards have rows."""

        class Noise(keras.layers.Layer):
            def call(self, x):
                rows = tf.random.stateless_uniform(tf.shape(x)[:1], [1, 2], dtype=x.dtype)
                return x * rows[:, None] + tf.random.stateless_uniform([programs.FEATURES], [3, 4], dtype=x.dtype)

        report = self.report(program(lambda: programs.mlp(Noise())), [batch(size)])
        assert failed(report) == {"randomness"}
        assert "1 of 1 random operations drew the same numbers" in check(report, "randomness").detail

    def test_one_replicas_gradient_dropped(self):
        names = [f"CPU:{index}" for index in range(3)]
        lossy = tf.distribute.MirroredStrategy(
            names, cross_device_ops=tf.distribute.HierarchicalCopyAllReduce(num_packs=1)
        )
        report = verify(program(), [batch()], strategy=lossy, dtypes=("float64",), shrink=False)
        assert {"gradient_equivalence/float64", "communication/gradients"} <= failed(report)
        assert report.causes[0] == "dropped_replica"


class Positions(keras.layers.Layer):
    """Adds a vector for each place in a sequence: one device looks each up once a step, N replicas N times."""

    def build(self, shape):
        self.table = self.add_weight(shape=(3, shape[-1]), name="table")

    def call(self, x):
        places = tf.range(tf.shape(x)[1])
        return x + tf.gather(self.table, places)[None]


class TestSparseRows:
    """Keras' Adam squares each row of a sparse gradient, and not the sum of the rows for one index."""

    def model(self):
        layers = (keras.layers.Reshape((3, 2)), Positions(), keras.layers.Flatten())
        return programs.mlp(*layers)

    def test_an_update_that_depends_on_them_is_not_called_rounding(self):
        report = quick(program(self.model, keras.optimizers.Adam), steps=2)
        updates = {"update_equivalence/float64", "update_equivalence/float64/steps_2"}
        assert failed(report) == updates | {"state_equivalence/saved"}
        one = check(report, "update_equivalence/float64")
        assert "positions/table is sparse and holds other rows for an index" in one.detail
        assert "tf.convert_to_tensor" in one.detail

    def test_an_optimizer_that_adds_them_up_passes(self):
        report = quick(program(self.model, keras.optimizers.SGD), steps=2)
        assert report.ok, str(report)

    def test_dense_gradients_pass(self):
        def dense(gradients, context):
            return [tf.convert_to_tensor(gradient) for gradient in gradients]

        report = quick(program(self.model, keras.optimizers.Adam, change=dense), steps=2)
        assert report.ok, str(report)


class TestClipping:
    @pytest.mark.parametrize("option", [{"clipnorm": 0.01}, {"clipvalue": 0.001}, {"global_clipnorm": 0.01}])
    def test_clipping_each_replicas_own_gradient_is_named(self, option):
        report = quick(program(make_optimizer=lambda rate: keras.optimizers.SGD(rate, **option)), num_replicas=3)
        assert "gradient_equivalence/float64" in failed(report)
        assert report.causes == ("clip_before_all_reduce",)

    @pytest.mark.parametrize(
        "clip",
        [
            lambda gradients: tf.clip_by_global_norm(gradients, 2.0)[0],
            lambda gradients: [tf.clip_by_norm(gradient, 1.2) for gradient in gradients],
            lambda gradients: [tf.clip_by_value(gradient, -0.9, 0.9) for gradient in gradients],
        ],
    )
    def test_clipping_that_is_active_on_the_whole_batch_alone(self, clip):
        """Each replica's own part of the gradient is below the bound, their sum is not."""
        report = quick(program(change=lambda gradients, context: clip(gradients)), num_replicas=4)
        assert report.causes == ("clip_before_all_reduce",)
        assert "on one device, and on no replica" in report.explanations[0].evidence

    def test_gradients_multiplied_by_the_number_of_replicas_are_not_clipped(self):
        def multiplied(gradients, context):
            return [gradient * context.num_replicas_in_sync for gradient in gradients]

        report = quick(program(change=multiplied), num_replicas=3)
        assert not report.ok
        assert "clip_before_all_reduce" not in report.causes

    def test_clipping_that_changes_nothing_passes(self):
        assert quick(program(make_optimizer=lambda rate: keras.optimizers.SGD(rate, clipnorm=1e3))).ok

    def test_loss_across_examples_is_no_batch_normalization(self):
        def in_batch(model, x, y):
            output = model(x)
            apart = tf.reduce_logsumexp(output @ tf.transpose(output), -1)
            return tf.reduce_sum(apart) / tf.cast(programs.global_count(x), output.dtype)

        report = quick(program(loss=in_batch))
        assert "gradient_equivalence/float64" in failed(report)
        assert not report.causes
