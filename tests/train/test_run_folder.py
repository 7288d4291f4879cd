import json
from pathlib import Path

import pytest

from train.errors import InputError
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
