"""Mistakes in what the loss is divided by, where examples have weights or parts of them do not count."""

from dataclasses import replace

import keras

from .base_programs import CONV, CUSTOM, EMBEDDING, EVEN_DATA, MLP, NORMALIZED, compiled, tagger
from .cases import planted
from .data import even, rows, sentences
from .mistakes_weighting import mean_of_means
from .weighted_programs import (
    labelled_images,
    measured_squares,
    pixel_entropies,
    rows_with_gaps,
    segmenter,
    weighted,
    with_weights,
)

# --- sample weights


def mean_with_sample_weight() -> keras.Loss:
    return keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")


SAMPLE_WEIGHT = planted(
    "sample_weight_mean_per_replica",
    *(
        (
            name,
            "weighted mean of each shard",
            replace(step, losses=weighted(step.losses), loss=mean_of_means),
            even(with_weights(EVEN_DATA[name])),
        )
        for name, step in CUSTOM.items()
    ),
    ("compiled", "mean_with_sample_weight", compiled(loss=mean_with_sample_weight), even(with_weights(rows))),
)


# --- masks


def token_loss() -> keras.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


MASKED = planted(
    "masked_mean_per_replica",
    (
        "conv",
        "pixels without a label",
        replace(CONV, model=segmenter, losses=pixel_entropies, loss=mean_of_means),
        even(labelled_images),
    ),
    ("mlp", "missing targets", replace(MLP, losses=measured_squares, loss=mean_of_means), even(rows_with_gaps, 6)),
    (
        "batch_norm",
        "missing targets",
        replace(NORMALIZED, losses=measured_squares, loss=mean_of_means),
        even(rows_with_gaps, 6),
    ),
    ("embedding", "padded tokens", replace(EMBEDDING, loss=mean_of_means), even(sentences)),
    ("compiled", "mask_zero", compiled(tagger, loss=token_loss, metrics=lambda: None), even(sentences)),
)

MISTAKES = [*SAMPLE_WEIGHT, *MASKED]
