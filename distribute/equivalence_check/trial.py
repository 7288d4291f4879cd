"""Runs a program on one device and on the replicas, and keeps what each run did."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from ..batches import join
from . import global_state, layer_outputs, references, runs, variable_writes, variables
from .blame import blamed
from .evidence import Evidence
from .inputs import Batch
from .references import ReplayRun
from .runs import Run
from .step_graphs import narrower_gradients
from .subject import Subject
from .tolerances import Tolerance, tolerance
from .variables import Slot, Values

_HOST = "/device:CPU:0"
_OTHER_SEED = 1_453


@dataclass
class Pair:
    """One batch on one device and on the replicas, step by step; the candidate may have failed.

    Attributes:
      batch: the global batch and its shards.
      reference, candidate: one entry per step.
      saved: the candidate's state as a checkpoint of it holds it, after the first step.
      error: what the candidate alone raised.
    """

    batch: Batch
    reference: list[Evidence]
    candidate: list[Evidence] = field(default_factory=list)
    saved: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None


class Trial:
    """One program in one dtype: the runs that verification needs, each built when it is first asked for.

    Attributes:
      row: the tolerances by which it is judged.
      own: the values that the reference's own build gave its variables.
      on_host: the reference ran on the host, because the whole batch did not fit on one device.
      notes: which means of evidence failed, and why.
    """

    def __init__(
        self,
        build: Callable[[], Any],
        strategy: tf.distribute.Strategy,
        dtype: str,
        batches: Sequence[Batch],
        initial: Values | None = None,
        seed: int = global_state.BUILD_SEED,
        row: Tolerance | None = None,
    ) -> None:
        """Builds the reference and traces its step on the first batch.

        Args:
          build: the user's function.
          strategy: where the replicas run.
          dtype: what Keras computes in.
          batches: those that will be run.
          initial: values for all variables; those of the reference's build where there are none.
          seed: of everything that draws while the program is built or traced.
          row: the tolerances; those of `dtype` where none are given.

        Raises:
          Exception: whatever `build` or the single-device step raises, with a note added.
        """
        self.build, self.strategy, self.dtype, self.first = build, strategy, dtype, batches[0]
        self.batches, self.row = batches, row or tolerance(dtype)
        self.shards = {batch.suffix: runs.cast(batch.shards, dtype) for batch in batches}
        self.wholes = {batch.suffix: runs.cast([batch.whole], dtype) for batch in batches}
        self.seed = seed
        self.on_host = False
        self.notes: list[str] = []
        with blamed(_in_step(dtype)):
            self.dynamic, self.reference = self._traced_reference()
            self.reference.match(None)
        self.own = self.reference.read()
        # A mixed policy wraps the optimizer: such a build has variables that the one in float64 has not.
        self.initial: Values = variables.rounded(self.own) | {k: v for k, v in (initial or {}).items() if k in self.own}

    def _traced_reference(self) -> tuple[bool, Run]:
        """The reference, and whether its step is traced without a batch size.

        Batches of several sizes share one trace where the step allows it, since tracing is most of the cost.
        """
        whole = self.wholes[self.first.suffix]
        several = len({str(sizes) for sizes in (batch.sizes for batch in self.batches)}) > 1
        if several and not self.first.dynamic:
            try:
                return True, self._built_and_traced(whole, True)
            except Exception:  # noqa: BLE001 - a step may need its static shape; then each size has its trace
                pass
        run = self._built_and_traced(whole, self.first.dynamic)
        if run.recorder.random_ops and not (several or self.first.dynamic):
            try:  # each example has numbers of its own only where their number is not part of the trace
                return True, self._built_and_traced(whole, True)
            except Exception:  # noqa: BLE001 - as above
                pass
        return self.first.dynamic, run

    def _built_and_traced(self, whole: Any, dynamic: bool) -> Run:
        strategy = tf.distribute.OneDeviceStrategy(_HOST) if self.on_host else tf.distribute.get_strategy()
        run = Run(self.build, strategy, self.dtype, whole, seed=self.seed)
        run.prepare()
        run.trace(whole, dynamic)
        return run

    @property
    def num_replicas(self) -> int:
        """Replicas of the candidate."""
        return int(self.strategy.num_replicas_in_sync)

    def pinned_dtype(self) -> str | None:
        """The dtype that the program keeps although Keras was told another one: in variables, or in its gradient."""
        trained = {slot.precision for slot in self.slots if slot.role == variables.TRAINABLE and slot.precision}
        kept = (trained | narrower_gradients(self.reference.graphs)) - {self.dtype}
        return max(kept, key=lambda dtype: tolerance(dtype).relative, default=None)

    def afresh(self, seed: int) -> "Trial":
        """Another build and trace of the reference, from the same initial values, under another seed."""
        return Trial(self.build, self.strategy, self.dtype, self.batches, self.initial, seed, self.row)

    def without_batch_statistics(self) -> "Trial":
        """The same program with its BatchNormalization layers in inference mode."""

        def build() -> Any:
            built = self.build()
            for layer in Subject(built).batch_normalizations():
                layer.trainable = False  # which puts this layer, and no other one, in inference mode
            return built

        return Trial(build, self.strategy, self.dtype, self.batches, row=self.row)

    @property
    def slots(self) -> Sequence[Slot]:
        """The variables, as the reference has them."""
        return self.reference.slots

    @functools.cached_property
    def candidate(self) -> Run:
        """The same program on the replicas, built; an exception of `build` is the user's, not a finding."""
        return Run(self.build, self.strategy, self.dtype, self.shards[self.first.suffix])

    @functools.cached_property
    def replayed(self) -> ReplayRun:
        """The same program on one device that presents itself as each replica in turn."""
        shards = self.shards[self.first.suffix]
        run = ReplayRun(self.build, self.dtype, shards)
        run.dynamic = self.dynamic
        run.prepare()
        run.trace_shard(shards[0])
        self._match(run)
        return run

    def _match(self, run: Run) -> None:
        """Lists the variables; what `build` sets from the number of replicas, such as a rate, stays as it set it.

        Everything else starts as the reference does: what is trained, and what another seed changes.
        """
        run.match(self.reference)
        mine = run.read()
        set_apart = [key for key in variables.set_by_build(run.slots) if variables.set_apart(mine[key], self.own[key])]
        if set_apart:
            again = self.afresh(_OTHER_SEED).own
            run.kept = {key: mine[key] for key in set_apart if variables.same(again[key][0], self.own[key][0])}

    def pair(self, batch: Batch, steps: int = 1) -> Pair:
        """Both runs from the initial values, `steps` times the same batch."""
        pair = Pair(batch, self.on_one_device(batch, steps))
        run, shards = self.candidate, self.shards[batch.suffix]
        try:
            run.prepare()
            run.trace(shards, self.dynamic)
        except Exception as error:  # noqa: BLE001 - any failure of the candidate alone is a finding
            pair.error = error
            return pair
        if not run.slots:
            self._match(run)
        try:
            self._run_candidate(pair, steps)
        except Exception as error:  # noqa: BLE001 - as above
            pair.error = error
        return pair

    def pair_on(self, shards: Sequence[Any]) -> Pair:
        """Both runs, one step, with other examples; the candidate may have failed."""
        batch = Batch(f"@further_{len(self.shards)}", shards, join(shards), self.dynamic)
        self.shards[batch.suffix] = runs.cast(batch.shards, self.dtype)
        self.wholes[batch.suffix] = runs.cast([batch.whole], self.dtype)
        return self.pair(batch)

    def shaken(self, batch: Batch, steps: int) -> list[Evidence]:
        """The single-device steps with the last digit of inputs and weights changed: what rounding may do to them."""
        rng = np.random.default_rng(0)
        (whole,) = self.wholes[batch.suffix]
        self.reference.write({key: [last_digit_changed(copies[0], rng)] for key, copies in self.initial.items()})
        moved = tf.nest.map_structure(lambda leaf: last_digit_changed(leaf, rng), whole)
        return [self.reference.step([moved], self.dynamic) for _ in range(steps)]

    def written_at(self, key: str) -> str:
        """The user's line that writes a variable in the step."""
        _, recorder = self.reference.traced_inside(self.wholes[self.first.suffix], variable_writes.noted)
        slots = {slot.key: slot for slot in self.slots}
        return variable_writes.place(recorder, slots[key].variable)

    def layer_differences(self, batch: Batch) -> list[layer_outputs.LayerDifference]:
        """Each call of a layer, in their order, and how far its outputs on the replicas are off those on one device."""
        self.reference.write(self.initial)
        reference = self.reference.run_layers(self.wholes[batch.suffix])
        self.candidate.write(self.initial)
        candidate = self.candidate.run_layers(self.shards[batch.suffix])
        return layer_outputs.output_differences(reference, candidate, batch.sizes)

    def _run_candidate(self, pair: Pair, steps: int) -> None:
        run = self.candidate
        run.write(self.initial)
        for step in range(steps):
            pair.candidate.append(run.step(self.shards[pair.batch.suffix], self.dynamic))
            if step == 0:
                pair.saved = variables.saved_and_loaded(run.slots)

    def on_one_device(self, batch: Batch, steps: int = 1) -> list[Evidence]:
        """The single-device run from the initial values.

        The whole batch needs more memory than a replica's share; where it does not fit, the host runs the reference.
        """
        try:
            return self._on_one_device(batch, steps)
        except tf.errors.ResourceExhaustedError:
            if self.on_host:
                raise
        self.on_host = True
        self.reference = self._built_and_traced(self.wholes[batch.suffix], self.dynamic)
        self.reference.match(None)
        return self._on_one_device(batch, steps)

    def _on_one_device(self, batch: Batch, steps: int) -> list[Evidence]:
        self.reference.write(self.initial)
        which = f", batch {batch.suffix[1:]}" if batch.suffix else ""
        with blamed(_in_step(f"{self.dtype}{which}")):
            return [self.reference.step(self.wholes[batch.suffix], self.dynamic) for _ in range(steps)]

    def replay(self, batch: Batch) -> list[Evidence] | None:
        """What each replica would do if communication were right; None where reductions did not settle."""
        return self.replayed.replay(self.shards[batch.suffix], self.initial)

    def shards_alone(self, batch: Batch) -> list[Evidence]:
        """The single-device step on each shard by itself."""
        return references.each_shard_alone(self.reference, self.shards[batch.suffix], self.initial, self.dynamic)

    def optimizer_replay(self, steps: Sequence[Any], rate: float = 1.0) -> dict[str, list[Any]] | None:
        """What the reference's optimizer makes of these gradients, from the initial values, at `rate` times its own."""
        try:
            return references.optimizer_replay(self.reference, steps, self.initial, rate)
        except Exception as error:  # noqa: BLE001 - without this evidence the direct comparison stands
            self.notes.append(f"the optimizer could not be replayed: {type(error).__name__}: {error}")
            return None


def last_digit_changed(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Floating point numbers moved to a neighbour; others as they are."""
    if not np.issubdtype(array.dtype, np.floating):
        return array
    return np.where(rng.random(array.shape) < 0.5, np.nextafter(array, np.inf), np.nextafter(array, -np.inf))


def _in_step(which: str) -> str:
    return f"by train_step on one device ({which}), which gets what strategy.run gives a replica: its share of a batch"
