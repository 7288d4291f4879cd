from pathlib import Path

import pytest

from train.durable import replaced


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fill(path, text):
    path.mkdir()
    (path / "part").write_text(text)


def write_and_fail(path, write):
    with replaced(path) as temporary:
        write(temporary)
        raise KeyboardInterrupt


class TestReplaced:
    def test_a_file_takes_its_place_as_a_whole(self, tmp_path):
        path = tmp_path / "model.keras"
        path.write_text("old")
        with replaced(path) as temporary:
            assert temporary.suffix == ".keras"
            temporary.write_text("new")
            assert path.read_text() == "old"
        assert path.read_text() == "new"
        assert names(tmp_path) == ["model.keras"]

    def test_a_folder_too(self, tmp_path):
        path = tmp_path / "model"
        fill(path, "old")
        with replaced(path) as temporary:
            fill(temporary, "new")
            assert (path / "part").read_text() == "old"
        assert (path / "part").read_text() == "new"
        assert names(tmp_path) == ["model"]

    @pytest.mark.parametrize("write", [lambda path: path.write_text("half"), lambda path: fill(path, "half")])
    def test_one_that_fails_leaves_nothing(self, tmp_path, write):
        path = tmp_path / "model"
        fill(path, "old")
        with pytest.raises(KeyboardInterrupt):
            write_and_fail(path, write)
        assert (path / "part").read_text() == "old"
        assert names(tmp_path) == ["model"]

    def test_what_a_killed_process_left_is_no_part_of_it(self, tmp_path):
        path: Path = tmp_path / "model"
        fill(tmp_path / ".new-model", "half")
        fill(tmp_path / ".old-model", "older")
        fill(path, "old")
        with replaced(path) as temporary:
            temporary.mkdir()
        assert names(tmp_path) == ["model"]
        assert names(path) == []
