"""Writes the page at the end of a run, whose result does not depend on it."""

from train.errors import ScriptError, tell
from train.run_folder import RunFolder


def leave_page(folder: RunFolder) -> None:
    """Makes ``report.html`` from the ``report.json`` of the folder.

    Where that fails one line says so, and no older page stays, which would tell of another run.
    """
    try:
        # matplotlib takes most of a second to import: not before the run is over.
        from train.report_page.page import report_page

        folder.write_page(report_page(folder.read_report()))
    except Exception as error:  # noqa: BLE001 - a picture must not cost the result that it shows
        folder.remove_page()
        what = error if isinstance(error, ScriptError) else f"{type(error).__name__}: {error}"
        tell(f"warning: no report.html; report.json is complete: {what}")
