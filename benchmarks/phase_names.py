"""Names of phases that `benchmarks.cost_curves` asks for."""

VERIFYING = "verifying the step and its memory"
CHECKING_LOOP = "verifying the loop's own step"
TRACING = "tracing and compiling the step"
