"""Infinite gradients planted on each replica in turn: a step that guards against them skips on all or on none."""

import keras
import tensorflow as tf

from . import programs
from .programs import compiled, explained, program, quick


class TestOverflow:
    def build(self):
        model = programs.dense()
        model.compile(keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1)), "mse")
        return model

    def test_planted_on_another_replica_than_the_first(self):
        report, one = explained(self.build, num_replicas=3)
        assert [check.name for check in report.failures] == ["update_equivalence/overflow"]
        assert one.cause == "loss_scale_per_replica"
        assert "inf" in one.evidence

    def test_under_mixed_precision_of_the_user(self):
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            report = quick(compiled(), dtypes=("float64", "float32"))
            assert keras.config.dtype_policy().name == "mixed_float16"
        finally:
            keras.config.set_dtype_policy(policy)
        assert report.causes == ("loss_scale_per_replica",), str(report)
        statuses = {check.name: check.status for check in report.checks}
        assert statuses["gradient_equivalence/float64"] == "passed"

    def test_accepted(self):
        report = quick(self.build, accept=("loss_scale_per_replica",))
        assert report.ok, str(report)
        assert report.accepted == ("loss_scale_per_replica",)

    def test_program_that_one_device_does_not_survive_either_is_skipped(self):
        def checked(gradients, context):
            return [tf.debugging.check_numerics(tf.where(tf.math.is_finite(g), g, g), "bad") for g in gradients]

        report = quick(program(change=checked))
        assert report.ok, str(report)
        (overflow,) = [check for check in report.checks if check.name == "update_equivalence/overflow"]
        assert "does not go on after looking" in overflow.detail
