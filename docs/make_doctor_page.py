"""Writes docs/doctor.md: what the doctor prints, and the failures that it recognises.

python -m docs.make_doctor_page > docs/doctor.md    # seconds
"""

import os
from pathlib import Path

from distribute.log_explanation import RULES, read_log
from distribute.log_rules.rule import Kind
from train.doctor import examine
from train.machine_checks.text import findings_text, rows_text

LOG = Path(__file__).resolve().parent.parent / "tests/train/logs/article_cublas.txt"
WIDTH = 120

KINDS = {
    Kind.CAUSE: "Ends the run, and the message says why",
    Kind.LIKELY: "Ends the run for one of several reasons; the most likely first, and what tells them apart",
    Kind.NOTICE: "Warnings",
    Kind.HARMLESS: "Looks like an error and is none",
}

HEAD = """\
# The doctor

    python train/doctor.py                      # looks at this machine
    python train/doctor.py --log=train.log      # explains a log or traceback; - is standard input
    python train/doctor.py --explain="Memory growth cannot differ between GPU devices"

Exit code 0 whatever is found; 1 for a log that cannot be read. `--output_dir` gets `doctor.json`. In your own code:

```python
from distribute import explain

for explained in explain(error):  # an exception, or the text of a log
    print(explained.what, *explained.remedies, sep="\\n")
```

Written by `python -m docs.make_doctor_page > docs/doctor.md`; the tests hold this page to what is recognised today.

## This machine

Versions come first: most failures of distributed training are mended there (arXiv 2512.20345). TensorFlow is imported
in a process of its own, so the list is complete where that fails. On a machine without a GPU:

```
{machine}```

Among what it warns of: a driver without CUDA's libraries, wheels of versions that TensorFlow does not ask for, a GPU
that has no kernels in the wheel or that another process uses, two TensorFlows in one environment, an empty
`CUDA_VISIBLE_DEVICES`, `TF_FORCE_GPU_ALLOW_GROWTH`, `TF_GPU_ALLOCATOR=cuda_malloc_async` with virtual GPUs, a malformed
`TF_CONFIG`, another CUDA on `LD_LIBRARY_PATH`, a namesake of TensorFlow on `PYTHONPATH`. With several GPUs the row
`links` sends known integers over every ordered pair of them, and sums them as training does: on some machines they
arrive damaged, while every query says that all is well. The rows that need a GPU were seen on [one H200](gpu.md); those
that need several have been tried with made-up records only.

"""

ARTICLE = """\
## A log

The failure that this repository began with: a GPU of 2 GB, and a traceback that nobody takes for lack of memory.

```
{explained}```

Messages are recognised where messages begin in a line: behind a time, TensorFlow's prefix, an exception's name, a
status, whatever a logger, a container or a terminal put in front of them. Prose and source code that only mention them
are not explained, nor is what PyTorch or JAX raised. Of several causes the most likely comes first, and what follows
from it is left out. What is not known is `not recognised`.

## What is recognised

{number} failures, each with its source; `tests/train/logs` holds excerpts of public reports.
"""


def main() -> None:
    """Prints the page."""
    print(HEAD.format(machine=rows_text(examine(os.environ), WIDTH, colours=False)) + recognised(), end="")


def recognised() -> str:
    """The part that does not depend on the machine."""
    explained = findings_text(read_log(LOG.read_text().split("\n")), WIDTH, colours=False)
    return ARTICLE.format(explained=explained, number=len(RULES)) + "".join(_list(kind) for kind in Kind)


def _list(kind: Kind) -> str:
    lines = [f"- `{rule.identifier}`: {rule.what} ([source]({rule.source}))\n" for rule in RULES if rule.kind == kind]
    return f"\n{KINDS[kind]}:\n\n" + "".join(lines)


if __name__ == "__main__":
    main()
