"""The user's global state (dtype policy, seeds, name counters, ...) is put back, whatever verification does to it."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state as keras_global_state
from tensorflow.python.eager import context as tf_context
from tensorflow.python.ops import stateful_random_ops

BUILD_SEED = 20_26

_NO_GRAPPLER = "disable_meta_optimizer"
_SETTINGS = (
    "dtype_policy",
    "custom_objects_scope_dict",
    "safe_mode_saving",
    "flash_attention",
    "traceback_filtering",
    "interactive_logging",
)
"""What the user may have set in Keras. All else is what Keras counts and collects: names, seeds, variables to come."""


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Puts floatx, dtype policy, seeds, Keras' name counters and TensorFlow's options back on leaving."""
    context = tf_context.context()
    context.ensure_initialized()
    keras_state = _keras_attributes()
    eager_functions = tf.config.functions_run_eagerly()
    floatx = keras.config.floatx()
    unoptimised = tf.config.optimizer.get_experimental_options().get(_NO_GRAPPLER, False)
    python_seed, numpy_seed = random.getstate(), np.random.get_state()
    tf_seed, tf_rng = context._seed, context._rng.getstate() if getattr(context, "_rng", None) else None
    generator = stateful_random_ops.global_generator
    generator_state = None if generator is None else generator.state.numpy()
    try:
        # Under run_functions_eagerly nothing is traced, so nothing could be observed in a graph.
        tf.config.run_functions_eagerly(False)
        # Each graph runs a few times only: optimising it costs more than that, a third of the whole verification.
        tf.config.optimizer.set_experimental_options({_NO_GRAPPLER: True})
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_NO_GRAPPLER: unoptimised})
        tf.config.run_functions_eagerly(eager_functions)
        keras.config.set_floatx(floatx)
        _set_keras_attributes(keras_state)
        random.setstate(python_seed)
        np.random.set_state(numpy_seed)
        context._seed = tf_seed
        if tf_rng is not None:
            context._rng.setstate(tf_rng)
        stateful_random_ops.global_generator = generator
        if generator is not None:
            generator.state.assign(generator_state)


@contextlib.contextmanager
def alike(seed: int = BUILD_SEED) -> Iterator[None]:
    """Inside, Keras' automatic names, its global seed generator and all seeds start the same way each time."""
    kept = _keras_attributes()
    try:
        _set_keras_attributes({name: value for name, value in kept.items() if name in _SETTINGS})
        reseed(seed)
        yield
    finally:
        # A seed generator that was created inside stays with the functions that captured it; names go back.
        _set_keras_attributes(kept)


def reseed(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow."""
    random.seed(seed)
    np.random.seed(seed)
    tf.random.set_seed(seed)


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Inside, Keras computes in `dtype`; a mixed policy of the user's own stays where float32 is asked for."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    try:
        keras.config.set_floatx(dtype)
        if not (dtype == "float32" and policy.name.startswith("mixed")):
            # set_floatx alone is ignored once a layer was built.
            keras.config.set_dtype_policy(dtype)
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def _keras_attributes() -> dict[str, Any]:
    attributes = vars(keras_global_state.GLOBAL_STATE_TRACKER)
    return {name: value.copy() if isinstance(value, dict) else value for name, value in attributes.items()}


def _set_keras_attributes(values: dict[str, Any]) -> None:
    attributes = vars(keras_global_state.GLOBAL_STATE_TRACKER)
    attributes.clear()
    attributes.update(values)
