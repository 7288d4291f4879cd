"""``--isolation=process`` computes what logical devices compute, under a limit of each process."""

import json
import signal

import pytest

from tests.process import run_main, run_script

from .isolation_runs import FLOAT64, assert_same_state, checkpoints_of, report_of


class TestTraining:
    def test_computes_what_logical_devices_compute_within_its_limits(self, tmp_path):
        (tmp_path / "recipe.py").write_text(FLOAT64)
        flags = ["--virtual_gpus=2", f"--config={tmp_path / 'recipe.py'}", "--steps=31", "--verify=off"]
        flags += ["--memory_limit=200", "--save_every=20"]
        isolated = run_main(*flags, "--isolation=process", "--tensorboard", f"--output_dir={tmp_path / 'process'}")
        assert isolated.returncode == 0, isolated.stderr
        assert isolated.stderr == ""
        logical = run_main(*flags, f"--output_dir={tmp_path / 'logical'}")
        assert logical.returncode == 0, logical.stderr

        assert len(list((tmp_path / "process/tensorboard").iterdir())) == 1  # of the first process
        assert checkpoints_of(tmp_path / "process") == ["ckpt-20.index", "ckpt-31.index"]
        for step in (20, 31):
            assert_same_state(tmp_path / "process", tmp_path / "logical", step)
        report, expected = report_of(tmp_path / "process"), report_of(tmp_path / "logical")
        assert report.keys() == expected.keys()
        for name in ("steps", "epochs", "final_loss", "test_loss", "test_accuracy"):
            assert report["training"][name] == pytest.approx(expected["training"][name], rel=1e-9), name
        assert report["training"]["examples_per_second"] > 0
        assert report["ok"] is True

        assert report["devices"]["replicas"] == 2
        assert report["devices"]["memory_limit_mib"] == report["memory"]["limit_mib"] == 200
        assert "each replica's own process" in report["devices"]["limit_enforced_by"]
        assert [replica["device"] for replica in report["memory"]["replicas"]] == report["devices"]["names"]
        for replica in report["memory"]["replicas"]:
            assert 1 < replica["training_peak_mib"] == replica["peak_mib"] <= 200
        timelines = report["memory"]["timelines"]
        assert [one["process"] for one in timelines] == ["replica 0", "replica 1"]
        for one, replica in zip(timelines, report["memory"]["replicas"], strict=True):
            assert one["limit_mib"] == 200
            assert 0 < max(one["in_use_mib"]["CPU:0"]) <= replica["peak_mib"]
        assert "replica 1, CPU:0: up to" in (tmp_path / "process/report.html").read_text()
        lines = isolated.stdout.splitlines()
        assert lines[0].startswith("devices: found 0 GPUs")
        assert len([line for line in lines if line.startswith("step 31/31 ")]) == 1
        assert len([line for line in lines if line.startswith("test accuracy")]) == 1

    @pytest.mark.proof
    @pytest.mark.parametrize(("first", "second"), [("process", "logical"), ("logical", "process")])
    def test_goes_on_with_the_other_isolation_and_number_of_replicas(self, tmp_path, first, second):
        (tmp_path / "recipe.py").write_text(FLOAT64)
        flags = [f"--config={tmp_path / 'recipe.py'}", "--verify=off"]
        whole = run_main(*flags, "--steps=40", f"--output_dir={tmp_path / 'whole'}")
        assert whole.returncode == 0, whole.stderr
        flags += [f"--output_dir={tmp_path / 'parts'}"]
        result = run_main(*flags, "--steps=17", "--virtual_gpus=2", f"--isolation={first}")
        assert result.returncode == 0, result.stderr
        result = run_main(*flags, "--steps=40", "--virtual_gpus=3", f"--isolation={second}", "--resume")
        assert result.returncode == 0, result.stderr
        assert_same_state(tmp_path / "parts", tmp_path / "whole", 40)
        training, expected = report_of(tmp_path / "parts")["training"], report_of(tmp_path / "whole")["training"]
        for name in ("steps", "epochs", "final_loss", "test_loss", "test_accuracy"):
            assert training[name] == pytest.approx(expected[name], rel=1e-9), name

    @pytest.mark.proof
    def test_one_replica_and_a_run_that_is_finished(self, tmp_path):
        flags = ["--isolation=process", "--verify=off", f"--output_dir={tmp_path}", "--log_device_placement"]
        result = run_main(*flags, "--steps=5")
        assert result.returncode == 0, result.stderr
        assert "placement: CPU:0 runs" in result.stdout
        before = report_of(tmp_path)["training"]
        result = run_main(*flags, "--steps=5", "--resume", "--virtual_gpus=2")
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("nothing to train: 5 of 5 steps are done") == 1
        after = report_of(tmp_path)["training"]
        assert after == {**before, "test_loss": pytest.approx(before["test_loss"], rel=1e-5)}

    @pytest.mark.proof
    def test_trains_under_the_planned_limit(self, tmp_path):
        plan = run_script("train/plan.py", "--virtual_gpus=4", f"--output_dir={tmp_path / 'plan'}", cwd=tmp_path)
        assert plan.returncode == 0, plan.stdout + plan.stderr
        # Beside the plan: the sums over replicas, and the cached digits, 1,797 pieces of 1 KiB and of 256 B.
        limit = json.loads((tmp_path / "plan/plan.json").read_text())["limit_mib"] + 3
        flags = ["--isolation=process", "--virtual_gpus=4", f"--memory_limit={limit}", "--verify=off", "--steps=30"]
        result = run_main(*flags, f"--output_dir={tmp_path / 'run'}")
        assert result.returncode == 0, result.stdout + result.stderr
        replicas = report_of(tmp_path / "run")["memory"]["replicas"]
        assert all(0 < replica["training_peak_mib"] <= limit for replica in replicas)

    @pytest.mark.proof
    def test_saves_by_the_clock_of_the_first_process(self, start):
        run = start("--verify=off", "--epochs=100000", "--save_every=1m")
        run.wait_for_training()
        run.process.send_signal(signal.SIGTERM)
        code, _, error = run.end()
        assert code == 128 + signal.SIGTERM, error
        assert len(checkpoints_of(run.folder)) == 2

    @pytest.mark.proof
    def test_proves_first_and_trains_under_the_limit_that_the_proof_names(self, tmp_path):
        flags = ["--virtual_gpus=4", "--isolation=process", "--verify=memory"]
        result = run_main(*flags, "--memory_limit=4", "--steps=2", f"--output_dir={tmp_path / 'small'}")
        assert result.returncode == 3, result.stdout + result.stderr
        assert "a limit of 4 MiB is too small" in result.stdout
        advised = report_of(tmp_path / "small")["memory"]["advised_limit_mib"]
        assert report_of(tmp_path / "small")["training"]["steps"] is None
        result = run_main(
            *flags, f"--memory_limit={advised}", "--verify=all", "--steps=60", f"--output_dir={tmp_path / 'enough'}"
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.splitlines()[1].startswith("OK: 4 replicas compute what one device computes")
        report = report_of(tmp_path / "enough")
        assert report["training"]["steps"] == 60
        for index, replica in enumerate(report["memory"]["replicas"]):
            assert replica["device"] == f"worker:{index}/CPU:0"
            assert 0 < replica["peak_mib"] <= advised
            assert 0 < replica["training_peak_mib"] <= advised
