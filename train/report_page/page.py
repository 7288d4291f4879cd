"""The whole page, from a record alone."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from train.report_page import verdict
from train.report_page.checks import checks
from train.report_page.examples import examples
from train.report_page.machine import machine
from train.report_page.markup import text
from train.report_page.memory import memory
from train.report_page.pictures.canvas import style
from train.report_page.training import training
from train.report_page.variables import variables

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{css}
</style>
</head>
<body>
<main>
{body}
</main>
<footer>Made from report.json, which has every figure in full precision; <code>python train/report_html.py FOLDER</code>
makes it again.</footer>
</body>
</html>
"""


def report_page(record: Mapping[str, Any]) -> str:
    """HTML that needs no other file, no network and no script.

    Args:
      record: what ``report.json`` holds; keys that an older one lacks are taken as not measured.
    """
    with style():
        sections = [
            verdict.header(record),
            verdict.causes(record),
            variables(record),
            checks(record),
            memory(record),
            training(record),
            examples(record),
            verdict.notes(record),
            machine(record),
        ]
    css = files("train.report_page").joinpath("style.css").read_text()
    body = "\n".join(part for part in sections if part)
    return _PAGE.format(title=text(verdict.sentence(record)), css=css, body=body)
