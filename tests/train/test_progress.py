import io

import pytest
import tensorflow as tf
from rich.console import Console

from train.epoch_means import EpochMeans
from train.progress import TrainingProgress

# Three steps an epoch: 4, 4 and 2 examples.
LOSSES = [1.0, 2.0, 6.0, 3.0, 5.0, 7.0, 8.0]


def progress_of(first_step=0, num_steps=7, epoch=None):
    console = Console(file=io.StringIO())
    sizes = {"num_examples": 10, "global_batch_size": 4}
    return TrainingProgress(console, **sizes, first_step=first_step, num_steps=num_steps, epoch=epoch or EpochMeans())


def run(progress, steps):
    for step in steps:
        losses = tf.constant(LOSSES[step - 1 : step])
        progress.add(step, {"loss": losses, "accuracy": losses / 8})
    progress.read()
    return progress.epoch


class TestEpochMeans:
    def test_are_those_of_all_examples_of_the_epoch_up_to_the_last_step(self):
        assert run(progress_of(), [1, 2]) == EpochMeans(8, 1.5, 1.5 / 8)
        assert run(progress_of(), [1, 2, 3]) == EpochMeans(10, 2.4, pytest.approx(0.3))
        assert run(progress_of(), [1, 2, 3, 4, 5]) == EpochMeans(8, 4.0, 0.5)

    @pytest.mark.parametrize("stop", range(1, 7))
    def test_of_a_resumed_run_are_those_of_an_uninterrupted_one(self, stop):
        whole = run(progress_of(), range(1, 8))
        before = run(progress_of(num_steps=stop), range(1, stop + 1))
        saved = EpochMeans.from_list(before.to_list())
        assert run(progress_of(first_step=stop, epoch=saved), range(stop + 1, 8)) == whole

    def test_of_several_steps_in_a_call_are_those_of_single_ones(self):
        progress = progress_of()
        for step, steps in ((2, [0, 1]), (5, [2, 3, 4]), (7, [5, 6])):
            losses = tf.constant([LOSSES[index] for index in steps])
            progress.add(step, {"loss": losses, "accuracy": losses / 8})
        progress.read()
        single = progress_of()
        assert progress.epoch == run(single, range(1, 8))
        assert progress.losses.to_dict() == single.losses.to_dict()

    def test_of_a_recipe_that_measures_no_accuracy_are_those_of_the_loss(self):
        progress = progress_of(num_steps=2)
        progress.add(2, {"loss": tf.constant(LOSSES[:2])})
        progress.read()
        assert progress.epoch == EpochMeans(8, 1.5, None)
        assert progress.losses.to_dict()["values"] == LOSSES[:2]
        assert progress.accuracies.to_dict() == {"steps": [], "values": []}

    def test_of_no_step_are_unknown(self):
        assert EpochMeans.from_list(EpochMeans().to_list()) == EpochMeans()


class TestSpeed:
    def test_is_known_when_every_step_is_saved(self):
        progress = progress_of()
        for step in (1, 2, 3):
            run(progress, [step])
            with progress.paused():
                pass
        assert progress.examples == 6  # the first step traces and is not counted
        assert progress.examples_per_second > 0
