"""Small random programs, correct by construction: layers, optimizer, loss, batch size and N are drawn."""

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distribute import verify

from .base_programs import CustomStep, ReplicaDropout, compiled, squares, synchronized
from .cases import strategy_of
from .data import FEATURES, rows

LAYERS = st.sampled_from(
    [
        lambda: keras.layers.Dense(4, activation="tanh"),
        lambda: keras.layers.Dense(3, activation="relu"),
        lambda: keras.layers.Dense(5, activation="softplus", use_bias=False),
        lambda: keras.layers.LayerNormalization(),
        lambda: keras.layers.Activation("gelu"),
        synchronized,
        ReplicaDropout,
    ]
)

OPTIMIZERS = st.one_of(
    st.builds(
        lambda rate, momentum, nesterov: lambda: keras.optimizers.SGD(rate, momentum=momentum, nesterov=nesterov),
        st.floats(1e-4, 0.2),
        st.sampled_from([0.0, 0.5, 0.9]),
        st.booleans(),
    ),
    st.builds(
        lambda kind, rate, decay, average: (
            lambda: getattr(keras.optimizers, kind)(rate, weight_decay=decay, use_ema=average)
        ),
        st.sampled_from(["Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Adagrad", "Lamb", "Lion", "Adadelta"]),
        st.floats(1e-4, 0.1),
        st.sampled_from([0.0, 0.004, 0.1]),
        st.booleans(),
    ),
)


def model_of(layers):
    return lambda: keras.Sequential([keras.Input((FEATURES,)), *(make() for make in layers), keras.layers.Dense(1)])


def seeded(build, seed):
    def from_seed():
        keras.utils.set_random_seed(seed)
        return build()

    return from_seed


@st.composite
def programs(draw):
    """(build, data, number of replicas) of a program that computes the same on any number of replicas."""
    replicas = draw(st.integers(1, 8), label="replicas")
    model = model_of(draw(st.lists(LAYERS, max_size=3), label="layers"))
    optimizer = draw(OPTIMIZERS, label="optimizer")
    seed = draw(st.integers(0, 99), label="seed")
    if draw(st.booleans(), label="compiled"):
        loss = draw(st.sampled_from([keras.losses.MeanSquaredError, keras.losses.LogCosh, keras.losses.Huber]))
        size = replicas * draw(st.integers(1, 4), label="examples per replica")  # of others, compiled ones are wrong
        return seeded(compiled(model, optimizer, loss), seed), [rows(size, seed)], replicas
    size = draw(st.integers(2, 20), label="examples")
    return seeded(CustomStep(model, squares, optimizer=optimizer), seed), [rows(size, seed)], replicas


def verified(program):
    build, data, replicas = program
    # Gradients, updates of two steps and state; a step without any random number is no less worth a look.
    report = verify(build, data, strategy=strategy_of(replicas), steps=2, dtypes=("float64",))
    assert report.ok, str(report)
    assert not report.causes


COMMON = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


class TestRandomPrograms:
    @settings(max_examples=3, **COMMON)
    @given(programs())
    def test_correct_ones_pass(self, program):
        verified(program)

    @pytest.mark.proof
    @pytest.mark.timeout(1800)
    @settings(max_examples=120, **COMMON)
    @given(programs())
    def test_many_correct_ones_pass(self, program):
        verified(program)
