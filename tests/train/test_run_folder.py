import concurrent.futures
import json
from pathlib import Path

import pytest

from train.errors import InputError, MachineError
from train.run_folder import open_run_folder


def leave_checkpoint(folder, step):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / f"ckpt-{step}.index").touch()


class TestOpenRunFolder:
    def test_each_run_without_a_name_gets_a_folder_of_its_own(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        first, second = open_run_folder(None, resume=False), open_run_folder(None, resume=False)
        assert first.path != second.path
        assert first.path.parent == second.path.parent == Path("runs")

    def test_runs_that_begin_at_the_same_moment_share_no_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            folders = list(pool.map(lambda _: open_run_folder(None, resume=False).path, range(64)))
        assert len(set(folders)) == 64

    def test_a_file_in_place_of_runs_is_an_error(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("runs").touch()
        with pytest.raises(InputError, match="runs cannot be written"):
            open_run_folder(None, resume=False)

    @pytest.mark.parametrize("resume", [True, False])
    def test_what_stands_in_the_way_is_an_error(self, tmp_path, resume):
        (tmp_path / "first/report.json").mkdir(parents=True)
        with pytest.raises(InputError, match=r"a file is to be written to .*report.json, which is none"):
            open_run_folder(str(tmp_path / "first"), resume=resume)
        (tmp_path / "second").mkdir()
        (tmp_path / "second/checkpoints").touch()
        with pytest.raises(InputError, match=r"a folder is to be written to .*checkpoints, which is none"):
            open_run_folder(str(tmp_path / "second"), resume=resume)

    def test_a_folder_of_another_run_is_not_touched(self, tmp_path):
        leave_checkpoint(tmp_path, 70)
        with pytest.raises(InputError, match=r"holds another run of 70 steps: name another folder, .*--resume"):
            open_run_folder(str(tmp_path), resume=False)
        assert open_run_folder(str(tmp_path), resume=True).path == tmp_path

    def test_nothing_to_resume_is_an_error(self, tmp_path):
        with pytest.raises(InputError, match="there is no checkpoint"):
            open_run_folder(str(tmp_path / "new"), resume=True)
        assert not (tmp_path / "new").exists()

    def test_a_folder_that_cannot_be_written_is_an_error(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="cannot be written"):
            open_run_folder(str(tmp_path / "file" / "run"), resume=False)


class TestReport:
    def test_is_replaced_as_a_whole(self, tmp_path):
        folder = open_run_folder(str(tmp_path), resume=False)
        folder.write_report({"ok": False})
        folder.write_report({"ok": True})
        assert json.loads(folder.report.read_text()) == {"ok": True}
        assert [path.name for path in tmp_path.iterdir()] == ["report.json"]

    def test_a_folder_that_is_gone_is_one_message(self, tmp_path):
        folder = open_run_folder(str(tmp_path / "run"), resume=False)
        folder.path.rmdir()
        with pytest.raises(MachineError, match=r"report.json cannot be written \(No such file"):
            folder.write_report({})

    @pytest.mark.parametrize("text", ["", "{", "[1]", None])
    def test_one_that_cannot_be_read_is_empty(self, tmp_path, text):
        folder = open_run_folder(str(tmp_path), resume=False)
        if text is not None:
            folder.report.write_text(text)
        assert folder.read_report() == {}
