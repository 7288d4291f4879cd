"""What `build` returned, compiled model or `Program`, with one face for both doors."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from ..program import Program, listed


class Subject:
    """What `build` returned, with one face for both doors."""

    def __init__(self, built: Any) -> None:
        self.built = built
        if isinstance(built, Program):
            self.parts, self.extra = listed(built.model), list(built.variables)
            self.optimizers = listed(built.optimizer)
            self.train_step: Callable[[Any], Any] = built.train_step
        elif isinstance(built, keras.Model) and built.compiled:
            self.parts, self.extra = [built], []
            self.optimizers = [built.optimizer]
            self.train_step = built.train_step
        else:
            hint = ": call compile() first" if isinstance(built, keras.Model) else ""
            raise TypeError(
                f"build() must return a compiled keras.Model or a Program, not {type(built).__name__}{hint}"
            )

    @property
    def is_keras_model(self) -> bool:
        """Whether it came through the door of the compiled model."""
        return not isinstance(self.built, Program)

    def prepare(self, batch: Any) -> None:
        """Makes the variables ahead of the first step, as `fit` does under a strategy.

        Without a strategy `fit` leaves that to the first trace; a model that cannot be built from shapes still does.
        """
        if not self.is_keras_model:
            return
        try:
            self.built._symbolic_build(data_batch=batch)
        except Exception:
            if tf.distribute.has_strategy():
                raise

    def layers(self) -> list[Any]:
        """All layers of its parts, nested ones too."""
        return [layer for part in self.parts if isinstance(part, keras.Layer) for layer in part._flatten_layers()]

    def batch_normalizations(self) -> list[Any]:
        """Its BatchNormalization layers."""
        return [layer for layer in self.layers() if isinstance(layer, keras.layers.BatchNormalization)]

    def regularized_layers(self) -> list[Any]:
        """Layers with a weight that a regulariser of Keras' own looks at."""
        return [
            layer
            for layer in self.layers()
            if any(getattr(variable, "regularizer", None) for variable in layer._trainable_variables)
        ]

    def metrics(self) -> dict[str, Any]:
        """`result()` of each Keras metric."""
        if self.is_keras_model:
            return dict(self.built.get_metrics_result())
        metrics = [part for part in self.parts if isinstance(part, keras.Metric)]
        metrics += [metric for part in self.parts for metric in _metrics_of(part)]
        return {metric.name: metric.result() for metric in metrics}


def _metrics_of(part: Any) -> Sequence[Any]:
    return (getattr(part, "metrics", None) or []) if isinstance(part, keras.Model) else []
