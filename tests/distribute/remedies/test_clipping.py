import keras
import pytest
import tensorflow as tf

from distribute import clip_after_all_reduce

from .. import programs
from .common import assert_close, batch, compiled, dense, fit, quick

CLIPS = [{"clipvalue": 0.001}, {"clipnorm": 0.01}, {"global_clipnorm": 0.01}]


def optimizers(clip, make=keras.optimizers.SGD, **options):
    def stock(rate):
        return make(rate, **clip, **options)

    return stock, lambda rate: clip_after_all_reduce(stock(rate))


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: next(iter(clip)))
class TestEachWayToClip:
    def test_stock_optimizer_fails_and_changed_one_passes(self, clip):
        stock, changed = optimizers(clip)
        report = quick(compiled(dense, stock))
        assert report.causes == ("clip_before_all_reduce",)
        report = quick(compiled(dense, changed), num_replicas=2 + CLIPS.index(clip) % 2)
        assert report.ok, str(report)

    def test_one_device_computes_what_the_stock_optimizer_computes(self, clip):
        x, y = batch(12)
        one, other = (fit(compiled(dense, make), 1, x=x, y=y, batch_size=5) for make in optimizers(clip))
        assert_close(one[0], other[0], rtol=0, atol=0)


class TestTogetherWith:
    def test_custom_step(self):
        _, changed = optimizers({"global_clipnorm": 0.01})
        report = quick(programs.program(make_optimizer=changed), [batch(13)], 3)
        assert report.ok, str(report)

    def test_moving_averages_and_loss_scaling_in_fit(self):
        def scaled(rate):
            stock, changed = optimizers(
                {"global_clipnorm": 0.01}, keras.optimizers.AdamW, use_ema=True, weight_decay=0.1
            )
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            inner = stock(rate) if replicas == 1 else changed(rate)
            return keras.optimizers.LossScaleOptimizer(inner, initial_scale=64.0, dynamic_growth_steps=2)

        x, y = batch(12)
        one, other = (fit(compiled(dense, scaled), n, x=x, y=y, batch_size=6) for n in (1, 2))
        assert_close(one[0], other[0])

    def test_wrapping_optimizers(self):
        inner = keras.optimizers.SGD(clipnorm=1.0)
        scaled = keras.optimizers.LossScaleOptimizer(inner)
        assert clip_after_all_reduce(scaled) is scaled
        assert type(inner).__name__ == "ClipAfterAllReduceSGD"
        assert type(keras.optimizers.SGD(clipnorm=1.0)) is keras.optimizers.SGD

    def test_sparse_gradients(self):
        def model():
            words = keras.layers.Embedding(9, 4)
            return keras.Sequential(
                [keras.Input((3,), dtype="int32"), words, keras.layers.Flatten(), keras.layers.Dense(1)]
            )

        _, changed = optimizers({"clipnorm": 0.01})
        ids = tf.random.stateless_uniform((12, 3), (0, 1), 0, 9, tf.int32).numpy()
        report = quick(compiled(model, changed), [(ids, batch(12)[1])], 3)
        assert report.ok, str(report)

    def test_saving_and_loading(self, tmp_path):
        model = compiled(dense, optimizers({"global_clipnorm": 0.01}, keras.optimizers.Adam)[1])()
        model.fit(*batch(12), verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert type(loaded.optimizer) is type(model.optimizer)
        assert loaded.optimizer.global_clipnorm == 0.01
        assert_close([v.numpy() for v in loaded.optimizer.variables], [v.numpy() for v in model.optimizer.variables])

    def test_nothing_to_clip_is_refused(self):
        with pytest.raises(ValueError, match="Adam clips nothing"):
            clip_after_all_reduce(keras.optimizers.Adam())

    def test_twice_is_once(self):
        optimizer = clip_after_all_reduce(keras.optimizers.SGD(clipnorm=1.0))
        assert type(clip_after_all_reduce(optimizer)) is type(keras.optimizers.get(optimizer))
