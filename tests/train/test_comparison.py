"""What two records say of each other; whole runs are compared in tests/integration/test_compare.py."""

import copy

import numpy as np
import pytest

from train.comparison import are_same, drift, findings, setup_differences, variable_differences
from train.weight_sketch import sketch

WEIGHTS = np.random.default_rng(0).normal(size=[40, 50])


def record(*, dtype="float32", weights=WEIGHTS, steps=30, seed=0, accuracy=0.95):
    return {
        "training": {
            "steps": steps,
            "losses": {"steps": list(range(1, steps + 1)), "values": [2.0 - 0.01 * step for step in range(steps)]},
            "weights": [
                {
                    "path": "dense/kernel",
                    "shape": list(weights.shape),
                    "dtype": dtype,
                    "l2": float(np.linalg.norm(weights)),
                    "sketch": sketch(weights, 0),
                }
            ],
            "test_accuracy": accuracy,
            "weights_sha256": str(hash(weights.tobytes())),
        },
        "setup": {"recipe": {"seed": seed}, "run": {"number of test examples": 360}},
        "devices": {"replicas": 2},
    }


def with_losses(change, **arguments):
    changed = record(weights=WEIGHTS * (1 + 1e-7), **arguments)
    losses = changed["training"]["losses"]
    losses["values"] = [change(step, value) for step, value in zip(losses["steps"], losses["values"], strict=True)]
    return changed


def verdict(first, second):
    found = findings(first, second)
    return are_same(found), {finding.name: finding.agrees for finding in found}


class TestVerdict:
    def test_a_record_is_the_same_as_itself_to_the_bit(self):
        found = findings(record(), copy.deepcopy(record()))
        assert are_same(found)
        assert "the same to the bit" in [finding.text for finding in found]

    def test_rounding_that_grows_is_no_difference(self):
        grown = with_losses(lambda step, value: value * (1 + 1e-8 * 1.6**step))
        assert verdict(record(), grown)[0]
        differences = dict(drift(record(), grown))
        assert differences[5] < 1e-6
        assert differences[30] > 1e-3

    @pytest.mark.parametrize(("dtype", "size", "same"), [("float32", 1e-6, True), ("float64", 1e-6, False)])
    def test_what_is_rounding_depends_on_the_dtype(self, dtype, size, same):
        other = with_losses(lambda step, value: value * (1 + size), dtype=dtype)
        assert verdict(record(dtype=dtype), other)[0] is same

    def test_another_loss_in_the_first_steps_is_a_difference(self):
        other = with_losses(lambda step, value: value * (1 + 1e-3 * (step == 2)))
        same, agrees = verdict(record(), other)
        assert not same
        assert agrees["first losses"] is False
        assert agrees["weights"] is True

    def test_weights_that_have_nothing_in_common_are(self):
        other = record(weights=np.random.default_rng(1).normal(size=WEIGHTS.shape), seed=1)
        same, agrees = verdict(record(), other)
        assert not same
        assert agrees["weights"] is False
        assert variable_differences(record(), other)["dense/kernel"] == pytest.approx(2**0.5, rel=0.3)
        assert list(setup_differences(record(), other)) == [("setup.recipe.seed", 0, 1)]

    @pytest.mark.parametrize(("accuracy", "agrees"), [(0.94, True), (0.80, False), (None, None)])
    def test_an_accuracy_that_chance_does_not_explain_is(self, accuracy, agrees):
        other = record(weights=WEIGHTS * (1 + 1e-7), accuracy=accuracy)
        same, found = verdict(record(), other)
        assert found["test accuracy"] is agrees
        assert same is (agrees is not False)

    def test_another_number_of_steps_is(self):
        assert not verdict(record(), record(steps=29))[0]

    def test_what_is_not_in_both_records_is_unknown_and_nothing_at_all_is_not_the_same(self):
        resumed = record()
        resumed["training"]["losses"] = {"steps": [20, 21], "values": [1.8, 1.79]}
        same, agrees = verdict(record(), resumed)
        assert same
        assert agrees["first losses"] is None
        empty = {"training": {"steps": 30}}
        same, agrees = verdict(empty, empty)
        assert not same
        assert set(agrees.values()) == {True, None}

    def test_other_shapes_cannot_be_compared(self):
        other = record(weights=WEIGHTS[:, :10])
        assert variable_differences(record(), other) is None
        assert verdict(record(), other)[1]["weights"] is None
