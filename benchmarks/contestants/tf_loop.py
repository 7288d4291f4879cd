"""A plain TensorFlow loop on one device: a `tf.function` with a `tf.GradientTape`, as the tutorials have it."""

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

    recipe, source, batches = digits_batches(task)
    model = recipe.build_model(source.input_shape, source.num_outputs)
    optimizer = recipe.build_optimizer(recipe.learning_rate)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy()

    @tf.function(reduce_retracing=True)
    def step(images, labels):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = loss_of(labels, logits)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        accuracy.update_state(labels, logits)
        return loss

    for number, (images, labels) in enumerate(batches.take(task.warmup + task.steps), 1):
        loss = step(images, labels)
        if watch.after_step(number):
            float(loss)
            watch.done(number)
    watch.report(images_in(task, source.num_train_examples), final_loss(model, task))
