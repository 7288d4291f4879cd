"""The report: an exception with the whole text, every variable, strict JSON."""

import json

import pytest

from distribute import Check, EquivalenceError, Report, verify

from .programs import batch, compiled, strategy


class TestReport:
    def test_failed_report_raises_with_the_whole_text(self):
        report = verify(compiled(), [batch(7)], strategy=strategy(2), dtypes=("float64",))
        with pytest.raises(EquivalenceError, match="uneven_batch_weighting"):
            report.raise_if_failed()
        assert str(report).splitlines()[0].startswith("FAILED: 2 replicas")
        assert len(str(report).splitlines()) <= 40

    def test_question_that_passed_in_a_further_batch_alone_is_shown_with_that_batch(self):
        def row(text, question):
            return next(line.split()[1:] for line in text.splitlines() if line.startswith(f"passed  {question}"))

        checks = [Check("metrics/loss", "failed", 1.0, 1e-7), Check("metrics/loss@uneven", "passed", 0.25, 1e-7)]
        assert row(str(Report(checks=checks)), "metrics/loss") == ["metrics/loss@uneven", "0.25", "1e-07"]
        checks = [Check("metrics/loss", "passed", 0.5, 1.0), Check("metrics/loss@uneven", "passed", 0.25, 1.0)]
        assert row(str(Report(checks=checks)), "metrics/loss") == ["metrics/loss", "0.5", "1", "0.25"]

    def test_variables_are_complete(self):
        report = verify(compiled(), [batch()], strategy=strategy(2), dtypes=("float64",))
        keys = {"path", "shape", "dtype", "relative_l2", "max_abs", "ratio", "cosine"}
        assert all(keys <= set(row) for row in report.variables)


class TestStrictJson:
    def test_figures_that_are_not_finite_are_text(self):
        rows = [{"path": "w", "residual": float("inf"), "ratio": None}]
        checks = [Check("a", "failed", float("nan"), 1e-12, "worst in w"), Check("b", "failed", float("inf"))]
        written = json.loads(json.dumps(Report(checks=checks, variables=rows).to_dict(), allow_nan=False))
        assert written["checks"][0]["observed"] is None
        assert written["checks"][0]["allowed"] == 1e-12
        assert written["checks"][0]["detail"] == "observed nan; worst in w"
        assert written["checks"][1]["detail"] == "observed inf"
        assert written["variables"] == [{"path": "w", "residual": None, "ratio": None}]
