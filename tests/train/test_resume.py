import dataclasses

import keras
import pytest

from configs.recipe import Recipe
from models import regression
from tests.train.sources import array_source
from train.errors import InputError
from train.fingerprint import recipe_fields, take_fingerprint
from train.resume import require_same_run, warn_of_other_code
from train.run_folder import RunFolder
from train.verification import Subject


def model(shape, classes, *, rate=0.5, units=4):
    layers = [keras.layers.Flatten(), keras.layers.Dense(units), keras.layers.Dropout(rate)]
    return keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(classes)])


def adam(learning_rate, **arguments):
    return keras.optimizers.Adam(learning_rate, **arguments)


def fingerprint(*, make_source=lambda: array_source(10), **fields):
    recipe = Recipe(**{"build_model": model, "build_optimizer": adam, **fields})
    subject = Subject("configs.digits", recipe, make_source())
    return take_fingerprint(subject, subject.build())


@pytest.fixture
def folder(tmp_path):
    run = RunFolder(tmp_path)
    run.write_fingerprint(fingerprint())
    return run


def other_data():
    source = array_source(10)
    return dataclasses.replace(source, train=source.train.map(lambda image, label: (image + 1, label)))


class TestRequireSameRun:
    def test_the_same_run_built_again_passes_whatever_its_layers_are_called(self, folder):
        keras.layers.Dense(1)
        require_same_run(folder, fingerprint())
        require_same_run(folder, fingerprint(epochs=3, learning_rate=7.0))

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"seed": 5}, "--seed is 5 now, and the run began with 0"),
            ({"max_shift": 1}, "the recipe's max_shift is 1 now, and the run began with 0"),
            ({"measure": regression}, "the recipe's measure is regression now, and the run began with classification"),
            ({"make_source": lambda: array_source(11)}, "the data's number of training examples is 11 now"),
            ({"make_source": other_data}, "the data's SHA-256 is "),
            ({"build_model": lambda *args: model(*args, rate=0.25)}, r"layer 3 \(Dropout\) rate is 0.25 now, .* 0.5"),
            ({"build_model": lambda *args: model(*args, units=5)}, r"layer 2 \(Dense\) units is 5 now, .* 4"),
            (
                {"build_optimizer": keras.optimizers.SGD},
                "the optimizer's class is SGD now, and .* Adam",
            ),
            ({"build_optimizer": lambda rate: adam(rate, beta_1=0.5)}, "the optimizer's beta_1 is 0.5 now"),
        ],
    )
    def test_what_differs_is_named(self, folder, fields, words):
        with pytest.raises(InputError, match=words):
            require_same_run(folder, fingerprint(**fields))

    def test_a_part_is_compared_with_a_part(self, folder):
        recipe = Recipe(build_model=model, build_optimizer=adam, global_batch_size=7)
        with pytest.raises(InputError, match="--global_batch_size is 7 now, and the run began with 64"):
            require_same_run(folder, {"recipe": recipe_fields(recipe)})


class TestWarnOfOtherCode:
    def test_nothing_has_changed(self, folder, capsys):
        warn_of_other_code(folder, fingerprint())
        assert capsys.readouterr().err == ""

    def test_names_the_file_and_the_version(self, folder, capsys):
        now = fingerprint()
        assert {"models/conv.py", "train/step.py", "recipe"} <= now["code"].keys()
        now["code"]["models/conv.py"] = "another"
        now["versions"]["keras"] = "4.0"
        warn_of_other_code(folder, now)
        code, version = capsys.readouterr().err.splitlines()
        assert "code has changed since the run began (models/conv.py)" in code
        assert f"keras is 4.0 now, and the run began with {keras.__version__}" in version

    def test_a_note_that_is_lost(self, folder, capsys):
        (folder.checkpoints / "fingerprint.json").write_text("{")
        warn_of_other_code(folder, fingerprint())
        assert "nothing was compared" in capsys.readouterr().err
