"""Plain Keras: `fit` on one device, or with more replicas under a plain `tf.distribute.MirroredStrategy`."""

from benchmarks.contestants.stopwatch import Stopwatch, images_in, read_task

if __name__ == "__main__":
    watch = Stopwatch(task := read_task())

    import os

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if task.onednn:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    import keras
    import tensorflow as tf

    from benchmarks.contestants.tensorflow_parts import digits_batches, final_loss

    if task.replicas > 1:
        one = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [one] * task.replicas)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(task.replicas)])
    else:
        strategy = tf.distribute.get_strategy()
    recipe, source, batches = digits_batches(task)
    with strategy.scope():
        model = recipe.build_model(source.input_shape, source.num_outputs)
        model.compile(
            recipe.build_optimizer(recipe.learning_rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            steps_per_execution=task.steps_per_call or 1,
        )

    class Times(keras.callbacks.Callback):
        """Of the steps, when `fit` tells that they are done."""

        def on_train_batch_end(self, batch, logs=None):
            watch.done(batch + 1)

    model.fit(batches, steps_per_epoch=task.warmup + task.steps, callbacks=[Times()], verbose=0)
    watch.report(images_in(task, source.num_train_examples), final_loss(model, task))
