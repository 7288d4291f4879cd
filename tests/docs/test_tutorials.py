"""The tutorials work as written: each change applies, each command prints what is shown, the result is verified."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.tutorial_pages import FOLDER, TUTORIALS, applied, blocks, patch_command
from tests.process import REPOSITORY, run_python, run_script_in_fork

EXAMPLES = REPOSITORY / "examples"
RESULTS = {
    "tutorial": ("single_gpu.py", "multi_gpu.py"),
    "tutorial_custom_loop": ("custom_loop.py", "multi_gpu_loop.py"),
}


def parts(name):
    return list(blocks((FOLDER / f"{name}.md").read_text()))


def told(text):
    """Without line breaks and figures, which differ from machine to machine, but for numbers of replicas and checks."""
    text = re.sub(r"runs/[\d-]+", "runs/#", " ".join(text.split()))
    return re.sub(r"(?<![\w./])-?\d[\d.e+:-]*+(?! replicas| checks| of \d+ checks)", "#", text)


def assert_shows(page, printed, command):
    """What a page shows of a command was printed, in this order; other lines, warnings above all, may stand between."""
    at = 0
    for line in page.splitlines():
        shown = told(line.strip("…"))
        found = told(printed).find(shown, at)
        assert found >= 0, f"{command}\nthe page shows\n{line}\nit prints\n{printed}"
        at = found + len(shown)


class TestDiffs:
    @pytest.mark.parametrize("name", RESULTS)
    def test_lead_from_the_first_file_to_the_last(self, name):
        first, last = RESULTS[name]
        file = (EXAMPLES / first).read_text()
        for block in parts(name):
            if block.kind == "diff":
                file = applied(block.text, file)
            elif block.kind == "diff wrong":
                assert applied(block.text, file) != file
            compile(file, last, "exec")
        assert file == (EXAMPLES / last).read_text()

    def test_one_that_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match="line 2 of the file"):
            applied("@@ -1,2 +1,2 @@\n a\n-b\n+c\n", "a\nx\n")

    def test_the_wrong_one_of_the_page_on_ci_fits_the_file(self):
        (wrong,) = (block.text for block in parts("tutorial_ci") if block.kind == "diff wrong")
        assert "GlobalMean" not in applied(wrong, (EXAMPLES / "multi_gpu.py").read_text()).split("def build")[1]


class TestResults:
    @pytest.mark.parametrize(
        "name", [pytest.param("tutorial"), pytest.param("tutorial_custom_loop", marks=pytest.mark.proof)]
    )
    def test_is_verified(self, name, tmp_path):
        result = run_script_in_fork(f"examples/{RESULTS[name][1]}", "--verify", cwd=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "OK: 2 replicas compute what one device computes" in result.stdout


@pytest.mark.proof
class TestPages:
    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("name", TUTORIALS)
    def test_commands_print_what_the_page_shows(self, name, tmp_path):
        commands, shown = session(parts(name))
        printed = run_session(commands, tmp_path)
        assert len(printed) == len(shown)
        for command, output, expected in zip(commands_of(name), printed, shown, strict=True):
            assert_shows(expected, output, command)

    def test_code_of_the_page_on_ci_runs(self, tmp_path):
        (code,) = (block.text for block in parts("tutorial_ci") if block.kind == "python")
        (tmp_path / "multi_gpu.py").write_text((EXAMPLES / "multi_gpu.py").read_text())
        result = run_python(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{code}")
        assert result.stdout == "gradient_equivalence/float64 passed\n", result.stderr


def commands_of(name):
    return [block.text for block in parts(name) if block.kind == "bash"]


def session(page):
    """A reader's session, piece by piece, and what the page shows for each command."""
    pieces, shown, wrong = [], [], ""
    changes = ""
    for block in page:
        if block.kind.startswith("diff"):
            changes += patch_command(block.text) + "\n"
            wrong = block.text if block.kind == "diff wrong" else ""
        elif block.kind == "bash":
            pieces.append(changes + f"echo {MARK}\n" + block.text + f"echo {MARK}")
            shown.append("")
            changes, wrong = patch_command(wrong, undo=True) + "\n" if wrong else "", ""
        elif block.kind == "" and shown:
            shown[-1] = block.text
    return pieces, shown


MARK = "-----a-command-begins-or-ends-----"


def run_session(pieces, folder):
    """Runs it in one shell, in a folder that looks like a clone; what each command printed, warnings included."""
    for name in ("examples", "train"):
        (folder / name).symlink_to(REPOSITORY / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-c", "\n".join(["exec 2>&1", *pieces])],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return result.stdout.split(MARK)[1::2]
