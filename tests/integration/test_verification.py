"""The real command proves before it trains, and refuses to train on what does not hold."""

import json
import re
import shlex
import shutil
import signal
import sys

import psutil
import pytest

from tests.process import REPOSITORY, is_running, run_main, run_script, running, wait_until


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def status_of(report):
    return {check["name"]: check["status"] for check in report["checks"]}


def wait_for_children(process, count):
    """The process ids of its children, as soon as there are so many."""
    parent = psutil.Process(process.pid)
    wait_until(lambda: process.poll() is not None or len(parent.children()) >= count)
    return [child.pid for child in parent.children()]


def plant(folder, file, right, wrong):
    """A copy of the repository in which one piece of a file is another; returns the environment that runs it."""
    for name in ("train", "models", "configs", "distribute"):
        shutil.copytree(REPOSITORY / name, folder / name)
    text = (folder / file).read_text()
    assert text.count(right) == 1, f"{right!r} is not once in {file}"
    (folder / file).write_text(text.replace(right, wrong))
    return {"PYTHONPATH": str(folder)}


class TestProof:
    def test_the_main_command(self, tmp_path):
        flags = ["--virtual_gpus=2", "--memory_limit=1024", "--steps=3", f"--output_dir={tmp_path}"]
        result = run_script("train/main.py", *flags)
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.splitlines()[1].startswith("OK: 2 replicas compute what one device computes")
        report = report_of(tmp_path)
        assert report["ok"] is True
        assert report["causes"] == []
        (gradients,) = [check for check in report["checks"] if check["name"] == "gradient_equivalence/float64"]
        assert gradients["status"] == "passed"
        assert 0 < gradients["observed"] <= 1e-12
        statuses = status_of(report)
        assert "failed" not in statuses.values()
        for name in (
            "gradient_equivalence/float32",
            "gradient_equivalence/float64@uneven",
            "update_equivalence/float64",
            "update_equivalence/loop",
            "state_equivalence/saved",
            "communication/gradients",
            "replica_sync",
            "input_coverage",
            "reference_reproducibility",
            "metrics/loss",
            "memory_bounds/limit",
            "memory_bounds/reference",
            "memory_bounds/growth",
        ):
            assert statuses[name] == "passed", name
        assert [replica["device"] for replica in report["memory"]["replicas"]] == ["CPU:0", "CPU:1"]
        assert all(replica["peak_mib"] > 0 for replica in report["memory"]["replicas"])
        assert report["memory"]["reference_peak_mib"] > 0
        assert "conv_net/conv2d/kernel" in [variable["path"] for variable in report["variables"]]
        assert "memory check" in report["devices"]["limit_enforced_by"]
        assert report["training"]["steps"] == 3
        assert report["shards"] == [{"batch": "", "sizes": [32, 32]}, {"batch": "@uneven", "sizes": [14, 15]}]
        replica, single = report["memory"]["steps"]
        assert (replica["devices"], replica["examples"]) == (["CPU:0", "CPU:1"], 32)
        assert max(replica["peak_mib"]) <= report["memory"]["replicas"][0]["peak_mib"]
        assert (single["devices"], single["examples"]) == ([], 64)
        page = (tmp_path / "report.html").read_text()
        assert f"<h1>{result.stdout.splitlines()[1]}</h1>" in page
        for key in ("variables-first", "variables-float32", "memory-peaks", "memory-steps", "memory-timeline"):
            assert f'aria-labelledby="{key}-title {key}-desc"' in page, key
        for key in ("training-curves", "examples-shards"):
            assert f'id="{key}-desc"' in page, key

    @pytest.mark.proof
    @pytest.mark.parametrize("num_replicas", [1, 2, 3, 4, 8])
    def test_other_numbers_of_replicas_and_a_batch_that_they_do_not_divide(self, tmp_path, num_replicas):
        flags = [f"--virtual_gpus={num_replicas}", "--global_batch_size=50", "--steps=0", f"--output_dir={tmp_path}"]
        result = run_main(*flags)
        assert result.returncode == 0, result.stdout + result.stderr
        report = report_of(tmp_path)
        assert "failed" not in status_of(report).values()
        assert report["training"]["steps"] is None
        assert not list(tmp_path.rglob("ckpt-*"))

    @pytest.mark.proof
    def test_verification_does_not_change_what_training_computes(self, tmp_path):
        hashes = []
        for mode in ("off", "gradients"):
            flags = ["--virtual_gpus=2", "--steps=5", "--deterministic", f"--verify={mode}"]
            assert run_main(*flags, f"--output_dir={tmp_path / mode}").returncode == 0
            hashes.append(report_of(tmp_path / mode)["training"]["weights_sha256"])
        assert hashes[0] == hashes[1]


class TestStop:
    @pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.proof), signal.SIGINT])
    def test_a_signal_ends_the_check_and_its_children(self, tmp_path, number):
        flags = ["--virtual_gpus=2", "--memory_limit=1024", f"--output_dir={tmp_path}"]
        with running(sys.executable, str(REPOSITORY / "train/main.py"), *flags) as process:
            children = wait_for_children(process, 2)
            process.send_signal(number)
            _, error = process.communicate(timeout=60)
        assert process.returncode == 128 + number, error
        assert error == f"main.py: stopped by {number.name}\n"
        wait_until(lambda: not any(is_running(child) for child in children), timeout=10)
        report = report_of(tmp_path)
        assert report["ok"] is False
        assert report["notes"] == [f"stopped by {number.name}"]
        assert report["devices"]["replicas"] == 2

    @pytest.mark.proof
    def test_a_stopped_resume_keeps_the_report(self, tmp_path):
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints/ckpt-3.index").touch()
        before = json.dumps({"training": {"steps": 3, "test_accuracy": 0.5}})
        (tmp_path / "report.json").write_text(before)
        flags = [f"--output_dir={tmp_path}", "--resume"]
        with running(sys.executable, str(REPOSITORY / "train/main.py"), *flags) as process:
            wait_for_children(process, 2)
            process.send_signal(signal.SIGTERM)
            _, error = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM, error
        assert (tmp_path / "report.json").read_text() == before


class TestFailure:
    @pytest.mark.parametrize(
        ("file", "right", "wrong", "check", "cause"),
        [
            pytest.param(
                "train/step.py",
                "{name: global_mean(value, weights) for",
                "{name: tf.reduce_sum(weights * value) / tf.reduce_sum(weights) for",
                "gradient_equivalence/float64",
                "loss_summed_over_replicas",
                id="a mean over the shard, summed over replicas",
                marks=pytest.mark.proof,
            ),
            pytest.param(
                "train/loop.py",
                "take_shard(batch, replica.replica_id_in_sync_group, replica.num_replicas_in_sync)",
                "take_shard(batch, 0, replica.num_replicas_in_sync)",
                "update_equivalence/loop",
                None,
                id="every replica takes the first shard",
                marks=pytest.mark.proof,
            ),
        ],
    )
    def test_a_mistake_in_the_code_that_trains(self, tmp_path, file, right, wrong, check, cause):
        environment = plant(tmp_path / "copy", file, right, wrong)
        flags = ["--virtual_gpus=2", "--steps=3", "--verify=gradients", f"--output_dir={tmp_path / 'run'}"]
        result = run_script("train/main.py", *flags, **environment)
        assert result.returncode == 2, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        report = report_of(tmp_path / "run")
        assert report["ok"] is False
        assert status_of(report)[check] == "failed"
        assert report["causes"][:1] == ([cause] if cause else [])
        assert report["training"]["steps"] is None
        assert f"failed  {check}" in result.stdout
        if check.startswith("gradient"):
            assert "conv_net/" in result.stdout.split("variables, worst first:")[1]
            python, script, *flags = shlex.split(report["smallest_failure"]["rerun"])
            assert (python, script) == ("python", str(REPOSITORY / "train/main.py"))
            again = run_script("train/main.py", *flags, cwd=tmp_path, **environment)
            assert again.returncode == 2, again.stdout + again.stderr

    @pytest.mark.proof
    def test_a_limit_that_is_too_small_ends_with_one_that_works(self, tmp_path):
        result = run_main("--virtual_gpus=2", "--memory_limit=8", "--steps=2", f"--output_dir={tmp_path / 'small'}")
        assert result.returncode == 3, result.stdout + result.stderr
        assert "a limit of 8 MiB is too small" in result.stdout
        report = report_of(tmp_path / "small")
        assert status_of(report)["memory_bounds/limit"] == "failed"
        assert report["memory"]["need_mib"] > 8
        (advice,) = re.findall(r"--memory_limit=(\d+)", " ".join(result.stdout.split()))
        assert report["memory"]["advised_limit_mib"] == int(advice)
        flags = ["--virtual_gpus=2", f"--memory_limit={advice}", "--verify=memory", "--steps=2"]
        assert run_main(*flags, f"--output_dir={tmp_path / 'enough'}").returncode == 0
