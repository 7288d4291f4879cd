"""Loss and accuracy of training."""

from collections.abc import Mapping
from typing import Any

from train.report_page.markup import facts, figure, section, text
from train.report_page.pictures.training import training_curves

_CURVES = (("loss", "losses", "test_loss"), ("accuracy", "accuracies", "test_accuracy"))


def training(record: Mapping[str, Any]) -> str:
    """The section; where no step is recorded it says so."""
    entry = record.get("training") or {}
    curves = [(name, entry[key], entry.get(test)) for name, key, test in _CURVES if (entry.get(key) or {}).get("steps")]
    if not curves:
        return section("training", "Training", "<p>No training is recorded.</p>")
    steps = curves[0][1]["steps"]
    description = "; ".join(_spoken(*curve) for curve in curves)
    caption = (
        f"The mean over each step's global batch, with the weights that it began with; {len(steps):,} steps shown."
    )
    drawn = training_curves(curves, "training-curves", "Loss and accuracy of training", description)
    return section("training", "Training", figure(drawn, caption), facts(_facts(entry)))


def _spoken(name: str, history: Mapping[str, Any], test: float | None) -> str:
    first, last, values = history["steps"][0], history["steps"][-1], history["values"]
    said = f"{name} {_figure(values[0])} in step {first}, {_figure(values[-1])} in step {last}"
    return said if test is None else f"{said}, {test:.4g} on the test split"


def _figure(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _facts(entry: Mapping[str, Any]) -> dict[str, str]:
    shown = {
        "Epochs": ("epochs", ".4g"),
        "Loss of the last epoch": ("final_loss", ".6g"),
        "Test loss": ("test_loss", ".6g"),
        "Test accuracy": ("test_accuracy", ".6g"),
    }
    found = {name: format(entry[key], spec) for name, (key, spec) in shown.items() if entry.get(key) is not None}
    if entry.get("weights_sha256"):
        found["SHA-256 of the weights"] = f"<code>{text(entry['weights_sha256'])}</code>"
    return found
