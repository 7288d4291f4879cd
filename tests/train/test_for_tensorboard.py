"""What is written for TensorBoard: scalars of each step, gradients as they are applied, a profile of chosen steps."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from distribute import Program, global_mean
from tests.process import REPOSITORY, assert_refused, run_script_in_fork
from train.gradient_histograms import GradientHistograms
from train.loop import TrainFunction, train
from train.scalar_log import ScalarLog
from train.step_profile import StepProfile

STEPS = 6
ROWS = np.random.default_rng(0).normal(size=[48, 3]).astype("float32")


def events_of(folder):
    """Of each name the steps and the values."""
    found = collections.defaultdict(dict)
    for file in sorted(folder.glob("*tfevents*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                assert event.step not in found[value.tag], f"{value.tag} was written twice in step {event.step}"
                found[value.tag][event.step] = tf.make_ndarray(value.tensor)
    return found


def run(strategy, make_observers, steps_per_call=4):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1, name="out")], name="net")
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)

    def train_step(shard):
        x, weights = shard
        with tf.GradientTape() as tape:
            loss = global_mean(tf.square(model(x)[:, 0] - 1.0), weights)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return {"loss": loss}

    function = TrainFunction(strategy, Program(train_step, model=model, optimizer=optimizer))
    observers = make_observers(optimizer, function)
    batches = tf.data.Dataset.from_tensor_slices((ROWS,)).batch(8)
    ends = []

    def after_call(step, means):
        ends.append(step)
        for observer in observers:
            observer.after_call(step, means)
        return False

    def next_stop(step):
        return min(stop or STEPS for stop in (observer.next_stop(step) for observer in observers))

    train(function, batches, first_step=0, num_steps=STEPS, after_call=after_call, steps_per_call=steps_per_call,
          next_stop=next_stop)  # fmt: skip
    for observer in observers:
        observer.close()
    return ends


class TestScalars:
    def test_every_step_has_its_loss_and_every_call_its_memory(self, tmp_path, strategy_of):
        writer = tf.summary.create_file_writer(str(tmp_path))
        run(strategy_of(2), lambda *_: [ScalarLog(writer, ["CPU:0", "CPU:1"], first_step=0)])
        events = events_of(tmp_path)
        losses = events["train/loss"]
        assert list(losses) == [1, 2, 3, 4, 5, 6]
        assert losses[6] < losses[1]
        memory = events["memory/resident memory of the process, MiB"]
        assert list(memory) == [4, 6]
        assert min(memory.values()) > 100
        assert list(events["speed/steps a second"]) == [6]


class TestGradientHistograms:
    def histograms(self, folder, strategy, every=2):
        writer = tf.summary.create_file_writer(str(folder))

        def make(optimizer, function):
            histograms = GradientHistograms(writer, optimizer, function, every=every)
            batches = iter(tf.data.Dataset.from_tensor_slices((ROWS,)).batch(8))
            for _ in range(2):  # as the check of the loop does
                function(batches)
            histograms.begin()
            return [histograms]

        run(strategy, make)
        return events_of(folder)

    def test_are_of_the_sum_over_replicas_and_of_training_alone(self, tmp_path, strategy_of):
        one, three = (self.histograms(tmp_path / str(number), strategy_of(number)) for number in (1, 3))
        assert set(one) == set(three) == {"gradients/net/out/kernel", "gradients/net/out/bias"}
        for name, histograms in one.items():
            # The check before training was steps 1 and 2 of the optimizer.
            assert list(histograms) == list(three[name]) == [4, 6, 8]
            for step, buckets in histograms.items():
                np.testing.assert_allclose(three[name][step], buckets, rtol=1e-4, atol=1e-6)
                assert buckets[:, 2].sum() == (3 if "kernel" in name else 1)


class TestProfile:
    def test_is_taken_of_the_chosen_steps_whatever_a_call_holds(self, tmp_path, strategy_of):
        profile = StepProfile(tmp_path, 3, 4, done=0)
        assert run(strategy_of(2), lambda *_: [profile]) == [2, 4, 6]
        (file,) = tmp_path.rglob("*.xplane.pb")
        assert b"MatMul" in file.read_bytes()

    def test_training_that_ends_before_leaves_what_there_is(self, tmp_path, strategy_of):
        assert run(strategy_of(1), lambda *_: [StepProfile(tmp_path, 5, 50, done=0)])[-1] == STEPS
        assert list(tmp_path.rglob("*.xplane.pb"))

    def test_a_resumed_run_that_has_them_behind_it_takes_none(self, tmp_path):
        profile = StepProfile(tmp_path, 3, 4, done=10)
        assert profile.next_stop(10) is None
        profile.close()
        assert not list(tmp_path.iterdir())


class TestCommand:
    FLAGS = ("--verify=off", "--steps=4", "--output_dir=run")

    def test_writes_beside_the_report_and_says_how_to_look(self, tmp_path):
        flags = ["--tensorboard", "--gradient_histograms=2", "--profile_steps=2-3", "--virtual_gpus=2"]
        result = run_script_in_fork("train/main.py", *self.FLAGS, *flags, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert "tensorboard --logdir=run/tensorboard" in result.stdout
        events = events_of(tmp_path / "run/tensorboard")
        assert list(events["train/accuracy"]) == [1, 2, 3, 4]
        assert list(events["gradients/conv_net/conv2d/kernel"]) == [2, 4]
        assert list((tmp_path / "run/tensorboard").rglob("*.xplane.pb"))

    def test_of_one_replica(self, tmp_path):
        result = run_script_in_fork("train/main.py", *self.FLAGS, "--tensorboard", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert list(events_of(tmp_path / "run/tensorboard")["train/loss"]) == [1, 2, 3, 4]

    @pytest.mark.parametrize("flag", ["--tensorboard", "--gradient_histograms=5"])
    def test_without_the_package_one_line_says_what_to_install(self, tmp_path, flag):
        before = (
            "import importlib.util as u; find = u.find_spec; "
            "u.find_spec = lambda name, *more: None if name == 'tensorboard' else find(name, *more)"
        )
        result = run_script_in_fork("train/main.py", *self.FLAGS, flag, cwd=tmp_path, before=before)
        assert_refused(result, 1, "need the package tensorboard", "pip install -r requirements-viz.txt")
        assert (REPOSITORY / "requirements-viz.txt").exists()
        assert not (tmp_path / "run").exists()

    def test_histograms_of_several_processes_are_refused(self, tmp_path):
        flags = ["--gradient_histograms=5", "--isolation=process"]
        result = run_script_in_fork("train/main.py", *self.FLAGS, *flags, cwd=tmp_path)
        assert_refused(result, 1, "--gradient_histograms needs all replicas in one process")
