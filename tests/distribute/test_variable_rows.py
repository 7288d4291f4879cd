"""What the report has for each variable: its own accuracy in float32, and how often its gradient was reduced."""

from .programs import program, quick


class TestLowPrecision:
    def test_each_variable_has_its_own_accuracy_beside_that_of_one_device(self):
        report = quick(program(), dtypes=("float64", "float32"))
        (check,) = [one for one in report.checks if one.name == "gradient_equivalence/float32"]
        rows = [row for row in report.variables if row["role"] == "trainable"]
        found = [one for row in rows for one in row["low_precision"]]
        assert len(found) == len(rows) > 1
        assert {(one["dtype"], one["quantity"]) for one in found} == {("float32", "gradient")}
        assert all(0 < one["reference"] < one["allowed"] for one in found)
        assert (check.observed, check.allowed) in [(one["distance"], one["allowed"]) for one in found]


class TestReductions:
    def test_are_counted_by_variable(self):
        report = quick(program())
        rows = [row for row in report.variables if row["role"] == "trainable"]
        assert all(row["reductions"] == {"optimizer": 1} and row["reductions_expected"] == 1 for row in rows)
