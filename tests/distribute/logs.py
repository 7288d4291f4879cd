"""The excerpts of logs, and what is recognised in a text."""

from pathlib import Path

from distribute.log_explanation import explain

LOGS = Path(__file__).resolve().parent.parent / "train/logs"
ARTICLE = (LOGS / "article_cublas.txt").read_text()


def identifiers(text):
    return [explained.identifier for explained in explain(text)]
