"""Writes initial weights and batches to a file, for the contestants that are not on TensorFlow.

They get the batches as they come out of the pipeline, random shifts done: less work than the others have.
"""

from benchmarks.contestants.stopwatch import read_task

if __name__ == "__main__":
    task = read_task()

    import os

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import numpy as np

    from benchmarks.contestants.tensorflow_parts import digits_batches

    recipe, source, batches = digits_batches(task)
    weights = recipe.build_model(source.input_shape, source.num_outputs).get_weights()
    taken = list(batches.take(task.warmup + task.steps).as_numpy_iterator())
    arrays = {f"weight{index}": value for index, value in enumerate(weights)}
    arrays["sizes"] = np.array([len(labels) for _, labels in taken])
    arrays["images"] = np.concatenate([images for images, _ in taken])
    arrays["labels"] = np.concatenate([labels for _, labels in taken])
    np.savez(task.workload, num_examples=source.num_train_examples, learning_rate=recipe.learning_rate, **arrays)
