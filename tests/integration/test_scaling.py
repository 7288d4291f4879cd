import json
import xml.etree.ElementTree as ElementTree

import pytest

from tests.process import assert_refused, run_script_in_fork

GIVEN = ["--step_ms=120", "--gradient_mib=98"]


@pytest.fixture
def run(tmp_path):
    return lambda *flags: run_script_in_fork(
        "train/scaling.py", f"--output_dir={tmp_path / 'out'}", *flags, cwd=tmp_path
    )


class TestScaling:
    def test_table_record_and_picture(self, tmp_path, run):
        result = run(*GIVEN, "--links=100gbe", "--replicas=2,8,64")
        assert result.returncode == 0, result.stderr
        assert "one replica: 120.00 ms a step, 98.00 MiB of gradients" in result.stdout
        lines = [line for line in result.stdout.splitlines() if "100 Gb/s" in line]
        assert [line.count("%") for line in lines] == [3, 3]
        record = json.loads((tmp_path / "out/scaling.json").read_text())
        (flat, hosts) = record["links"]
        ring = 2 * 63 * (8e-6 + 98 * 2**20 / 64 / 12.5e9)
        assert flat["predictions"][2]["all_reduce_s"] == pytest.approx(ring)
        assert flat["predictions"][2]["efficiency"] == pytest.approx(0.12 / (0.12 + ring))
        assert hosts["predictions"][2]["efficiency"] > flat["predictions"][2]["efficiency"]
        assert ElementTree.parse(tmp_path / "out/scaling.svg").getroot().tag.endswith("svg")

    def test_overlap_hides_the_sum(self, tmp_path, run):
        assert run(*GIVEN, "--overlap", "--links=400gbe", "--replicas=1024").returncode == 0
        (flat, _) = json.loads((tmp_path / "out/scaling.json").read_text())["links"]
        assert flat["predictions"][0]["efficiency"] == 1.0

    def test_a_link_of_ones_own(self, run):
        result = run(*GIVEN, "--links=", "--latency_us=50", "--bandwidth_gbs=0.5")
        assert "ring over your link (50 µs, 0.5 GB/s)" in result.stdout

    def test_without_figures_the_recipe_is_measured(self, tmp_path, run):
        result = run("--links=pcie", "--device=cpu")
        assert result.returncode == 0, result.stderr
        record = json.loads((tmp_path / "out/scaling.json").read_text())
        assert record["gradient_bytes"] == 4 * 93_322
        assert 1e-4 < record["step_s"] < 10

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (["--links=token_ring"], "link 'token_ring' is unknown: nvlink, pcie"),
            (["--latency_us=3"], "belong together"),
            (["--links="], "there is no link"),
            (["--replicas=two"], "whole numbers"),
            (["--replicas="], "whole numbers"),
        ],
    )
    def test_bad_input_is_refused(self, tmp_path, run, flags, words):
        assert_refused(run(*GIVEN, *flags), 1, words)
        assert not (tmp_path / "out").exists()

    def test_half_a_step_is_refused(self, tmp_path, run):
        assert_refused(run("--step_ms=3"), 1, "--step_ms and --gradient_mib belong together")
        assert not (tmp_path / "out").exists()
