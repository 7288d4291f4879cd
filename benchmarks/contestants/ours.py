"""This project: the loop of ``train/main.py`` on N logical CPUs."""

from benchmarks.contestants.stopwatch import Stopwatch, images_in, read_task

if __name__ == "__main__":
    watch = Stopwatch(task := read_task())

    from train.heap import keep_heaps
    from train.tensorflow_log import import_tensorflow

    keep_heaps()
    import_tensorflow(quietly=True)

    from benchmarks.contestants.tensorflow_parts import digits_batches, final_loss
    from distribute import make_strategy, split_device
    from distribute.threads import set_thread_pools
    from train.loop import TrainFunction, train
    from train.step import build_program

    devices = split_device(task.replicas, kind="cpu")
    set_thread_pools(devices, intra_op=task.intra_op, inter_op=task.inter_op)
    recipe, source, batches = digits_batches(task)
    strategy = make_strategy(devices)
    with strategy.scope():
        program = build_program(recipe, source.input_shape, source.num_outputs)

    def after_call(step, means):
        if watch.after_step(step):
            means["loss"].numpy()
            watch.done(step)
        return False

    train(
        TrainFunction(strategy, program),
        batches,
        first_step=0,
        num_steps=task.warmup + task.steps,
        after_call=after_call,
        steps_per_call=task.steps_per_call or None,
        next_stop=lambda step: 1 if step == 0 else task.warmup if step < task.warmup else task.warmup + task.steps,
    )
    watch.report(images_in(task, source.num_train_examples), final_loss(program.model, task))
