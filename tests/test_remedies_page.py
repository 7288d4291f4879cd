"""The programs of docs/remedies.md run as written, and the page knows every cause and block."""

import re
from pathlib import Path

import pytest

import distribute
from distribute.causes import CAUSES
from tests.process import run_python

PAGE = (Path(__file__).resolve().parent.parent / "docs/remedies.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
WITHOUT_REMEDY = {"non_finite", "irreproducible_reference"}


class TestRemediesPage:
    @pytest.mark.proof
    def test_programs_pass(self):
        result = run_python("\n".join(BLOCKS), timeout=240)
        assert result.returncode == 0, result.stdout + result.stderr

    def test_every_cause_has_a_row(self):
        rows = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)
        assert sorted(rows) == sorted(set(CAUSES) - WITHOUT_REMEDY)

    def test_every_block_is_shown(self):
        modules = {name: getattr(getattr(distribute, name), "__module__", "") for name in distribute.__all__}
        remedies = {name for name, module in modules.items() if module.startswith("distribute.remedies")}
        assert len(remedies) == 7
        code = "\n".join(BLOCKS[1:])
        assert [name for name in remedies if f"{name}(" not in code] == []
