"""The stages of a run, whichever process they run in: the proof of a recipe, and its training."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import flags
from rich.console import Console

from configs.recipe import Recipe
from distribute import Check, Devices, Program, Report, make_strategy
from distribute.out_of_memory import is_out_of_memory
from distribute.worker_strategy import num_processes_of
from train import flags as train_flags
from train import from_flags, recipe_data
from train.agreement import make_agreement
from train.checkpoint import Checkpoints
from train.export import export_checkpoint
from train.fingerprint import Fingerprint, take_fingerprint
from train.for_tensorboard import make_histograms, open_observers
from train.gradient_histograms import GradientHistograms
from train.loop import TrainFunction
from train.loop_check import NAME, check_loop, skipped_loop_check
from train.observer import Observer
from train.placement import print_placement_once
from train.resume import require_same_run, warn_of_other_code
from train.run_folder import RunFolder
from train.setup_record import describe_setup
from train.stop_signals import raise_if_stopped
from train.training import SaveInterval, evaluate_on_test_split, run_training
from train.verification import Subject, verify_loop, verify_recipe
from train.working import under_way


@dataclass(frozen=True)
class Trainee:
    """A program under a strategy, and the traced function that trains it."""

    strategy: tf.distribute.Strategy
    program: Program
    train_function: TrainFunction
    histograms: GradientHistograms | None = None


@dataclass(frozen=True)
class Outputs:
    """Where a process of a run leaves what it finds.

    Attributes:
      folder: the run's.
      checkpoints: those of the run.
      console: where progress is shown.
      keep_setup: gets the ``setup`` entry of ``report.json`` before the first step.
      keep_training: gets the ``training`` entry of ``report.json`` as soon as there is one.
      begin_phase: told what begins: ``training``, ``evaluation``.
      is_first: whether this process is the one that writes to the folder and tells the user.
    """

    folder: RunFolder
    checkpoints: Checkpoints
    console: Console
    keep_setup: Callable[[dict[str, Any]], None]
    keep_training: Callable[[Mapping[str, Any]], None]
    begin_phase: Callable[[str], None]
    is_first: bool = True


def load_subject(values: flags.FlagValues, recipe: Recipe) -> Subject:
    """The recipe on its data, read as the flags say."""
    return recipe_data.load_subject(values.config, recipe, values.data_dir)


def make_trainee(
    values: flags.FlagValues,
    subject: Subject,
    strategy: tf.distribute.Strategy,
    console: Console,
    folder: RunFolder | None = None,
) -> Trainee:
    """Builds what is trained; what is seen from within its steps is written to `folder`."""
    with strategy.scope():
        program = subject.build()
    train_function = TrainFunction(strategy, program)
    if values.log_device_placement:
        train_function.decorate(functools.partial(print_placement_once, console=console))
    histograms = make_histograms(values, folder, program, train_function) if folder else None
    return Trainee(strategy, program, train_function, histograms)


def check_step(subject: Subject, trainee: Trainee, name: str = NAME) -> Check:
    """Holds one step of the loop against one device; on a cluster all processes have to take part.

    It is the very step that training uses. Where that computes coarsely, or differs, as it does where BatchNorm or Adam
    amplifies rounding, one of the same lines in float64 decides.
    """
    if not _computes_coarsely(subject.recipe):
        check = check_loop(trainee.train_function, trainee.program, subject.build(), subject.batches(), name=name)
        decide = make_agreement(trainee.strategy)  # a process that went on alone would wait for the others
        if not decide(int(check.status == "failed"), False)[0]:
            return check
    return _check_step_in_float64(subject, trainee, name)


def _check_step_in_float64(subject: Subject, trainee: Trainee, name: str) -> Check:
    exact, policy = subject.in_float64(), keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        with trainee.strategy.scope():
            program = exact.build()
        return check_loop(TrainFunction(trainee.strategy, program), program, exact.build(), exact.batches(), name=name)
    except tf.errors.OpError as error:
        if not is_out_of_memory(error):  # cuDNN calls it "No algorithm worked"
            raise
        return skipped_loop_check("in float64 a step does not fit on the devices", name)
    finally:
        keras.config.set_dtype_policy(policy)


def _computes_coarsely(recipe: Recipe) -> bool:
    """In half precision, or in the TF32 that GPUs make of float32: kernels for fewer rows may round otherwise."""
    return recipe.dtype_policy != "float64" and (
        recipe.dtype_policy != "float32" or bool(tf.config.list_logical_devices("GPU"))
    )


def prove(
    values: flags.FlagValues, subject: Subject, devices: Devices, console: Console, folder: RunFolder | None = None
) -> tuple[Report, Trainee]:
    """Verifies what ``--verify`` says, the training loop's own step included; returns what it would train, too."""
    with under_way(console, "verifying") as advance:
        report = verify_recipe(
            subject,
            devices,
            mode=values.verify,
            accept=values.accept,
            shrink=values.shrink,
            num_rows=values.first_rows,
            on_progress=advance,
        )
        trainee = make_trainee(values, subject, make_strategy(devices), console, folder)
        report = verify_loop(report, lambda: check_step(subject, trainee), mode=values.verify)
    return report, trainee


def train(values: flags.FlagValues, subject: Subject, trainee: Trainee, outputs: Outputs) -> dict[str, float]:
    """Trains from the first or resumed step on, evaluates, and exports where ``--export`` says so.

    Returns:
      The test results of the ``training`` entry of ``report.json``, for a process whose `outputs` keep nothing.
    """
    recipe, source = subject.recipe, subject.source
    checkpoints, console = outputs.checkpoints, outputs.console
    fingerprint = take_fingerprint(subject, trainee.program)
    first_step = _resume(outputs, fingerprint) if values.resume else 0
    if outputs.is_first:
        outputs.folder.write_fingerprint(fingerprint)
    schedule = from_flags.make_schedule(values, recipe, source, first_step)
    outputs.keep_setup(describe_setup(values, subject, fingerprint, schedule, trainee.strategy))
    if first_step >= schedule.num_steps:
        console.print(f"nothing to train: {first_step} of {schedule.num_steps} steps are done")
    outputs.begin_phase("training")
    with _observers(values, trainee, outputs, first_step) as observers:
        entry = run_training(
            recipe,
            source,
            trainee.program,
            trainee.train_function,
            schedule=schedule,
            steps_per_call=values.steps_per_call or (None if num_processes_of(trainee.strategy) == 1 else 1),
            checkpoints=checkpoints,
            save_interval=SaveInterval(*train_flags.save_interval(values.save_every)),
            decide=make_agreement(trainee.strategy),
            observers=observers,
            keep_partial=outputs.keep_training,
            console=console,
        )
    outputs.keep_training(entry)
    raise_if_stopped()
    outputs.begin_phase("evaluation")
    test = evaluate_on_test_split(recipe, source, trainee.strategy, trainee.program)
    outputs.keep_training({**entry, **test})
    if values.export and outputs.is_first:
        done = export_checkpoint(subject, outputs.folder.checkpoints, entry["steps"], Path(values.export))
        console.print(done)
    return test


def _observers(
    values: flags.FlagValues, trainee: Trainee, outputs: Outputs, first_step: int
) -> contextlib.AbstractContextManager[list[Observer]]:
    """Of several processes the first one writes for TensorBoard."""
    if not outputs.is_first:
        return contextlib.nullcontext([])
    return open_observers(values, outputs.folder, trainee.strategy, trainee.histograms, first_step=first_step)


def _resume(outputs: Outputs, fingerprint: Fingerprint) -> int:
    """Restores the run of the folder, if it is this one; returns the number of steps that are done."""
    require_same_run(outputs.folder, fingerprint)
    if outputs.is_first:
        warn_of_other_code(outputs.folder, fingerprint)
    return outputs.checkpoints.restore_latest()
