"""``--export``, and what a process makes of it that has TensorFlow and Keras only."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.process import assert_refused, run_script_in_fork

# Plain BatchNormalization: each replica keeps moving statistics of its own.
RECIPE = '''
import keras
import tensorflow as tf
from configs.recipe import Recipe

class Unknown(keras.layers.Layer):
    """Has a variable that TensorFlow knows of, and Keras does not."""

    def __init__(self, step, **options):
        super().__init__(**options)
        self.step = step
        self.count = tf.Variable(0.0, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)

    def call(self, inputs, training=None):
        if training:
            self.count.assign_add(self.step)
        return inputs + self.count

@keras.saving.register_keras_serializable()
class Known(Unknown):
    """One whose code Keras finds in this process."""

def build(shape, classes):
    layers = [keras.layers.Flatten(), %s, keras.layers.Dense(classes, name="logits")]
    return keras.Sequential([keras.Input(shape), *layers])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam, learning_rate=0.01)
'''
LOCAL = "keras.layers.Dense(16), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)"
SYNCHRONIZED = "keras.layers.Dense(16), keras.layers.BatchNormalization(synchronized=True)"

# Isolated (-I): neither the working directory nor PYTHONPATH makes this repository importable.
LOADS = """
import sys
import keras, numpy as np, tensorflow as tf
assert not any(name.split(".")[0] in ("train", "distribute", "models", "configs") for name in sys.modules)
path, images, out = sys.argv[1:]
images = np.load(images)
if path.endswith(".keras"):
    found = keras.models.load_model(path)(images, training=False)
else:
    loaded = tf.saved_model.load(path)  # which owns the variables of its functions
    found = loaded.serve(images)
np.save(out, found.numpy())
"""


def run_main(tmp_path, layers, *flags, num_replicas=2):
    (tmp_path / "recipe.py").write_text(RECIPE % layers)
    flags = [f"--config={tmp_path / 'recipe.py'}", f"--virtual_gpus={num_replicas}", "--verify=off", *flags]
    return run_script_in_fork("train/main.py", f"--output_dir={tmp_path / 'run'}", *flags, cwd=tmp_path)


def predict_elsewhere(tmp_path, exported, images):
    """What a fresh process predicts that has no access to this repository."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    np.save(elsewhere / "images.npy", images)
    (elsewhere / "load.py").write_text(LOADS)
    arguments = [str(exported), str(elsewhere / "images.npy"), str(elsewhere / "found.npy")]
    command = [sys.executable, "-I", str(elsewhere / "load.py"), *arguments]
    result = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    return np.load(elsewhere / "found.npy")


def values_of(checkpoint, part, count):
    reader = tf.train.load_checkpoint(str(checkpoint))
    return [reader.get_tensor(f"{part}/{index}/.ATTRIBUTES/VARIABLE_VALUE") for index in range(count)]


def statistics_of(checkpoint):
    """Moving mean and moving variance [replicas, 16]."""
    return values_of(checkpoint, "replicas", 2)


def predict_by_hand(checkpoint, images):
    """The model with the checkpoint's own values, the statistics of all replicas averaged, in NumPy."""
    kernel, bias, gamma, beta, kernel_2, bias_2 = values_of(checkpoint, "optimizer/_trainable_variables", 6)
    mean, variance = (copies.mean(axis=0) for copies in statistics_of(checkpoint))
    hidden = images.reshape(len(images), -1) @ kernel + bias
    return (gamma * (hidden - mean) / np.sqrt(variance + 1e-3) + beta) @ kernel_2 + bias_2


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(size=[6, 28, 28, 1]).astype(np.float32)


class TestExport:
    @pytest.mark.parametrize("name", ["model.keras", pytest.param("saved_model", marks=pytest.mark.proof)])
    def test_holds_the_mean_of_all_replicas_and_needs_nothing_of_ours(self, tmp_path, images, name):
        result = run_main(tmp_path, LOCAL, "--steps=12", f"--export={name}")
        assert result.returncode == 0, result.stderr
        assert f"exported       {name}" in result.stdout
        assert "the mean of all replicas: " in result.stdout
        checkpoint = tmp_path / "run/checkpoints/ckpt-12"
        mean, _ = statistics_of(checkpoint)
        assert len(mean) == 2
        assert np.abs(mean[0] - mean[1]).max() > 1e-3  # or this test could not tell the mean from the first
        found = predict_elsewhere(tmp_path, tmp_path / name, images)
        np.testing.assert_allclose(found, predict_by_hand(checkpoint, images), rtol=1e-4, atol=1e-4)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "recipe.py", "run", "elsewhere"])

    @pytest.mark.proof
    def test_of_synchronised_statistics_says_nothing_of_a_mean_and_replaces_an_older_one(self, tmp_path, images):
        for steps in (3, 5):
            again = ["--resume"] if steps == 5 else []
            result = run_main(tmp_path, SYNCHRONIZED, f"--steps={steps}", "--export=model", *again)
            assert result.returncode == 0, result.stderr
            assert f"exported       model (SavedModel, {steps} steps)" in result.stdout
        # A run that is finished can be exported, too.
        result = run_main(tmp_path, SYNCHRONIZED, "--steps=5", "--export=model.keras", "--resume", num_replicas=1)
        assert result.returncode == 0, result.stderr
        folder = predict_elsewhere(tmp_path, tmp_path / "model", images)
        file = predict_elsewhere(tmp_path, tmp_path / "model.keras", images)
        np.testing.assert_allclose(folder, file, rtol=1e-5, atol=1e-5)


class TestRefusals:
    @pytest.mark.parametrize(
        ("flag", "words"),
        [
            ("model.h5", ".h5 is not written"),
            ("nowhere/model.keras", "there is no folder"),
            ("folder.keras", "folder.keras is a folder"),
            ("mine", "exists and is no SavedModel"),
            ("recipe.py", "exists and is no SavedModel"),
        ],
    )
    def test_before_training(self, tmp_path, flag, words):
        (tmp_path / "folder.keras").mkdir()
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/notes.txt").touch()
        result = run_main(tmp_path, LOCAL, "--steps=1", f"--export={flag}")
        assert_refused(result, 1, f"--export={flag}", words)
        assert not (tmp_path / "run").exists()

    def test_without_training(self, tmp_path):
        assert_refused(run_main(tmp_path, LOCAL, "--steps=0", "--export=m.keras"), 1, "--steps=0 only verifies")

    @pytest.mark.proof
    @pytest.mark.parametrize(
        ("layer", "words"), [("Known(3.0)", "predicts otherwise"), ("Unknown(3.0)", "holds the code of its layers")]
    )
    def test_what_a_keras_file_does_not_hold(self, tmp_path, images, layer, words):
        result = run_main(tmp_path, layer, "--steps=2", "--export=model.keras")
        assert_refused(result, 1, "--export=model.keras", words)
        assert not (tmp_path / "model.keras").exists()
        record = json.loads((tmp_path / "run/report.json").read_text())
        assert not record["ok"]
        assert record["training"]["test_accuracy"] > 0
        # What was trained is not lost, and a SavedModel holds all of it, code included.
        result = run_main(tmp_path, layer, "--steps=2", "--export=model", "--resume")
        assert result.returncode == 0, result.stderr
        assert predict_elsewhere(tmp_path, tmp_path / "model", images).shape == (6, 10)
