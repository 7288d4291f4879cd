"""docs/causes.md shows the programs of docs/causes as they are, and what `verify` says of them today."""

import re

import pytest

from distribute.causes import CAUSES
from docs import make_causes_page
from docs.make_causes_page import FOLDER, devices_by_number, excerpt, parts, report_of

PAGE = (FOLDER.parent / "causes.md").read_text()
ENTRIES = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
RENEW = "the page is stale: python -m docs.make_causes_page > docs/causes.md"
DEVICES = devices_by_number(("CPU:0", "CPU:1", "CPU:2"))


def told(text):
    """An excerpt without the smallest case, line breaks, figures, and which variable happens to be the worst."""
    told = re.split(r"^small", text, flags=re.MULTILINE)[0].replace("…", "")
    told = re.sub(r"first in \S+", "first in …", " ".join(told.split()))
    return re.sub(r"(?<![\w.:/])-?\d[\d.e+-]*", "#", told)


class TestCausesPage:
    def test_every_cause_has_a_file_and_an_entry_in_the_order_of_the_table(self):
        assert list(ENTRIES) == list(CAUSES), RENEW
        assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == set(CAUSES)

    def test_begins_as_the_generator_writes_it(self):
        begin = make_causes_page.HEAD.format(number=len(CAUSES)) + make_causes_page.contents()
        assert PAGE.startswith(begin), RENEW

    @pytest.mark.parametrize("name", CAUSES)
    def test_code_is_that_of_the_file(self, name):
        why, wrong, mended = parts(name)
        assert re.findall(r"```python\n(.*?)\n```", ENTRIES[name], flags=re.DOTALL) == [wrong, mended], RENEW
        assert why in ENTRIES[name], RENEW
        assert "# wrong" in wrong
        assert "# wrong" not in mended


class TestCausePrograms:
    @pytest.mark.parametrize("name", CAUSES)
    def test_wrong_program_is_named_as_the_page_says(self, name):
        report = report_of(name, "wrong", DEVICES, dtypes=("float64",), shrink=False)
        assert report.causes[:1] == (name,), str(report)
        (shown,) = re.findall(r"```\n(FAILED.*?)\n```", ENTRIES[name], flags=re.DOTALL)
        assert told(shown) == told(excerpt(report)), RENEW

    @pytest.mark.proof  # the blocks themselves are tested in tests/distribute/remedies
    @pytest.mark.parametrize("name", CAUSES)
    def test_mended_program_passes(self, name):
        report = report_of(name, "mended", DEVICES, dtypes=("float64",), shrink=False)
        assert report.ok, str(report)
