import pytest

from configs.recipe import Recipe
from train.errors import InputError
from train.recipes import load_recipe

RECIPE = """
from configs.recipe import Recipe
def get_config():
    return Recipe(build_model=None, build_optimizer=None, epochs=3)
"""


@pytest.fixture
def recipe_file(tmp_path):
    def write(text):
        path = tmp_path / "recipe.py"
        path.write_text(text)
        return str(path)

    return write


class TestLoadRecipe:
    def test_a_module_by_name(self):
        assert isinstance(load_recipe("configs.digits"), Recipe)

    def test_a_file(self, recipe_file):
        assert load_recipe(recipe_file(RECIPE)).epochs == 3

    def test_a_file_with_a_dataclass_whose_annotations_are_text(self, recipe_file):
        text = "from __future__ import annotations\nimport dataclasses\n"
        text += "@dataclasses.dataclass\nclass Width:\n    units: int = 3\n"
        assert load_recipe(recipe_file(text + RECIPE)).epochs == 3

    @pytest.mark.parametrize("policy", ["float16", "mixed_float16"])
    def test_half_precision_that_needs_a_scaled_loss_is_refused(self, recipe_file, policy):
        text = RECIPE.replace("epochs=3", f"dtype_policy={policy!r}")
        with pytest.raises(InputError, match=f"{policy}: float16 needs a scaled loss.*mixed_bfloat16 needs none"):
            load_recipe(recipe_file(text))

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ("dataset=''", "dataset is empty: name one"),
            ("dtype_policy='float31'", "float31"),
            ("sequence_length=8", "vocabulary_size is 0: at least 3"),
            ("max_shift=-1", "max_shift is -1: at least 0"),
        ],
    )
    def test_a_field_that_cannot_be_is_told_in_one_line(self, recipe_file, fields, message):
        with pytest.raises(InputError, match=message) as caught:
            load_recipe(recipe_file(RECIPE.replace("epochs=3", fields)))
        assert "\n" not in str(caught.value)

    def test_a_broken_file_is_told_with_the_line(self, recipe_file):
        with pytest.raises(InputError, match=r"ZeroDivisionError: division by zero \(.*recipe.py:2\)"):
            load_recipe(recipe_file("def get_config():\n    return 1 / 0"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("x = 1", "has no get_config"),
            ("def get_config(): return 1", "returned int"),
            ("def get_config(): return 1 / 0", "ZeroDivisionError: division by zero"),
            ("def get_config(:", "SyntaxError"),
            ("import no_such_module", "No module named 'no_such_module'"),
        ],
    )
    def test_a_broken_file_is_told_in_one_line(self, recipe_file, text, message):
        with pytest.raises(InputError, match=message):
            load_recipe(recipe_file(text))

    @pytest.mark.parametrize("name", ["no_such.recipe", "configs.no_such", "", "configs..digits", "missing.py"])
    def test_a_missing_one_is_told_in_one_line(self, name):
        with pytest.raises(InputError, match="--config="):
            load_recipe(name)
