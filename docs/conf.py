"""Sphinx: ``make docs`` builds the pages of this repository as a site, from its root: links are those of files."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from pygments.lexers.shell import BashLexer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

project = "Multi-GPU TensorFlow on one GPU, or none"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
root_doc = "docs/index"
include_patterns = ["README.md", "WORKSPACE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md"]
html_theme = "furo"
html_title = project
html_static_path = html_css_files = ["formulas.css"]

myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"
myst_heading_anchors = 4  # links to headings, as on GitHub
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_use_ivar = True  # attributes are members, too: else each is described twice


def _as_mathml(display: str) -> Callable[[Any, nodes.Element], None]:
    def visit(translator: Any, node: nodes.Element) -> None:
        translator.body.append(convert(node.astext(), display=display))
        raise nodes.SkipNode

    return visit


def setup(app: Any) -> None:
    """Formulas as browsers draw them by themselves; names for shell blocks that are for other machines."""
    app.add_html_math_renderer("mathml", (_as_mathml("inline"), None), (_as_mathml("block"), None))
    for kind in ("gpu", "slurm", "kubernetes"):
        app.add_lexer(kind, BashLexer)
