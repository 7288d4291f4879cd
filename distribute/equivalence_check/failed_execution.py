"""What the replicas raised where one device did not, with what it means, as the checks of that batch."""

import textwrap
from collections.abc import Sequence

from ..log_explanation import explain
from ..log_rules.statements import clean
from ..report import Check

_LONGEST = 700  # characters of an exception's message that are shown
_NOT_BUILT = "Unable to automatically build the model"
# keras/src/trainers/trainer.py, _symbolic_build: a compiled model is called ahead of the first step under a strategy,
# on one device only where a loss or a metric asks for it.
_BUILD_IT = (
    "under a strategy Keras builds a model by calling it before the first step, as fit does there and verify here: give"
    " it a call(), the forward pass that its train_step computes, or set `self.built = True` in __init__ where all"
    " layers are built"
)


def failed_execution(error: BaseException | None, sizes: Sequence[int], dtype: str, suffix: str) -> list[Check]:
    """The failed check, and those that could not be made for it.

    Args:
      error: what the replicas raised.
      sizes: examples that each replica got.
      dtype: the program's.
      suffix: of the batch, as in a check's name.
    """
    what = f"the replicas raised {type(error).__name__}, one device did not: {_told(error)} (shard sizes {sizes})"
    advice = _advice(error)
    return [
        Check(f"execution{suffix}", "failed", detail=f"{what}; instead: {advice}" if advice else what),
        Check(f"gradient_equivalence/{dtype}{suffix}", "failed", detail="not measured: see execution" + suffix),
        *(
            Check(f"{name}{suffix}", "skipped", detail="the replicas raised an exception: see execution" + suffix)
            for name in (f"update_equivalence/{dtype}", f"state_equivalence/{dtype}", "replica_sync", "metrics/loss")
        ),
    ]


def _told(error: BaseException | None) -> str:
    """The message in one line; of a long one, such as a traceback of autograph's, beginning and end."""
    text = " ".join(" ".join(clean(line) for line in str(error).splitlines()).split())
    if len(text) <= _LONGEST:
        return text
    begin = textwrap.shorten(text[: _LONGEST // 2 + 20], _LONGEST // 2, placeholder="")
    return f"{begin} … {text[-_LONGEST // 2 :].partition(' ')[2]}"


def _advice(error: BaseException | None) -> str:
    """What to write instead, where it is known what the exception means."""
    if error is None:
        return ""
    if _NOT_BUILT in str(error):
        return _BUILD_IT
    known = explain(error)
    return "; or ".join(known[0].remedies) if known else ""
