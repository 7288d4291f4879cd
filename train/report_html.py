"""Makes ``report.html`` of a run again from its ``report.json``: one page with pictures, for any browser.

python train/report_html.py runs/20261125-090506

Every run of train/main.py and train/verify.py leaves one already; this is for records of older versions, and for those
that came from elsewhere.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from train import flags as train_flags
from train import script

if TYPE_CHECKING:
    from train.output import Output


def main(output: "Output", path: str) -> int:
    """Writes the page beside the record, and prints where; returns 0."""
    # Imported in the functions, so that --help and a misspelt flag answer at once.
    from train.record_file import read_record, record_file
    from train.report_page.page import report_page
    from train.run_folder import RunFolder

    file = record_file(Path(path))
    folder = RunFolder(file.parent)
    folder.write_page(report_page(read_record(file)))
    output.show(str(folder.page))
    output.write_record({"page": str(folder.page)})
    return 0


if __name__ == "__main__":
    train_flags.define_telling_flags()
    script.run(main, arguments=["the record of a run, a report.json or its folder"])
