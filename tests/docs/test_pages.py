"""README and docs, as a reader pastes them: each page's blocks run in order, in an empty folder.

Python blocks share the page's names. Of shell blocks every line must be a ``pymc-vmrp`` command.
What is not to run has the comment ``<!-- skip: next -->`` above it; other languages never run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

import pymc_vmrp as vmrp

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_RUN = {"r", "text"}
FENCE = re.compile(r"^\s*```(.*)\n(?s:.*?)^\s*```$", re.MULTILINE)
# samplers that a page runs for show alone, with few draws
SHORT = ("coming-from.md",)


def run_shell(example: Example) -> None:
    """Each line is a command of ours, carried out by this Python."""
    for line in example.parsed.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        assert words[:3] == ["uv", "run", "pymc-vmrp"], f"{example.path}: cannot run {line!r}"
        command = [sys.executable, "-m", "pymc_vmrp.cli", *words[3:]]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{example.path}: {line}\n{result.stdout}{result.stderr}"


SYBIL = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser(language="bash", evaluator=run_shell),
        SkipParser(),
    ],
    patterns=["*.md"],
)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_runs(path, tmp_path, monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    with warnings.catch_warnings():
        if path.name not in SHORT:  # what a newcomer sees first is sound
            warnings.simplefilter("error", vmrp.SamplingWarning)
        for example in SYBIL.parse(path):
            example.evaluate()
            pyplot.close("all")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_says_what_it_is(path):
    languages = {match.group(1) for match in FENCE.finditer(path.read_text())}
    assert languages <= {"python", "bash"} | NOT_RUN


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(path):
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)(?:::(test_\w+))?", path.read_text())
    for name, test in named:
        found = [base / name for base in (ROOT, ROOT / "pymc_vmrp") if (base / name).is_file()]
        assert found, name
        assert f"def {test}" in found[0].read_text(), test


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text()):
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        assert page.exists(), target
        headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in map(_anchor, headings), target


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
