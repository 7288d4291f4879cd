"""What all contestants on TensorFlow share: data, pipeline with random shifts, initial weights, thread pools."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from benchmarks.contestants.last_epoch import loss_over_last_epoch
from benchmarks.contestants.stopwatch import Task
from configs import digits
from configs.recipe import Recipe
from train.data import Source, steps_per_epoch, train_batches
from train.dataset_source import load_source
from train.from_flags import configure_keras


def final_loss(model: keras.Model, task: Task) -> float:
    """See `loss_over_last_epoch`."""

    def mean_loss(images: np.ndarray, labels: np.ndarray) -> float:
        return float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images))))

    return loss_over_last_epoch(np.load(task.workload), mean_loss)


def digits_batches(task: Task) -> tuple[Recipe, Source, tf.data.Dataset]:
    """The default recipe with the batch of the task, its source, and as many batches as the task needs."""
    recipe = dataclasses.replace(digits.get_config(), global_batch_size=task.batch)
    configure_keras(recipe, deterministic=False)
    source = load_source(recipe.dataset, None)
    keras.utils.set_random_seed(recipe.seed)  # again: preparing a set on its first use draws random numbers
    num_steps = task.warmup + task.steps
    batches = train_batches(
        source,
        global_batch_size=task.batch,
        seed=recipe.seed,
        num_epochs=-(-num_steps // steps_per_epoch(source.num_train_examples, task.batch)),
        max_shift=recipe.max_shift,
    )
    return recipe, source, batches
