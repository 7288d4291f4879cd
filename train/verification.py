"""Proof before training: the recipe's own step and input pipeline, checked against a single device."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from configs.recipe import Recipe
from distribute import Check, Devices, Program, Report
from distribute.targets import Target
from train.data import Source, train_batches
from train.errors import InputError
from train.loop_check import skipped_loop_check
from train.proof import Provable, prove
from train.recipes import call_recipe, load_recipe
from train.sharding import shard_input_fn
from train.step import build_program, input_dtype


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is verified: a recipe on a data set.

    Attributes:
      config: the name of the recipe, as ``--config`` has it: another process has to find it again.
      recipe: the recipe itself, flags applied.
      source: its examples.
    """

    config: str
    recipe: Recipe
    source: Source

    def build(self) -> Program:
        """Builds the recipe's program; each time with the same initial weights.

        Raises:
          InputError: the recipe's functions fail, or its model does not return [batch, number of outputs].
        """
        keras.utils.set_random_seed(self.recipe.seed)
        source = self.source
        program = call_recipe(self.config, build_program, self.recipe, source.input_shape, source.num_outputs)
        if tuple(program.model.output_shape) != (None, source.num_outputs):
            raise InputError(
                f"--config={self.config}: the model returns {program.model.output_shape}, and {source.name} needs "
                f"outputs of shape (None, {source.num_outputs})"
            )
        return program

    def in_float64(self) -> "Subject":
        """The same in float64; to be built while Keras' dtype policy is float64, too."""
        return dataclasses.replace(self, recipe=dataclasses.replace(self.recipe, dtype_policy="float64"))

    def batches(self) -> tf.data.Dataset:
        """The global batches of the first epoch, as training gets them."""
        return train_batches(
            self.source,
            global_batch_size=self.recipe.global_batch_size,
            seed=self.recipe.seed,
            num_epochs=1,
            max_shift=self.recipe.max_shift,
            mirror=self.recipe.mirror,
            dtype=input_dtype(self.recipe),
        )


def verify_recipe(
    subject: Subject,
    devices: Devices,
    *,
    mode: str,
    accept: Sequence[str],
    shrink: bool = True,
    num_rows: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Verifies what `mode` says, as `prove` does."""
    provable = Provable(subject.build, shard_input_fn(subject.batches), *memory_targets(subject))
    return prove(provable, devices, mode=mode, accept=accept, shrink=shrink, num_rows=num_rows, on_progress=on_progress)


def verify_loop(report: Report, check_step: Callable[[], Check], *, mode: str) -> Report:
    """Adds to `report` the check of the training loop's own step, which `check_step` makes, where it can be made."""
    if mode not in ("all", "gradients") or not report.ok:
        return report
    reason = reason_against_loop_check(report)
    return report.merge(Report(checks=[skipped_loop_check(reason) if reason else check_step()]))


def reason_against_loop_check(report: Report) -> str:
    """Why a step of the loop cannot be held against one device, by what `verify_recipe` found; empty where it can."""
    if report.accepted:
        return f"differences were accepted: {', '.join(report.accepted)}"
    statuses = {check.name: check.status for check in report.checks}
    if statuses["randomness"] != "skipped":
        return "the step draws random numbers, others on one device than on several"
    return ""


def memory_targets(subject: Subject) -> tuple[Target, Target]:
    """The recipe's program, and data of its shapes, as another process finds them."""
    build = ("train.verification:build_for_memory", _keywords(subject))
    return build, ("train.verification:random_shards", {"parts": _batch_parts(subject)})


def _keywords(subject: Subject) -> Mapping[str, Any]:
    recipe, source = subject.recipe, subject.source
    return {
        "config": subject.config,
        "learning_rate": recipe.learning_rate,
        "input_shape": list(source.input_shape),
        "num_outputs": source.num_outputs,
    }


def _batch_parts(subject: Subject) -> list[tuple[list[int], str, int]]:
    """Of inputs and labels the shape of a batch, the dtype, and a number that values are below."""
    recipe, source = subject.recipe, subject.source
    rows = min(recipe.global_batch_size, source.num_train_examples)
    limits = (recipe.vocabulary_size, source.num_outputs)
    specs = zip(subject.batches().element_spec, limits, strict=True)
    return [([rows, *spec.shape[1:]], spec.dtype.name, 1 if spec.dtype.is_floating else limit) for spec, limit in specs]


def build_for_memory(config: str, learning_rate: float, input_shape: Sequence[int], num_outputs: int) -> Program:
    """The recipe's program, in the process that measures its memory."""
    recipe = dataclasses.replace(load_recipe(config), learning_rate=learning_rate)
    keras.config.set_dtype_policy(recipe.dtype_policy)
    return build_program(recipe, tuple(input_shape), num_outputs)


def random_shards(
    context: tf.distribute.InputContext, parts: Sequence[tuple[Sequence[int], str, int]]
) -> tf.data.Dataset:
    """One global batch of noise: the memory of a step depends on shapes alone, and reading the data takes seconds."""
    batch = tuple(
        tf.random.stateless_uniform(shape, seed=(0, index), maxval=tf.cast(limit, dtype), dtype=tf.as_dtype(dtype))
        for index, (shape, dtype, limit) in enumerate(parts)
    )
    return shard_input_fn(lambda: tf.data.Dataset.from_tensors(batch))(context)
