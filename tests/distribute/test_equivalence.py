import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import EquivalenceError, Program, verify

from . import programs
from .programs import batch, compiled, program, strategy


def failed(report):
    return {check.name for check in report.failures}


def check(report, name):
    return next(one for one in report.checks if one.name == name)


class TestInnocentPrograms:
    @pytest.mark.parametrize("num_replicas", [1, 2, 3, 4, 8])
    def test_custom_step_passes(self, num_replicas):
        report = verify(program(), [batch(24), batch(11, 1)], strategy=strategy(num_replicas), steps=2)
        assert report.ok, str(report)
        assert not report.causes
        assert check(report, "gradient_equivalence/float64").observed <= 1e-12

    @pytest.mark.parametrize("num_replicas", [1, 2, 3, 8])
    def test_compiled_model_passes(self, num_replicas):
        build = compiled(optimizer="adam", metrics=["mae"])
        report = verify(build, [batch(24)], strategy=strategy(num_replicas), steps=3)
        assert report.ok, str(report)
        assert check(report, "metrics/mae").status == "passed"

    @pytest.mark.parametrize(
        "optimizer",
        [keras.optimizers.AdamW, keras.optimizers.Lion, keras.optimizers.RMSprop, keras.optimizers.Adafactor],
    )
    def test_optimizers_that_amplify_rounding_pass(self, optimizer):
        def model():
            normalised = keras.layers.BatchNormalization(synchronized=True)
            return programs.mlp(keras.layers.Dense(4), normalised)

        # The bias before the normalisation has a gradient of zero, so its update is rounding alone.
        report = verify(program(model, optimizer), [batch(24)], strategy=strategy(3), steps=2)
        assert report.ok, str(report)

    def test_convolution_frozen_layer_and_dropout_without_training_pass(self):
        def model():
            frozen = keras.layers.Dense(5)
            frozen.trainable = False
            image = keras.layers.Reshape((2, 3, 1))
            return programs.mlp(image, keras.layers.Conv2D(3, 2), keras.layers.Flatten(), frozen)

        report = verify(program(model), [batch()], strategy=strategy(2))
        assert report.ok, str(report)
        assert len(report.variables) == len({row["path"] for row in report.variables}) >= 6

    def test_sparse_gradients_pass(self):
        def model():
            return keras.Sequential(
                [
                    keras.Input((3,), dtype="int32"),
                    keras.layers.Embedding(9, 4),
                    keras.layers.Flatten(),
                    keras.layers.Dense(1),
                ]
            )

        rows = np.random.default_rng(0).integers(0, 9, (12, 3)).astype("int32")
        report = verify(program(model, keras.optimizers.Adam), [(rows, batch()[1])], strategy=strategy(3), steps=2)
        assert report.ok, str(report)

    def test_repeated_rows_of_an_embedding_pass_where_the_ratio_is_rounded(self):
        def model():
            embedding = keras.layers.Embedding(7, 3, mask_zero=True)
            pooled = keras.layers.GlobalAveragePooling1D()
            return keras.Sequential([keras.Input((4,), dtype="int32"), embedding, pooled, keras.layers.Dense(1)])

        rows = np.random.default_rng(0).integers(0, 7, (30, 4)).astype("int32")
        report = verify(compiled(model, "adamw"), [(rows, batch(30)[1])], strategy=strategy(3), steps=2)
        assert report.ok, str(report)

    def test_optimizers_that_make_their_slots_at_the_first_step_pass(self):
        def build():
            models, optimizers = [programs.dense(), programs.dense()], [keras.optimizers.Adam(), keras.optimizers.SGD()]

            def train_step(data):
                losses = []
                for model, optimizer in zip(models, optimizers, strict=True):
                    with tf.GradientTape() as tape:
                        losses.append(programs.squared_error(model, *data))
                    gradients = tape.gradient(losses[-1], model.trainable_variables)
                    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
                return {"loss": losses[0], "second": losses[1]}

            return Program(train_step, model=models)

        report = verify(build, [batch()], strategy=strategy(2), steps=2, dtypes=("float64",))
        assert report.ok, str(report)

    def test_model_without_variables_before_its_first_call_passes(self):
        def model():
            return keras.Sequential([keras.layers.Dense(3, activation="tanh"), keras.layers.Dense(1)])

        assert verify(compiled(model), [batch()], strategy=strategy(2)).ok
        own_step = program(model, build_optimizer=False)
        report = verify(own_step, [batch()], strategy=strategy(2), steps=2)
        assert report.ok, str(report)

    def test_own_update_without_optimizer_passes(self):
        def build():
            weight = tf.Variable(tf.ones((programs.FEATURES, 1), keras.config.floatx()), name="w")
            module = tf.Module()
            module.w = weight

            def train_step(data):
                x, y = data
                with tf.GradientTape() as tape:
                    loss = tf.reduce_sum(tf.square(x @ weight - y)) / 12
                gradient = tape.gradient(loss, weight)
                total = tf.distribute.get_replica_context().all_reduce("SUM", gradient)
                weight.assign_sub(0.1 * total)
                return {"loss": loss}

            return Program(train_step, model=module)

        report = verify(build, [batch(12)], strategy=strategy(2), steps=2)
        assert "gradient_equivalence/float64" not in failed(report), str(report)


class TestPlantedMistakes:
    def report(self, build, data=None, num_replicas=2, **options):
        report = verify(build, data or [batch()], strategy=strategy(num_replicas), dtypes=("float64",), **options)
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

    def test_one_replicas_gradient_dropped(self):
        names = [f"CPU:{index}" for index in range(3)]
        lossy = tf.distribute.MirroredStrategy(
            names, cross_device_ops=tf.distribute.HierarchicalCopyAllReduce(num_packs=1)
        )
        report = verify(program(), [batch()], strategy=lossy, dtypes=("float64",))
        assert {"gradient_equivalence/float64", "communication/gradients"} <= failed(report)
        assert report.causes[0] == "dropped_replica"


class TestRandomness:
    def test_masks_that_differ_between_replicas_pass(self):
        class OwnDropout(keras.layers.Layer):
            def call(self, x, training=False):
                context = tf.distribute.get_replica_context()  # None while Keras builds the layer symbolically
                replica = context.replica_id_in_sync_group if context else 0
                return tf.nn.experimental.stateless_dropout(x, 0.5, seed=tf.stack([7, tf.cast(replica, tf.int32)]))

        report = verify(program(lambda: programs.mlp(OwnDropout())), [batch()], strategy=strategy(2))
        assert report.ok, str(report)
        assert check(report, "randomness").status == "passed"

    def test_without_random_operations_it_is_skipped(self):
        report = verify(program(), [batch()], strategy=strategy(2), dtypes=("float64",))
        assert "not triggered" in check(report, "randomness").detail


class TestAccept:
    ACCEPTED = ("local_batch_statistics", "moving_statistics_not_aggregated")

    def test_plain_batch_normalization_is_accepted(self):
        build = program(lambda: programs.mlp(keras.layers.BatchNormalization()))
        report = verify(build, [batch()], strategy=strategy(2), accept=self.ACCEPTED)
        assert report.ok, str(report)
        assert report.accepted == self.ACCEPTED
        assert check(report, "gradient_equivalence/float64").status == "accepted"

    def test_another_mistake_still_fails(self):
        def local_mean(model, x, y):
            return tf.reduce_mean(tf.square(model(x, training=True) - tf.cast(y, model.compute_dtype)))

        build = program(lambda: programs.mlp(keras.layers.BatchNormalization()), loss=local_mean)
        report = verify(build, [batch()], strategy=strategy(2), accept=self.ACCEPTED, dtypes=("float64",))
        assert "gradient_equivalence/float64" in failed(report)
        assert report.causes == ("loss_summed_over_replicas",)

    def test_cause_that_does_not_occur_is_a_note(self):
        report = verify(program(), [batch()], strategy=strategy(2), accept=("non_finite",), dtypes=("float64",))
        assert report.ok
        assert "non_finite" in report.notes[0]


class TestReport:
    def test_failed_report_raises_with_the_whole_text(self):
        report = verify(compiled(), [batch(7)], strategy=strategy(2), dtypes=("float64",))
        with pytest.raises(EquivalenceError, match="uneven_batch_weighting"):
            report.raise_if_failed()
        assert str(report).splitlines()[0].startswith("FAILED: 2 replicas")
        assert len(str(report).splitlines()) <= 40

    def test_variables_are_complete(self):
        report = verify(compiled(), [batch()], strategy=strategy(2), dtypes=("float64",))
        keys = {"path", "shape", "dtype", "relative_l2", "max_abs", "ratio", "cosine"}
        assert all(keys <= set(row) for row in report.variables)
