"""This project: the loop of ``train/main.py`` on N logical CPUs."""

from benchmarks.contestants.stopwatch import Stopwatch, images_in, read_task

if __name__ == "__main__":
    watch = Stopwatch(task := read_task())

    import os

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from benchmarks.contestants.tensorflow_parts import digits_batches, final_loss, set_pools
    from distribute import make_strategy, split_device
    from train.loop import make_train_function, train
    from train.step import build_program

    devices = split_device(task.replicas, kind="cpu")
    set_pools(task.threads)
    recipe, source, batches = digits_batches(task)
    strategy = make_strategy(devices)
    with strategy.scope():
        program = build_program(recipe, source.image_shape, source.num_classes)

    def after_step(step, means):
        if watch.after_step(step):
            float(means["loss"])
            watch.done(step)
        return False

    train(
        make_train_function(strategy, program),
        batches,
        first_step=0,
        num_steps=task.warmup + task.steps,
        after_step=after_step,
    )
    watch.report(images_in(task, source.num_train_examples), final_loss(program.model, task))
