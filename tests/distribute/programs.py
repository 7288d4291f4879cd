"""Small programs for the tests of verification: one right step, and the same step with one mistake."""

import re

import keras
import numpy as np
import tensorflow as tf

from distribute import Program, verify

FEATURES = 6


def strategy(num_replicas):
    if num_replicas == 1:
        return tf.distribute.get_strategy()
    names = [f"CPU:{index}" for index in range(num_replicas)]
    return tf.distribute.MirroredStrategy(names, cross_device_ops=tf.distribute.ReductionToOneDevice())


def batch(size=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, FEATURES)).astype("float32"), rng.normal(size=(size, 1)).astype("float32")


def mlp(*layers):
    return keras.Sequential([keras.Input((FEATURES,)), *layers, keras.layers.Dense(1)])


def dense():
    return mlp(keras.layers.Dense(4, activation="tanh"))


def global_count(x):
    return tf.distribute.get_replica_context().all_reduce("SUM", tf.cast(tf.shape(x)[0], tf.float64))


def squared_error(model, x, y):
    """The shard's part of the mean over the global batch."""
    error = tf.reduce_sum(tf.square(model(x, training=True) - tf.cast(y, model.compute_dtype)), axis=-1)
    return tf.reduce_sum(error) / tf.cast(global_count(x), error.dtype)


def program(
    make_model=dense, make_optimizer=keras.optimizers.SGD, loss=squared_error, change=None, build_optimizer=True
):
    """A build function; `change(gradients, context)` plants a mistake."""

    def build():
        model, optimizer = make_model(), make_optimizer(0.1)
        if build_optimizer:
            optimizer.build(model.trainable_variables)

        def train_step(data):
            context = tf.distribute.get_replica_context()
            with tf.GradientTape() as tape:
                value = loss(model, *data)
            gradients = tape.gradient(value, model.trainable_variables)
            if change is not None:
                gradients = change(gradients, context)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return {"loss": value}

        return Program(train_step, model=model, optimizer=optimizer)

    return build


def compiled(make_model=dense, optimizer="sgd", loss="mse", metrics=()):
    def build():
        model = make_model()
        model.compile(optimizer, loss, metrics=list(metrics))
        return model

    return build


def failed(report):
    """The names of the failed checks."""
    return {check.name for check in report.failures}


def check(report, name):
    """The check of this name."""
    return next(one for one in report.checks if one.name == name)


def quick(build, data=None, num_replicas=2, **options):
    """`verify` in float64 alone, and of a failure no smaller case."""
    data = [batch(12)] if data is None else data
    options = {"dtypes": ("float64",), "shrink": False, **options}
    return verify(build, data, strategy=strategy(num_replicas), **options)


def explained(build, data=None, num_replicas=2, **options):
    """`quick` of a mistake: the report, and the explanation of its first cause."""
    report = quick(build, data, num_replicas, **options)
    assert [one.cause for one in report.explanations] == list(report.causes)
    assert report.causes, str(report)
    for one in report.explanations:
        assert one.evidence
        assert one.remedy in re.sub(r"\s+", " ", str(report))
    return report, report.explanations[0]
