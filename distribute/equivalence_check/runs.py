"""One build of a program in one strategy and dtype: trace its step, run it from given values, say what it did."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..batches import num_examples
from . import example_rows, global_state, layer_outputs, observe, randomness, variables
from .blame import blamed
from .build_places import BuildPlaces, building
from .evidence import Evidence
from .observe import Recorder
from .recorded_step import evidence_of
from .subject import Subject
from .variables import Slot

Hooks = Callable[[Recorder], contextlib.AbstractContextManager]
"""Set while a step is traced."""

Shards = Sequence[Any]
"""One nest of arrays per replica, leading axis = example."""


class Run:
    """One build in one strategy and dtype."""

    def __init__(
        self,
        build: Callable[[], Any],
        strategy: tf.distribute.Strategy,
        dtype: str,
        shards: Shards,
        around: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
        seed: int = global_state.BUILD_SEED,
    ) -> None:
        """Builds in the scope of `strategy`.

        Args:
          build: the user's function.
          strategy: where the program runs.
          dtype: what Keras computes in.
          shards: the first batch, for models that make their variables with it.
          around: entered whenever the program is built or traced, such as `replay.presented`.
          seed: of everything that draws while the program is built or traced.
        """
        self.strategy, self.dtype, self.around, self.seed = strategy, dtype, around, seed
        self.recorder = Recorder()
        self._traces: dict[Any, Any] = {}
        self.slots: list[Slot] = []
        self.kept: variables.Values = {}  # what is written instead of the reference's values
        self._written: variables.Values = {}
        self._first_shard = shards[0]
        self._prepared = self._dynamic = False
        num_replicas = strategy.num_replicas_in_sync
        self.places = BuildPlaces()
        with (
            self._setting(),
            strategy.scope(),
            blamed(f"in build(), for {num_replicas} replica(s), {dtype}"),
            building(self.places),
        ):
            self.subject = Subject(build())
            if num_replicas > 1:
                self._check_made_here()

    def _check_made_here(self) -> None:
        """Variables that were made outside of the strategy's scope have one copy, which replicas cannot train."""
        trained = [variable for part in self.subject.parts for variable in _trainable(part)]
        held = [variable for optimizer in self.subject.optimizers for variable in optimizer.variables]
        for what, given in (("model", trained), ("optimizer", held)):
            for variable in map(observe.unwrapped, given):
                if not self.strategy.extended.variable_created_in_scope(variable):
                    raise ValueError(
                        f"build() must create the {what}: it returned one that was made outside of it"
                        f" (variable {variable.name})"
                    )

    def place(self, kind: str, key: str = "") -> str:
        """The user's line for this kind of call in the step, or the `compile()` that stands for it.

        A step with several losses has a line of each kind for the variables of each loss: `key` says of which.
        """
        own = [observe.of_variable(kind, slot.variable) for slot in self.slots if slot.key == key]
        return next((found for one in (*own, kind) if (found := self.recorder.places.get(one))), self.places.compiled)

    def random_layer(self) -> tuple[str, str]:
        """The first layer with a seed of Keras' own, and the user's line that made it or that draws."""
        layers = [layer for layer in self.subject.layers() if hasattr(layer, "seed_generator")]
        name = layers[0].name if layers else ""
        return name, self.recorder.places.get(observe.RANDOM) or self.places.of(name)

    def reductions(self) -> dict[str, dict[str, int]]:
        """By variable, how often its gradient is summed over replicas by the optimizer and by the step itself."""
        keys = {id(slot.variable): slot.key for slot in self.slots}
        return {keys[i]: dict(counts) for i, counts in self.recorder.reductions().items() if i in keys}

    def prepare(self) -> None:
        """Makes the variables that `fit` would make ahead of the first step."""
        if not self._prepared:
            with self._setting(), self.strategy.scope():
                self.subject.prepare(tensors(self._first_shard))
            self._prepared = True

    @contextlib.contextmanager
    def _setting(self) -> Iterator[None]:
        with global_state.alike(self.seed), global_state.precision(self.dtype), self.around():
            yield

    def match(self, reference: "Run | None") -> None:
        """Lists the variables, under the reference's keys where there is one; to be called after a trace."""
        subject = self.subject
        seen = [one for one in self.recorder.optimizers if all(one is not known for known in subject.optimizers)]
        slots = variables.collect(subject.parts, [*subject.optimizers, *seen], subject.extra)
        self.slots = slots if reference is None else variables.matched(reference.slots, slots)

    def read(self) -> dict[str, list[np.ndarray]]:
        """Every variable on every replica."""
        return variables.read(self.slots, self.strategy)

    def write(self, values: variables.Values) -> None:
        """Sets every variable on every replica."""
        self._written = {**values, **self.kept}
        variables.write(self.slots, self._written, self.strategy)

    def _shared_with_written(self, key: str, copies: list[np.ndarray]) -> list[np.ndarray]:
        written = self._written.get(key, ())
        return variables.shared([written[0], *copies])[1:] if len(written) == 1 else copies

    def trace(self, shards: Shards, dynamic: bool = False) -> Any:
        """The step as a graph for batches like `shards`, from the cache where their form was seen before."""
        self._dynamic = dynamic
        spec = self._spec([tensors(shard) for shard in shards])
        key = str(spec)
        if key not in self._traces:
            self._traces[key] = self._traced(self._all_replicas, spec)
        graph, self.recorder = self._traces[key]
        return graph

    def _spec(self, inputs: Any) -> Any:
        return tf.nest.map_structure(lambda tensor: spec_of(tensor, self._dynamic), inputs)

    def _traced(self, function: Callable[..., None], *spec: Any) -> tuple[Any, Recorder]:
        """The graph of `function` and what records its values; optimizers get their variables ahead of it."""
        while True:
            self.recorder = Recorder()
            try:
                with self._setting(), observe.observing(self.recorder), randomness.taken_out(self.recorder):
                    graph = tf.function(function, jit_compile=False).get_concrete_function(*spec)
                return graph, self.recorder
            except Exception:
                if self.recorder.unbuilt is None:
                    raise
            optimizer, trained = self.recorder.unbuilt
            with self._setting(), self.strategy.scope():
                optimizer.build(trained)

    @property
    def graphs(self) -> list[tf.Graph]:
        """Those of the step, one for each form of batch that was traced."""
        return [graph.graph for graph, _ in self._traces.values()]

    def run_drawing(self, shards: Shards) -> Recorder:
        """One step with its randomness left in; the recorder holds what was drawn."""
        graph, recorder = self.traced_inside(shards, randomness.drawn)
        graph()
        return recorder

    def run_layers(self, shards: Shards) -> Recorder:
        """One step with its randomness taken out; the recorder holds the outputs of all layers."""
        graph, recorder = self.traced_inside(shards, randomness.taken_out, layer_outputs.reported)
        graph()
        return recorder

    def traced_inside(self, shards: Shards, *around: Hooks) -> tuple[Callable[[], Any], Recorder]:
        """The step traced afresh inside further hooks, as a function that runs it, and what records its values."""
        kept, recorder = self.recorder, Recorder()
        inputs = [tensors(shard) for shard in shards]
        with contextlib.ExitStack() as stack:
            for context in (self._setting(), observe.observing(recorder), *(hooks(recorder) for hooks in around)):
                stack.enter_context(context)
            stack.callback(setattr, self, "recorder", kept)
            self.recorder = recorder
            graph = tf.function(self._all_replicas, jit_compile=False).get_concrete_function(self._spec(inputs))
        return functools.partial(graph, inputs), recorder

    @tf.autograph.experimental.do_not_convert  # which takes a second for what needs none; the user's step is converted
    def _all_replicas(self, shards: Shards) -> None:
        recorder = self.recorder
        recorder.begin_trace()
        train_step = observe.converted(self.subject.train_step)

        def one_replica() -> None:
            replica = observe.replica_id()
            recorder.row_numbers[replica] = example_rows.row_numbers(shards[replica])
            self._report(recorder, replica, train_step(shards[replica]))

        self.strategy.run(one_replica)

    def _report(self, recorder: Recorder, replica: int, returned: Any) -> None:
        """Sends what the step returned out of the graph."""
        if not isinstance(returned, Mapping) or not (self.subject.is_keras_model or "loss" in returned):
            raise ValueError(
                f"train_step must return a mapping with at least 'loss', not {type(returned).__name__}"
                + (f" with {sorted(returned)}" if isinstance(returned, Mapping) else "")
            )
        if returned.get("gradients") is not None and not self.subject.is_keras_model:
            trained = [v for part in self.subject.parts for v in _trainable(part)]
            pairs = zip(trained, returned["gradients"], strict=True)
            recorder.emit(observe.RETURNED, replica, [(observe.unwrapped(v), g) for v, g in pairs if g is not None])
        scalars = [(name, value) for name, value in returned.items() if name != "gradients"]
        recorder.emit(observe.OUTPUT, replica, [(n, tf.identity(v)) for n, v in scalars if _is_scalar(v)])

    def step(self, shards: Shards, dynamic: bool = False) -> Evidence:
        """Runs one step from the variables' present values."""
        graph = self.trace(shards, dynamic)
        before = {key: self._shared_with_written(key, copies) for key, copies in self.read().items()}
        self.recorder.clear()
        self._reset_metrics()
        graph([tensors(shard) for shard in shards])
        evidence = self._evidence(before, [num_examples(shard) for shard in shards])
        self.recorder.clear()  # which holds a copy of each gradient on each replica
        return evidence

    def _reset_metrics(self) -> None:
        for slot in self.slots:
            if slot.role == variables.METRIC:
                for copy in variables.components(slot, self.strategy):
                    copy.assign(tf.zeros_like(copy))

    def _evidence(self, before: Mapping[str, list[np.ndarray]], sizes: Sequence[int]) -> Evidence:
        with global_state.precision(self.dtype):
            metrics = {
                name: float(tf.cast(v, tf.float64)) for name, v in self.subject.metrics().items() if _is_scalar(v)
            }
        return evidence_of(self.recorder, self.slots, before, self.read(), sizes, metrics)


def cast(shards: Shards, dtype: str) -> Shards:
    """The shards with their floating point arrays in `dtype`, as a program of that dtype would be fed."""

    def convert(array: np.ndarray) -> np.ndarray:
        return array.astype(dtype) if np.issubdtype(array.dtype, np.floating) else array

    return [tf.nest.map_structure(convert, shard) for shard in shards]


def tensors(shard: Any) -> Any:
    """The same nest, of tensors."""
    return tf.nest.map_structure(tf.convert_to_tensor, shard)


def spec_of(tensor: tf.Tensor, dynamic: bool) -> tf.TensorSpec:
    """What a step is traced for: this shape, or any number of examples where `dynamic`."""
    shape = [None, *tensor.shape[1:]] if dynamic else tensor.shape
    return tf.TensorSpec(shape, tensor.dtype)


def _is_scalar(value: Any) -> bool:
    shape = getattr(value, "shape", None)
    return isinstance(value, int | float) or (shape is not None and tf.TensorShape(shape).rank == 0)


def _trainable(part: Any) -> Sequence[Any]:
    trained = getattr(part, "trainable_variables", None)
    return trained if trained is not None else [v for v in part.variables if v.trainable]
