"""Every recipe computes on N replicas what one device computes, and reaches what it says it reaches."""

import importlib
import json
import re
import types

import pytest

from distribute import verify
from tests.configs.recipes import NAMES, policy_of, recipe_of, small_subject
from tests.process import REPOSITORY, run_main
from train import stages
from train.sharding import shard_input_fn

# What `make test` can afford; the others take tens of seconds each.
QUICK = {("line", 3)}

# What needs no download, with the flags that stand in its docstring, and the least that each was seen to reach.
RESULTS = {
    "digits": {"test_accuracy": (0.97, 1.0)},
    "line": {"test_loss": (0.0, 0.0115)},
    "mixed_precision": {"test_accuracy": (0.95, 1.0)},
    "resnet": {"test_accuracy": (0.88, 1.0)},
    "text_classifier": {"test_accuracy": (0.99, 1.0)},
}


def cases():
    for name in NAMES:
        for num_replicas in (2, 3, 4):
            marks = () if (name, num_replicas) in QUICK else pytest.mark.proof
            yield pytest.param(name, num_replicas, 12, marks=marks)
            yield pytest.param(name, num_replicas, 13, marks=pytest.mark.proof)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "num_replicas", "global_batch_size"), list(cases()))
def test_computes_what_one_device_computes(strategy_of, name, num_replicas, global_batch_size):
    """12 rows are divided by 2, 3 and 4; 13, and the rest of an epoch, 7, by none of them."""
    subject = small_subject(name, global_batch_size=global_batch_size, num_examples=global_batch_size + 7)
    strategy = strategy_of(num_replicas)
    with policy_of(subject.recipe):
        report = verify(subject.build, shard_input_fn(subject.batches), strategy=strategy, shrink=False)
        report.raise_if_failed()
        checks = {check.name: check for check in report.checks}
        assert checks["gradient_equivalence/float64"].status == "passed"
        assert checks["gradient_equivalence/float64@uneven"].status == "passed"
        if checks["randomness"].status == "skipped":
            trainee = stages.make_trainee(types.SimpleNamespace(log_device_placement=False), subject, strategy, None)
            check = stages.check_step(subject, trainee)
            assert check.status == "passed", check.detail
    assert (checks["randomness"].status == "passed") == (name == "text_classifier")


@pytest.mark.parametrize("name", NAMES)
class TestDocstring:
    def test_opens_with_command_cost_and_result(self, name):
        text = importlib.import_module(f"configs.{name}").__doc__
        assert re.search(r"\n\nCommand: +python train/main.py .*--virtual_gpus=2.*\nCost: +.*\nResult: +", text), text
        named = f"--config=configs.{name}"
        assert (named in text) == (name != "digits")  # which is the default

    def test_is_in_the_readme(self, name):
        assert f"`configs.{name}`" in (REPOSITORY / "README.md").read_text()


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(RESULTS))
def test_reaches_its_result(tmp_path, name):
    doc = importlib.import_module(f"configs.{name}").__doc__
    flags = ["--dataset=digits", "--epochs=15"] if recipe_of(name).dataset == "cifar10" else []
    assert " ".join(flags) in doc
    result = run_main(
        f"--config=configs.{name}", "--virtual_gpus=2", "--verify=off", f"--output_dir={tmp_path}", *flags, timeout=800
    )
    assert result.returncode == 0, result.stderr
    training = json.loads((tmp_path / "report.json").read_text())["training"]
    for figure, (least, most) in RESULTS[name].items():
        assert least <= training[figure] <= most
