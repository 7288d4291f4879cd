"""Programs that once got a wrong verdict: each mistake with an innocent twin."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Check, Program, Report, verify
from distribute.equivalence_check.references import ReplayRun

from . import programs
from .programs import batch, program, strategy


def failed(report):
    return {check.name for check in report.failures}


def check(report, name):
    return next(one for one in report.checks if one.name == name)


def quick(build, data=None, num_replicas=2, **options):
    return verify(build, data or [batch(12)], strategy=strategy(num_replicas), dtypes=("float64",), **options)


def looped(model, x, y):
    """Control flow that only autograph can trace."""
    loss = tf.zeros((), model.compute_dtype)
    for power in tf.range(3):
        error = tf.square(model(x, training=True) - tf.cast(y, loss.dtype))
        loss += tf.reduce_sum(error) / tf.cast(power + 1, loss.dtype)
    if loss < 0:
        loss = -loss
    return loss / tf.cast(programs.global_count(x), loss.dtype)


def contrastive(model, x, y):
    """Every example against those of all replicas."""
    output = model(x, training=True)
    everyone = tf.distribute.get_replica_context().all_gather(output, 0)
    apart = tf.reduce_logsumexp(output @ tf.transpose(everyone), -1)
    return tf.reduce_sum(apart) / tf.cast(programs.global_count(x), output.dtype)


class TestControlFlow:
    @pytest.mark.parametrize("num_replicas", [2, 3])
    def test_loops_and_branches_on_tensors_pass(self, num_replicas):
        report = quick(program(loss=looped), num_replicas=num_replicas)
        assert report.ok, str(report)
        assert check(report, "communication/gradients").status == "passed"

    def test_mistake_within_them_is_found(self):
        def summed(model, x, y):
            return looped(model, x, y) * tf.distribute.get_strategy().num_replicas_in_sync

        assert quick(program(loss=summed)).causes[0] == "loss_summed_over_replicas"

    def test_replay_that_raises_is_skipped_with_the_reason(self, monkeypatch):
        def broken(self, shards, initial):
            raise TypeError("at its wits' end")

        monkeypatch.setattr(ReplayRun, "replay", broken)
        report = quick(program())
        assert report.ok, str(report)
        assert "wits' end" in check(report, "communication/gradients").detail
        assert check(report, "communication/state").status == "skipped"


class TestAllGather:
    @pytest.mark.parametrize("num_replicas", [2, 3])
    def test_gathering_with_a_gradient_passes(self, num_replicas):
        report = quick(program(loss=contrastive), [batch(13)], num_replicas)
        assert report.ok, str(report)
        assert check(report, "communication/gradients").status == "passed"

    def test_mistake_beside_it_is_found(self):
        def summed(model, x, y):
            return contrastive(model, x, y) * tf.distribute.get_strategy().num_replicas_in_sync

        assert "gradient_equivalence/float64" in failed(quick(program(loss=summed)))


def replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync


def with_variable(variable, step, loss_of=lambda own: programs.squared_error):
    """The right program with a variable of its own that `step(variable, data)` writes; the loss may read it."""

    def build():
        own = variable()
        plain = program(loss=loss_of(own))()

        def train_step(data):
            step(own, data)
            return plain.train_step(data)

        return Program(train_step, model=plain.model, optimizer=plain.optimizer, variables=[own])

    return build


class TestSetFromTheNumberOfReplicas:
    @pytest.mark.parametrize("num_replicas", [2, 3])
    def test_learning_rate_scaled_where_it_is_set(self, num_replicas):
        def build():
            model = programs.dense()
            model.compile(keras.optimizers.SGD(0.1 * replicas()), "mse")
            return model

        report = quick(build, num_replicas=num_replicas, steps=2)
        assert {"update_equivalence/float64", "update_equivalence/float64/steps_2"} <= failed(report)
        assert "gradient_equivalence/float64" not in failed(report)
        assert report.causes == ("learning_rate_scaling",)

    def test_rate_that_comes_out_the_same_passes(self):
        def build():
            model = programs.dense()
            model.compile(keras.optimizers.Adam(0.1 * replicas() / replicas()), "mse")
            return model

        assert quick(build, num_replicas=3).ok

    @pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32",)])
    def test_share_kept_in_a_variable_passes(self, dtypes):
        def mean(share):
            return lambda model, x, y: share * tf.reduce_mean(tf.square(model(x) - tf.cast(y, model.compute_dtype)))

        build = with_variable(
            lambda: tf.Variable(1.0 / replicas(), trainable=False, dtype=keras.config.floatx()),
            lambda share, data: None,
            mean,
        )
        report = verify(build, [batch(12)], strategy=strategy(3), dtypes=dtypes)
        assert report.ok, str(report)

    def test_random_state_starts_as_on_one_device(self):
        def build():
            plain = program()()
            own = tf.Variable(np.random.default_rng().normal(size=3), trainable=False)
            return Program(plain.train_step, model=plain.model, optimizer=plain.optimizer, variables=[own])

        assert quick(build).ok


class TestCombinedWhenRead:
    def counter(self, aggregation=tf.VariableAggregation.SUM):
        return tf.Variable(
            1.0,
            trainable=False,
            dtype=tf.float64,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=aggregation,
        )

    def test_examples_counted_on_each_replica_pass(self):
        def count(counter, data):
            counter.assign_add(tf.cast(tf.shape(data[0])[0], counter.dtype))

        report = verify(with_variable(self.counter, count), [batch(13)], strategy=strategy(3))
        assert report.ok, str(report)

    def test_steps_counted_once_per_replica_fail(self):
        report = quick(with_variable(self.counter, lambda counter, data: counter.assign_add(1.0)))
        assert {"state_equivalence/float64", "state_equivalence/saved"} <= failed(report)

    def test_metric_handed_over_as_variables_passes(self):
        def build():
            plain, metric = program()(), keras.metrics.Mean(name="seen")

            def train_step(data):
                metric.update_state(data[1])
                return plain.train_step(data)

            return Program(train_step, model=plain.model, optimizer=plain.optimizer, variables=metric.variables)

        report = quick(build)
        assert report.ok, str(report)


class TestAccept:
    ACCEPTED = ("local_batch_statistics", "moving_statistics_not_aggregated")

    def normalised(self, outputs=lambda prediction, loss: {}, write=lambda own: None):
        def build():
            own = tf.Variable(0.0, trainable=False, name="own")
            model, optimizer = programs.mlp(keras.layers.BatchNormalization()), keras.optimizers.SGD(0.1)
            optimizer.build(model.trainable_variables)

            def train_step(data):
                x, y = data
                write(own)
                with tf.GradientTape() as tape:
                    prediction = model(x, training=True)
                    error = tf.reduce_sum(tf.square(prediction - tf.cast(y, prediction.dtype)))
                    loss = error / tf.cast(programs.global_count(x), error.dtype)
                gradients = tape.gradient(loss, model.trainable_variables)
                optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
                return {"loss": loss, **outputs(prediction, loss)}

            return Program(train_step, model=model, optimizer=optimizer, variables=[own])

        return build

    def test_variable_apart_beside_batch_normalization_still_fails(self):
        def write(own):
            own.assign(tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, own.dtype))

        report = quick(self.normalised(write=write), accept=self.ACCEPTED)
        assert {"replica_sync", "state_equivalence/float64"} <= failed(report)
        assert report.causes == ("unsynchronized_variable",)

    def test_state_wrong_alike_on_all_replicas_still_fails(self):
        report = quick(self.normalised(write=lambda own: own.assign_add(1.0 * replicas())), accept=self.ACCEPTED)
        assert "state_equivalence/float64" in failed(report)

    def test_metric_wrong_by_itself_still_fails(self):
        build = self.normalised(lambda prediction, loss: {"most": tf.reduce_max(prediction)})
        report = quick(build, accept=self.ACCEPTED)
        assert failed(report) == {"metrics/most"}
        assert check(report, "metrics/loss").status == "accepted"

    def test_metric_that_follows_the_statistics_is_accepted(self):
        report = quick(self.normalised(lambda prediction, loss: {"twice": 2 * loss}), accept=self.ACCEPTED, steps=2)
        assert report.ok, str(report)
        assert report.accepted == self.ACCEPTED


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


class TestClipping:
    @pytest.mark.parametrize("option", [{"clipnorm": 0.01}, {"clipvalue": 0.001}, {"global_clipnorm": 0.01}])
    def test_clipping_each_replicas_own_gradient_is_named(self, option):
        report = quick(program(make_optimizer=lambda rate: keras.optimizers.SGD(rate, **option)), num_replicas=3)
        assert "gradient_equivalence/float64" in failed(report)
        assert report.causes == ("clip_before_all_reduce",)

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


class TestStrictJson:
    def test_figures_that_are_not_finite_are_text(self):
        rows = [{"path": "w", "residual": float("inf"), "ratio": None}]
        checks = [Check("a", "failed", float("nan"), 1e-12, "worst in w"), Check("b", "failed", float("inf"))]
        written = json.loads(json.dumps(Report(checks=checks, variables=rows).to_dict(), allow_nan=False))
        assert written["checks"][0]["observed"] is None
        assert written["checks"][0]["allowed"] == 1e-12
        assert written["checks"][0]["detail"] == "observed nan; worst in w"
        assert written["checks"][1]["detail"] == "observed inf"
        assert written["variables"] == [{"path": "w", "residual": None, "ratio": None}]


class TestOptimizersAndDtypes:
    def test_optimizer_that_asks_for_paths_passes(self):
        report = quick(program(make_optimizer=keras.optimizers.Muon), num_replicas=3, steps=2)
        assert report.ok, str(report)
        assert not any("could not be replayed" in note for note in report.notes)

    def test_bfloat16_passes(self):
        def build():
            model = programs.dense()
            model.compile("sgd", "mse", metrics=["mae"])
            return model

        report = verify(build, [batch(12)], strategy=strategy(2), dtypes=("float64", "bfloat16"))
        assert report.ok, str(report)
