"""Every command that a page names exists, with every flag it is given; every Python block of a page runs."""

import functools
import io
import re
import shlex
import subprocess
from contextlib import redirect_stdout

import pytest

from tests.process import REPOSITORY, run_script

PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
# Written by scripts from programs that tests of their own run.
WRITTEN = {"causes.md", "cases.md", "remedies.md"}
# Shell blocks for machines that this one is not.
ELSEWHERE = ("gpu", "slurm", "kubernetes")


def code_of(page):
    """Fenced blocks, lines of indented blocks, and what stands in backquotes, which may go over the end of a line."""
    text = page.read_text()
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^ {4,}(.*)$", text, re.MULTILINE)
    return [*(line for block in fenced for line in block.splitlines()), *indented, *re.findall(r"`([^`]+)`", text)]


def commands_of(page):
    """Pairs of a script or module, and its arguments."""
    for code in code_of(page):
        for program, rest in re.findall(r"\bpython (?:…/)?(train/\w+\.py|-m [\w.]+)(.*)", code, re.DOTALL):
            yield program, " ".join(rest.partition("  #")[0].split())


COMMANDS = sorted({(page.name, *command) for page in PAGES for command in commands_of(page)})


@functools.cache
def flags_of(program):
    """The names of all flags that a script or a module of this repository defines."""
    if program.startswith("train/"):
        help_text = run_script(program, "--helpfull").stdout
        return set(re.findall(r"^\s+(?:-\w,)?--(?:\[no\])?(\w+)", help_text, re.MULTILINE))
    module = REPOSITORY / (program.removeprefix("-m ").replace(".", "/") + ".py")
    text = module.read_text() if module.exists() else (module.with_suffix("") / "__main__.py").read_text()
    return set(re.findall(r'"--(\w+)"', text))


class TestCommands:
    def test_many_are_found(self):
        assert len(COMMANDS) > 30
        assert any("scaling.py" in program for _, program, _ in COMMANDS)

    @pytest.mark.parametrize(("page", "program", "arguments"), COMMANDS)
    def test_exists_with_its_flags(self, page, program, arguments):
        if program.startswith("-m pytest"):
            return
        given = set(re.findall(r"(?:^|\s)--(\w+)", arguments))
        if program.startswith("-m train."):
            program = program.removeprefix("-m ").replace(".", "/") + ".py"
        if program == "-m benchmarks.phases":  # the others are those of train/main.py
            given -= flags_of("train/main.py")
        unknown = {name for name in given if not {name, name.removeprefix("no")} & flags_of(program)}
        assert not unknown, f"{page}: {program} has no {unknown}"

    @pytest.mark.parametrize("kind", ELSEWHERE)
    def test_blocks_for_other_machines_are_shell(self, kind):
        blocks = [
            block
            for page in PAGES
            for block in re.findall(rf"^ *```{kind}\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
        ]
        for block in blocks:
            result = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
            assert result.returncode == 0, result.stderr
            assert all(shlex.split(line) for line in block.splitlines() if line.strip())

    def test_make_has_every_target_that_is_named(self):
        targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
        named = {
            name for page in PAGES for code in code_of(page) for name in re.findall(r"^(?:\s*)make ([a-z-]+)", code)
        }
        assert named <= targets


class TestPython:
    def test_of_the_mathematics_prints_what_stands_below(self):
        text = (REPOSITORY / "docs/equivalence.md").read_text()
        blocks = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.DOTALL)
        assert blocks
        for code, output in blocks:
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(code, {})
            assert printed.getvalue() == output
