"""What the README tells a newcomer to type works as written."""

import re
from pathlib import Path

from tests.process import run_python

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


def python_blocks():
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


class TestReadme:
    def test_check_your_own_model(self):
        model, check, _ = python_blocks()
        calls = [line for line in check.splitlines() if line.strip()]
        assert len(calls) <= 5, "the README promises five lines"
        result = run_python(f"{model}\n{check}")
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.startswith("OK: 2 replicas compute what one device computes")

    def test_measure_your_own_memory(self, tmp_path):
        model, _, measure = python_blocks()
        begin = f"import os\nos.chdir({str(tmp_path)!r})\nos.environ['TF_CPU_ALLOCATOR_USE_BFC'] = 'true'\n"
        result = run_python(f"{begin}{model}\n{measure}")
        assert result.returncode == 0, result.stdout + result.stderr
        assert "one step, CPU:0: " in result.stdout
        assert (tmp_path / "memory.svg").exists()

    def test_names_every_flag_of_the_main_script(self):
        source = (Path(__file__).resolve().parent.parent / "train/flags.py").read_text()
        defined = re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source)
        assert len(defined) > 15
        assert [name for name in defined if f"--{name}" not in README] == []
