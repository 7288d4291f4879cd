"""The page at the end of a run, which costs neither the exit code nor report.json."""

import contextlib
import json
import resource

import pytest

from train.errors import InputError, MachineError
from train.output import Output
from train.record import leave_report
from train.run_folder import open_run_folder


@contextlib.contextmanager
def no_file_beyond(num_bytes):
    """What a full disk does to the larger of two files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def run_that_raises(recording):
    raise MachineError("the GPU is busy")


class TestLeavePage:
    def test_every_end_has_one(self, tmp_path, capsys):
        folder = open_run_folder(str(tmp_path / "done"), resume=False)
        assert leave_report(folder, lambda recording: 0, Output()) == 0
        assert "nothing was verified" in folder.page.read_text()
        assert capsys.readouterr().out == f"report         {folder.report}, report.html beside it\n"
        folder = open_run_folder(str(tmp_path / "busy"), resume=False)
        with pytest.raises(MachineError):
            leave_report(folder, run_that_raises, Output())
        assert "the GPU is busy" in folder.page.read_text()

    @pytest.mark.parametrize("exit_code", [0, 2, 3])
    def test_without_room_for_it_the_result_stays(self, tmp_path, capsys, exit_code):
        folder = open_run_folder(str(tmp_path), resume=False)
        folder.page.write_text("of the run before")
        with no_file_beyond(3_000):
            assert leave_report(folder, lambda recording: exit_code, Output()) == exit_code
        assert json.loads(folder.report.read_text())["ok"] is (exit_code == 0)
        assert not folder.page.exists()
        output = capsys.readouterr()
        assert output.out == f"report         {folder.report}\n"
        assert output.err == (
            f"warning: no report.html; report.json is complete: {folder.page} cannot be written (File too large): free "
            "some space, or check the folder\n"
        )

    def test_a_folder_of_that_name_is_not_replaced(self, tmp_path):
        (tmp_path / "report.html").mkdir()
        with pytest.raises(InputError, match="a file is to be written to .*report.html, which is none"):
            open_run_folder(str(tmp_path), resume=False)
