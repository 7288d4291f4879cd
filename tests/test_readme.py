"""What the README tells a newcomer to type works as written."""

import re
from pathlib import Path

from tests.process import run_python

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


class TestReadme:
    def test_check_your_own_model(self):
        blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
        assert len(blocks) == 2
        calls = [line for line in blocks[1].splitlines() if line.strip()]
        assert len(calls) <= 5, "the README promises five lines"
        result = run_python("\n".join(blocks))
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.startswith("OK: 2 replicas compute what one device computes")

    def test_names_every_flag_of_the_main_script(self):
        source = (Path(__file__).resolve().parent.parent / "train/flags.py").read_text()
        defined = re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source)
        assert len(defined) > 15
        assert [name for name in defined if f"--{name}" not in README] == []

    def test_lists_files_that_exist_and_no_module_is_missing(self):
        tree = README.split("## Files")[1]
        root = Path(__file__).resolve().parent.parent
        modules = [
            path for folder in ("train", "distribute", "models", "configs") for path in (root / folder).glob("*.py")
        ]
        missing = [path.name for path in modules if path.name != "__init__.py" and path.name not in tree]
        assert missing == []
