"""Who may import whom: train -> configs -> {models, distribute}, and distribute and models import nothing of ours."""

import ast
import re
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ALLOWED = {
    "distribute": set(),  # nor itself by name: a wheel has it under another one
    "models": {"models"},
    "configs": {"configs", "models", "distribute"},
    "train": {"train", "configs", "models", "distribute"},
    "examples": {"distribute"},
}


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "" if node.level else (node.module or "").split(".")[0]


class TestLayout:
    @pytest.mark.parametrize("folder", ALLOWED)
    def test_imports_point_one_way(self, folder):
        ours = set(ALLOWED) | {"tests", "benchmarks"}
        for path in (REPOSITORY / folder).rglob("*.py"):
            forbidden = set(imported_packages(path)) & ours - ALLOWED[folder]
            assert not forbidden, f"{path} imports {forbidden}"

    def test_the_library_does_not_know_its_own_name(self):
        """No import can be seen in a string: entries of child processes, remedies in messages."""
        for path in (REPOSITORY / "distribute").rglob("*.py"):
            code = re.sub(r'(?s)""".*?"""', "", path.read_text())
            assert not re.findall(r'"[^"\n]*(?<![\w.`])distribute[.:]\w', code), path

    def test_no_module_in_train_is_named_like_one_of_the_standard_library(self):
        """`python train/main.py` puts train/ first on the path, so such a module would be found instead."""
        names = {path.stem for path in (REPOSITORY / "train").iterdir()}
        assert not names & sys.stdlib_module_names
        assert "train" not in names

    def test_no_script_edits_the_path(self):
        """But for the one place that makes a user's own modules importable, as `python -m` does."""
        for folder in ALLOWED:
            for path in (REPOSITORY / folder).rglob("*.py"):
                if path == REPOSITORY / "train/user_code.py":
                    continue
                edits = re.findall(r"sys\.path(?:\[.*\])?(?: \+?= |\.(?!index|count|copy)\w+\()", path.read_text())
                assert not edits, (path, edits)

    def test_the_workspace_lists_every_module_and_none_that_is_gone(self):
        tree = (REPOSITORY / "WORKSPACE.md").read_text().split("## Files")[1].split("```")[1]
        modules = [path for folder in ALLOWED for path in (REPOSITORY / folder).glob("*.py")]
        assert [path.name for path in modules if path.name != "__init__.py" and path.name not in tree] == []
        there = {path.name for path in REPOSITORY.glob("*/**/*.py")}
        assert [name for name in re.findall(r"(?<![\w…])\w+\.py", tree) if name not in there] == []
