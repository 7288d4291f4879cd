"""Data sets that are made from a fixed seed: nothing is read, and every run and machine has the same examples.

They teach and test; what a model reaches on them says nothing of real data.
"""

from collections.abc import Callable

import numpy as np

Split = tuple[np.ndarray, np.ndarray]
"""Inputs and labels."""

SLOPE, INTERCEPT, NOISE = 2.0, 1.0, 0.1
"""Of `line`: y = 2x + 1 and Gaussian noise with this standard deviation, whose square is the least possible loss."""

_NOUNS = ("acting", "camera", "cast", "ending", "film", "music", "plot", "story")
_GOOD = ("brilliant", "clever", "funny", "good", "lovely", "moving", "sharp", "warm")
_BAD = ("bad", "boring", "cold", "dull", "empty", "silly", "slow", "weak")
_ADVERBS = ("almost", "quite", "rather", "really", "so", "very")
_OPENINGS = ("", "i thought ", "my friends said ", "they told me that ")


def line() -> dict[str, Split]:
    """800 and 200 points: x [n, 1] uniform in -1..1, y [n, 1] on a line with noise; float32."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=[1000, 1])
    y = SLOPE * x + INTERCEPT + rng.normal(scale=NOISE, size=x.shape)
    x, y = x.astype(np.float32), y.astype(np.float32)
    return {"train": (x[:800], y[:800]), "test": (x[800:], y[800:])}


def reviews() -> dict[str, Split]:
    """2,000 and 500 sentences about films, no two alike, and whether the verdict is good (1) or bad (0).

    One to three clauses are joined by "but", the last one is the verdict, and "not" turns an adjective round: "the
    music was very good but the plot was not really clever" is bad. Which adjective and which "not" count is a matter of
    the order of the words: of scikit-learn's logistic regressions one on single words has 0.49 of the test sentences
    right, one on pairs of words too 0.73, on triples too 0.91.
    """
    rng = np.random.default_rng(0)
    verdicts: dict[str, int] = {}
    while len(verdicts) < 2500:
        clauses = [_clause(rng) for _ in range(rng.integers(1, 4))]
        sentence = rng.choice(_OPENINGS) + " but ".join(text for text, _ in clauses)
        verdicts[sentence] = clauses[-1][1]
    texts, labels = np.array(list(verdicts)), np.array(list(verdicts.values()), np.int64)
    return {"train": (texts[:2000], labels[:2000]), "test": (texts[2000:], labels[2000:])}


def _clause(rng: np.random.Generator) -> tuple[str, int]:
    good, turned = rng.integers(2), rng.integers(2)
    words = ["the", rng.choice(_NOUNS), "was", *(["not"] if turned else [])]
    words += [rng.choice(_ADVERBS)] if rng.integers(2) else []
    return " ".join([*words, rng.choice(_GOOD if good else _BAD)]), int(good ^ turned)


GENERATED: dict[str, Callable[[], dict[str, Split]]] = {"line": line, "reviews": reviews}
NUM_CLASSES = {"reviews": 2}
