"""docs/cases.md shows the programs of docs/cases as they are, and what they and `verify` print today."""

import re

import pytest

from docs.make_cases_page import CASES, FOLDER, excerpt, head, parts, report_of, reproduction
from docs.make_causes_page import devices_by_number
from tests.docs.test_causes_page import told
from tests.process import run_python

PAGE = (FOLDER.parent / "cases.md").read_text()
ENTRIES = dict(zip(CASES, re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:], strict=True))
REPRODUCTIONS = [name for name in CASES if reproduction(name).exists()]
RENEW = "the page is stale: python -m docs.make_cases_page > docs/cases.md"
UPSTREAM = (
    "shows no bug any more: upstream has mended it. Say so in the docstring of the case, and drop the reproduction"
)


def blocks(name, language=""):
    fenced = re.findall(r"^```(\w*)\n(.*?)\n```$", ENTRIES[name], flags=re.DOTALL | re.MULTILINE)
    return [text for of, text in fenced if of == language]


class TestCasesPage:
    def test_every_file_is_shown(self):
        files = {path.stem.removesuffix("_reproduction") for path in FOLDER.glob("*.py")} - {"__init__"}
        assert files == set(CASES)

    def test_begins_as_the_generator_writes_it(self):
        assert PAGE.startswith(head()), RENEW

    @pytest.mark.parametrize("name", CASES)
    def test_code_is_that_of_the_files(self, name):
        title, meaning, code = parts(FOLDER / f"{name}.py")
        assert ENTRIES[name].startswith(f"{title}\n\n{meaning}\n"), RENEW
        shown = [code, reproduction(name).read_text().strip()] if name in REPRODUCTIONS else [code]
        assert blocks(name, "python") == shown, RENEW

    @pytest.mark.parametrize("name", REPRODUCTIONS)
    def test_reproductions_need_nothing_of_this_repository(self, name):
        imported = re.findall(r"^(?:import|from) (\w+)", reproduction(name).read_text(), flags=re.MULTILINE)
        assert set(imported) <= {"keras", "numpy", "re", "tempfile", "tensorflow"}


class TestCases:
    @pytest.mark.proof
    @pytest.mark.parametrize("name", CASES)
    def test_verdict_is_that_of_the_page(self, name):
        report = report_of(name, devices_by_number(("CPU:0", "CPU:1"))(2))
        assert told(blocks(name)[0]) == told(excerpt(report)), RENEW

    @pytest.mark.parametrize("name", REPRODUCTIONS)
    def test_upstream_still_has_the_bug(self, name):
        result = run_python(reproduction(name).read_text())
        assert result.returncode == 0, result.stderr
        lines = result.stdout.strip().splitlines()
        expected, actual = (line.split(":", 1)[1].strip() for line in (lines[0], lines[-1]))
        assert "expected" in lines[0]
        assert "actual" in lines[-1]
        assert expected != actual, f"{reproduction(name).name} {UPSTREAM}"
        assert told(result.stdout) == told(blocks(name)[-1]), RENEW
