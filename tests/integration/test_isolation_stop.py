"""Signals, to the command and to one of its processes, save and end all."""

import signal
import time

import psutil
import pytest

from tests.process import assert_refused, is_running, run_main, run_main_until_output_is_closed, wait_until

from .isolation_runs import KEEPS_A_SUM, NEVER_RETURNS, STOPS_WHILE_IT_BUILDS, checkpoints_of, report_of, weights_of


class TestStop:
    @pytest.mark.proof
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_saves_with_all_and_ends_all(self, tmp_path, start, number):
        (tmp_path / "recipe.py").write_text(KEEPS_A_SUM)
        run = start(f"--config={tmp_path / 'recipe.py'}", "--verify=off", "--epochs=100000", "--save_every=7")
        workers = run.wait_for_training()
        run.process.send_signal(number)
        code, _, error = run.end()
        assert code == 128 + number, error
        name = signal.Signals(number).name
        expected = f"\n{name}: finishing this step; once more to leave at once\nmain.py: stopped by {name}\n"
        assert error == expected
        report = report_of(run.folder)
        assert report["notes"] == [f"stopped by {name}"]
        steps = report["training"]["steps"]
        assert f"ckpt-{steps}.index" in checkpoints_of(run.folder)
        (examples,) = [value for name, value in weights_of(run.folder, steps).items() if "/sum/" in name]
        assert examples == 1437 * (steps // 23) + 64 * (steps % 23)
        assert report["training"]["final_loss"] > 0
        assert not [pid for pid in workers if is_running(pid)]

    @pytest.mark.proof
    @pytest.mark.parametrize("told", [0, 1])
    def test_by_a_signal_to_one_replica(self, start, told):
        """As a scheduler sends it to every process of a job; TensorFlow's strategy would swallow it."""
        run = start("--verify=off", "--epochs=100000", "--save_every=7")
        workers = run.wait_for_training()
        psutil.Process(workers[told]).terminate()
        code, _, error = run.end()
        assert code == 128 + signal.SIGTERM, error
        assert error.endswith("main.py: stopped by SIGTERM\n")
        assert f"ckpt-{report_of(run.folder)['training']['steps']}.index" in checkpoints_of(run.folder)

    @pytest.mark.proof
    def test_before_training_and_in_the_proof(self, start):
        for flags in (["--verify=off"], ["--verify=gradients"]):
            run = start(*flags)
            wait_until(lambda run=run: run.workers())
            time.sleep(1.0)
            run.process.send_signal(signal.SIGTERM)
            code, _, error = run.end()
            assert code == 128 + signal.SIGTERM, error
            assert error == "main.py: stopped by SIGTERM\n"

    @pytest.mark.proof
    def test_by_a_signal_to_one_replica_while_it_builds(self, tmp_path):
        (tmp_path / "recipe.py").write_text(STOPS_WHILE_IT_BUILDS)
        flags = ["--virtual_gpus=2", "--isolation=process", "--verify=off", "--steps=3"]
        result = run_main(*flags, f"--config={tmp_path / 'recipe.py'}", f"--output_dir={tmp_path / 'run'}")
        assert_refused(result, 128 + signal.SIGTERM, "main.py: stopped by SIGTERM")

    @pytest.mark.proof
    def test_twice_leaves_at_once(self, tmp_path, start):
        (tmp_path / "recipe.py").write_text(NEVER_RETURNS)
        run = start("--verify=off", f"--config={tmp_path / 'recipe.py'}")
        workers = run.wait_for_workers()
        wait_until(lambda: (tmp_path / "recipe.py.started").exists())
        run.process.send_signal(signal.SIGINT)
        time.sleep(1.0)
        run.process.send_signal(signal.SIGINT)
        code, _, _ = run.end()
        assert code == 128 + signal.SIGINT
        assert not [pid for pid in workers.values() if is_running(pid)]

    @pytest.mark.proof
    def test_by_output_that_nobody_reads_any_more(self, tmp_path):
        flags = [
            "--virtual_gpus=2",
            "--isolation=process",
            "--verify=off",
            "--epochs=100000",
            f"--output_dir={tmp_path}",
        ]
        result = run_main_until_output_is_closed(*flags)
        assert result.returncode == 128 + signal.SIGPIPE, result.stderr
        assert result.stderr == "main.py: stopped, since standard output was closed\n"
        assert f"ckpt-{report_of(tmp_path)['training']['steps']}.index" in checkpoints_of(tmp_path)
