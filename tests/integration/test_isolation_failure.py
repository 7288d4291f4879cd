"""A process of ``--isolation=process`` that fails: one message, the right code, and no process left."""

import json

import psutil
import pytest

from tests.process import assert_refused, is_running, run_main, wait_until

from .isolation_runs import CRASHES, FLOAT64, ON_REPLICA_1, TAKES_MEMORY, report_of


class TestFailure:
    """One message, the right code, and no process left."""

    @pytest.mark.proof
    def test_of_one_replica_to_stay_within_the_limit_names_it(self, tmp_path, start):
        (tmp_path / "recipe.py").write_text(TAKES_MEMORY)
        flags = ["--memory_limit=100", "--verify=off", "--steps=5", f"--config={tmp_path / 'recipe.py'}"]
        run = start(*flags)
        workers = run.wait_for_workers()
        code, _, error = run.end()
        assert code == 3, error
        assert error.startswith(
            "main.py: replica 1 ran out of memory under its limit of 100 MiB in training: wanted 800 MiB"
        )
        assert "on CPU:0; limit 100 MiB; in use" in error
        assert "largest free piece" in error
        assert "the step needs no more than --memory_limit=" in error  # without the replica that takes more
        assert len(error.splitlines()) == 6
        assert not [pid for pid in workers.values() if is_running(pid)]
        report = report_of(run.folder)
        assert report["ok"] is False
        assert report["notes"] == [error.removeprefix("main.py: ").strip()]
        oom = json.loads((run.folder / "oom_report.json").read_text())
        assert oom["allocator"]["wanted_bytes"] == 800 * 2**20
        assert oom["plan"]["limit_mib"] < 100

    @pytest.mark.proof
    def test_without_the_limit_the_same_program_trains(self, tmp_path):
        (tmp_path / "recipe.py").write_text(TAKES_MEMORY)
        flags = ["--virtual_gpus=2", "--memory_limit=1000", "--verify=off", "--steps=2", "--isolation=process"]
        result = run_main(*flags, f"--config={tmp_path / 'recipe.py'}", f"--output_dir={tmp_path / 'run'}")
        assert result.returncode == 0, result.stderr
        first, second = (replica["peak_mib"] for replica in report_of(tmp_path / "run")["memory"]["replicas"])
        assert first < 100
        assert second > 800

    @pytest.mark.proof
    @pytest.mark.parametrize(("limit", "words"), [(["--memory_limit=100"], "under its limit of 100 MiB"), ([], "")])
    def test_by_a_crash_is_told_in_one_message(self, tmp_path, limit, words):
        (tmp_path / "recipe.py").write_text(CRASHES)
        flags = ["--virtual_gpus=2", *limit, "--verify=off", "--steps=5", "--isolation=process"]
        result = run_main(*flags, f"--config={tmp_path / 'recipe.py'}", f"--output_dir={tmp_path / 'run'}")
        assert_refused(result, 3, "replica 1 died of SIGSEGV in training", words)

    @pytest.mark.proof
    def test_that_all_replicas_see_is_told_once(self, tmp_path):
        flags = ["--virtual_gpus=2", "--isolation=process", "--verify=off"]
        result = run_main(*flags, "--steps=40", "--learning_rate=1e30", f"--output_dir={tmp_path / 'nan'}")
        assert_refused(result, 2, "NaN or Inf in", "on replica 1", "--learning_rate")
        assert result.stderr.count("NaN or Inf") == 1
        (tmp_path / "broken.py").write_text(FLOAT64.replace("digits.get_config()", "None"))
        result = run_main(*flags, f"--config={tmp_path / 'broken.py'}", f"--output_dir={tmp_path / 'broken'}")
        assert_refused(result, 1, "--config=")
        assert not (tmp_path / "broken").exists()
        (tmp_path / "fails.py").write_text(ON_REPLICA_1.replace("keras.layers.Flatten()", "{}['width']") % "0.0")
        result = run_main(*flags, f"--config={tmp_path / 'fails.py'}", f"--output_dir={tmp_path / 'fails'}")
        assert_refused(result, 1, "--config=", "KeyError: 'width'")
        assert result.stderr.count("KeyError") == 1
        assert not (tmp_path / "fails").exists()

    @pytest.mark.proof
    @pytest.mark.parametrize("killed", [0, 1])
    def test_by_kill_of_one_replica_ends_all(self, start, killed):
        run = start("--verify=off", "--epochs=100000", "--save_every=5")
        workers = run.wait_for_training()
        psutil.Process(workers[killed]).kill()
        code, _, error = run.end()
        assert code == 3
        assert error.startswith(f"main.py: replica {killed} died of SIGKILL in training")
        assert len(error.splitlines()) == 1
        assert not [pid for pid in workers if is_running(pid)]
        assert report_of(run.folder)["ok"] is False

    @pytest.mark.proof
    def test_of_one_replica_to_answer_ends_all(self, start):
        run = start("--verify=off", "--epochs=100000", "--save_every=5")
        workers = run.wait_for_training()
        psutil.Process(workers[1]).suspend()
        code, _, error = run.end()
        assert code == 3
        assert error.startswith("main.py: replica 1 does not answer any more")
        assert not [pid for pid in workers if is_running(pid)]

    @pytest.mark.proof
    @pytest.mark.parametrize("flags", [["--verify=off", "--epochs=100000", "--save_every=5"], ["--verify=gradients"]])
    def test_of_the_parent_leaves_no_process(self, start, flags):
        run = start(*flags)
        if "--verify=off" in flags:
            workers = run.wait_for_training()
        else:
            wait_until(lambda: run.workers())
            workers = list(run.workers().values())
        run.process.kill()
        wait_until(lambda: not any(is_running(pid) for pid in workers), timeout=20)

    @pytest.mark.proof
    def test_a_limit_that_the_machine_does_not_have(self, tmp_path):
        flags = ["--virtual_gpus=2", "--isolation=process", f"--output_dir={tmp_path}"]
        assert_refused(run_main(*flags, "--memory_limit=10000000"), 3, "2 x 10000000 MiB", "ask for at most")
