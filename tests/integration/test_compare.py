"""`train/compare.py` on records of real runs."""

import json

import pytest

from tests.process import assert_refused, run_script_in_fork

FLAGS = ["--verify=off", "--steps=8"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three short runs: on 2 replicas, on 4, and on 2 with another seed."""
    folder = tmp_path_factory.mktemp("runs")
    for name, flags in {"two": ["--virtual_gpus=2"], "four": ["--virtual_gpus=4"], "seed": ["--seed=1"]}.items():
        result = run_script_in_fork("train/main.py", *FLAGS, *flags, f"--output_dir={name}", cwd=folder)
        assert result.returncode == 0, result.stderr
    return folder


def compare(folder, *arguments):
    return run_script_in_fork("train/compare.py", *arguments, cwd=folder)


class TestCompare:
    def test_another_number_of_replicas_gives_the_same(self, runs, tmp_path):
        result = compare(runs, "two", "four/report.json", f"--output_dir={tmp_path / 'out'}")
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.startswith("same result, up to rounding")
        assert "setup.run.shards.64: [32, 32] | [16, 16, 16, 16]" in result.stdout
        assert json.loads((tmp_path / "out" / "comparison.json").read_text())["same"] is True

    def test_another_seed_does_not_and_is_named(self, runs):
        result = compare(runs, "two", "seed")
        assert result.returncode == 2
        assert result.stdout.startswith("the results DIFFER")
        assert "setup.recipe.seed: 0 | 1" in result.stdout

    def test_the_record_says_what_decides_the_result(self, runs):
        record = json.loads((runs / "four" / "report.json").read_text())
        assert record["setup"]["run"]["collectives"] == "ReductionToOneDevice"
        assert record["setup"]["run"]["shards"] == {"64": [16, 16, 16, 16], "29": [7, 7, 7, 8]}
        assert len(record["setup"]["data"]["SHA-256"]) == 64
        assert len(record["training"]["losses"]["steps"]) == 8

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (None, "cannot be read"),
            ("{", "is no JSON"),
            ("[]", "is no record of a run"),
            ('{"training": {"steps": null}}', "records no training"),
        ],
    )
    def test_what_is_no_record_is_refused(self, tmp_path, text, words):
        path = tmp_path / "report.json"
        if text is not None:
            path.write_text(text)
        assert_refused(compare(tmp_path, "report.json", "report.json"), 1, words)

    def test_two_records_are_needed(self, tmp_path):
        assert_refused(compare(tmp_path, "one"), 1, "needed: the record of one run")
        assert_refused(compare(tmp_path, "one", "two", "three"), 1, "unexpected argument 'three'")
