"""Layers that take statistics of each replica's shard: BatchNormalization, and own layers of that kind."""

from ..causes import Explanation
from ..equivalence_check.weights import Weights
from .case import Case


def local_statistics(case: Case, weights: Weights | None) -> list[Explanation]:
    """A reference that is no sum over shards, where a layer's outputs say that statistics are why."""
    if weights is not None and weights.sure:
        return []
    shown = _first_layer(case)
    plain = [layer for layer in case.trial.reference.subject.batch_normalizations() if not layer.synchronized]
    if shown is None or not (plain or case.agrees_on_same_shards):
        return []
    name, off = shown
    if any(layer.name == name and layer.synchronized for layer in case.trial.reference.subject.batch_normalizations()):
        return []
    evidence = (
        f"the outputs of {name} for the same examples are {off:.2g} (relative L2) off those on one device, all layers"
        " before it agree"
    )
    return [Explanation("local_batch_statistics", evidence, name, case.trial.reference.places.of(name))]


def _first_layer(case: Case) -> tuple[str, float] | None:
    """The first layer whose outputs differ between the replicas and one device, and by how much.

    After an update within the step it may be its weights that differ: only BatchNormalization is blamed there.
    """
    first = next((one for one in case.trial.layer_differences(case.batch) if one.off > case.exact), None)
    normalising = {layer.name for layer in case.trial.reference.subject.batch_normalizations()}
    if first is None or first.after_update and first.name not in normalising:
        return None
    return first.name, first.off
