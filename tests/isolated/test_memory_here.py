"""The check in this process, meant for GPUs, on CPUs with the allocator that counts: one counter for all."""

from tests.process import run_python

CODE = """
    import os
    os.environ["TF_CPU_ALLOCATOR_USE_BFC"] = "true"
    from distribute import split_device
    from distribute.memory_check.gpu import check_here
    from tests.distribute import memory_targets
    devices = split_device(2, kind="cpu")
    report = check_here(getattr(memory_targets, {build!r}), memory_targets.images(), devices)
    statuses = {{check.name: check.status for check in report.checks}}
    print(statuses["memory_bounds/limit"], statuses["memory_bounds/growth"], len(report.memory["replicas"]))
"""


class TestCheckHere:
    def test_measures_a_program_under_its_strategy_and_on_one_device(self):
        assert self.check("small_program") == ["skipped", "passed", "2"]

    def test_measures_what_fit_does(self):
        assert self.check("compiled_conv_net") == ["skipped", "passed", "2"]

    def test_sees_a_step_that_keeps_memory(self):
        assert self.check("hoarding_program") == ["skipped", "failed", "2"]

    def check(self, build):
        result = run_python("if True:" + CODE.format(build=build))
        assert result.returncode == 0, result.stderr
        return result.stdout.split()
