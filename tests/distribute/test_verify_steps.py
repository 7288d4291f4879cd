"""Steps with control flow and collectives of their own."""

import pytest
import tensorflow as tf

from distribute.equivalence_check.references import ReplayRun

from . import programs
from .programs import batch, check, failed, program, quick


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
