"""Where training computes in half precision, or differs, the loop's lines are held against one device in float64."""

import dataclasses
import types

import keras
import pytest

from configs import digits
from tests.train.sources import array_source
from train import loop, stages
from train.sharding import take_shard
from train.verification import Subject


@pytest.fixture(autouse=True)
def dtype_policy():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(policy)


def test_half_precision_is_held_in_float64_and_stays_as_it_was(strategy_of):
    recipe = dataclasses.replace(digits.get_config(), dtype_policy="mixed_bfloat16", global_batch_size=12)
    subject = Subject("configs.digits", recipe, array_source(12, size=20))
    values = types.SimpleNamespace(log_device_placement=False)
    trainee = stages.make_trainee(values, subject, strategy_of(2), console=None)
    check = stages.check_step(subject, trainee)
    assert check.status == "passed", check.detail
    assert check.observed < 1e-9  # in bfloat16 it is more than 1e-3
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert trainee.train_function.num_begun == 0


def test_a_wrong_loop_fails_in_float64_as_well(strategy_of, monkeypatch):
    keras.config.set_dtype_policy("float32")
    monkeypatch.setattr(loop, "take_shard", lambda batch, replica_id, num_replicas: take_shard(batch, 0, num_replicas))
    recipe = dataclasses.replace(digits.get_config(), global_batch_size=12)
    subject = Subject("configs.digits", recipe, array_source(12, size=20))
    trainee = stages.make_trainee(types.SimpleNamespace(log_device_placement=False), subject, strategy_of(2), None)
    check = stages.check_step(subject, trainee)
    assert check.status == "failed"
    assert check.observed > 0.1
    assert keras.config.dtype_policy().name == "float32"
