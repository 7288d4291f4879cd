"""docs/notebooks holds the tutorials as notebooks, and they run in Jupyter as written."""

import os
import re
import sys
from pathlib import Path

import pytest

from docs.make_notebooks import NOTEBOOKS, notebook, path_of
from docs.tutorial_pages import TUTORIALS
from tests.docs.test_tutorials import assert_shows
from tests.process import REPOSITORY

RENEW = "the notebook is stale: python -m docs.make_notebooks"


class TestNotebooks:
    @pytest.mark.parametrize("name", TUTORIALS)
    def test_is_the_page(self, name):
        assert path_of(name).read_text() == notebook(name), RENEW

    @pytest.mark.parametrize("name", TUTORIALS)
    def test_is_a_valid_notebook(self, name):
        import nbformat

        nbformat.validate(nbformat.read(path_of(name), as_version=4))

    @pytest.mark.parametrize("name", TUTORIALS)
    def test_links_lead_somewhere(self, name):
        linked = re.findall(r"\]\(((?!https?://|#)[^)#]+)", path_of(name).read_text())
        assert linked
        assert [link for link in linked if not (NOTEBOOKS / link).exists()] == []

    @pytest.mark.proof
    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("name", TUTORIALS)
    def test_runs(self, name, tmp_path, monkeypatch):
        import nbclient
        import nbformat

        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", str(REPOSITORY), prepend=os.pathsep)
        for folder in ("examples", "train"):
            (tmp_path / folder).symlink_to(REPOSITORY / folder)
        (tmp_path / "docs/notebooks").mkdir(parents=True)
        book = nbformat.read(path_of(name), as_version=4)
        shown = [printed(cell) for cell in book.cells]
        resources = {"metadata": {"path": str(tmp_path / "docs/notebooks")}}
        nbclient.NotebookClient(book, timeout=600, resources=resources).execute()
        for cell, expected in zip(book.cells, shown, strict=True):
            assert_shows(expected, printed(cell), cell.source)


def printed(cell):
    """All that a cell printed, warnings included, without the colours that a terminal in Jupyter has."""
    text = "".join(output.get("text", "") for output in cell.get("outputs", ()))
    return re.sub(r"\x1b\[[\d;]*m", "", text)
