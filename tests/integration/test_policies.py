"""`train/policies.py`: the same training under each policy, in processes of their own."""

import json
from xml.etree import ElementTree

import pytest

from tests.process import assert_refused, run_script


class TestPolicies:
    @pytest.mark.proof
    def test_what_can_run_is_measured_what_cannot_has_its_reason_and_a_failure_is_a_row(self, tmp_path):
        flags = ["--limits=1024,46,12", "--steps=20", "--output_dir=out"]
        result = run_script("train/policies.py", *flags, cwd=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "skipped: a CPU has no such choice" in result.stdout
        rows = json.loads((tmp_path / "out/policies.json").read_text())["policies"]
        default, growth, _, limit, tight, too_small, grown, grown_tight, grown_too_small, virtual = rows
        assert growth["allocator_peak_mib"] is None
        for row in (default, limit, tight, grown, virtual):
            assert row["outcome"] == "trained"
            assert row["process_peak_mib"] > row["allocator_peak_mib"] > 1
            assert row["examples_per_second"] > 0
        for row in (grown_tight, too_small, grown_too_small):  # 46 MiB do in one piece, and not in several
            assert row["examples_per_second"] is None
            assert any(words in row["outcome"] for words in ("OOM when allocating", "died of SIG"))
        assert default["process_freed_mib"] > default["memory"]["samples"][0]["process_mib"] + 50  # never given back
        assert default["memory"]["samples"][-1]["in_use_mib"][0] < 10
        samples = default["memory"]["samples"]
        assert len(samples) / samples[-1]["seconds"] > 20
        texts = [element.text for element in ElementTree.parse(tmp_path / "out/3-limit.svg").iter() if element.text]
        assert "limit 1024 MiB" in texts

    @pytest.mark.proof
    def test_data_that_cannot_be_loaded_are_refused_and_no_row(self, tmp_path):
        result = run_script("train/policies.py", "--dataset=mnisst", "--output_dir=out", cwd=tmp_path)
        assert_refused(result, 1, "mnisst", "mnist")
        assert not (tmp_path / "out").exists()
