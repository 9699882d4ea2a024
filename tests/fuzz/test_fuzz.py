"""A thousand inputs, sound and odd: a result, or an error in words; never a traceback, never NaN.

``python -m tests.fuzz 0 900`` shows what fails, made small. Inputs depend on their number alone.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from tests.fuzz import command_lines
from tests.fuzz.cases import make
from tests.fuzz.outcome import run

MODELS, COMMANDS, BLOCK = 800, 200, 40
QUICK = 30
EXIT_CODES = {0, 1, 2, 3}  # 2: typer's own, for options it does not know


def failures(numbers):
    """What fails among these inputs, in words."""
    outcomes = {number: run(make(number)) for number in numbers}
    return [f"{n}: {o.kind} in {o.stage}, {o.what}" for n, o in outcomes.items() if o.failed]


@pytest.mark.filterwarnings("ignore")
def test_some_inputs_end_in_words():
    found = failures(range(QUICK))
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", range(QUICK, MODELS, BLOCK))
def test_every_input_ends_in_words(first):
    found = failures(range(first, min(first + BLOCK, MODELS)))
    assert not found, "\n".join(found)


@pytest.mark.slow
def test_inputs_are_those_of_their_number():
    assert make(5) == make(5)
    assert make(5) != make(6)
    pd.testing.assert_frame_equal(make(7).frame(), make(7).frame())
    kinds = [run(make(number)).kind for number in range(40)]
    assert kinds.count("result") >= 15  # about half are sound
    assert kinds.count("error") >= 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz")
    command_lines.write_files(path)
    return path


@pytest.fixture
def command(folder, monkeypatch, capsys):
    """A function that carries out a command line here, and returns its exit code and output."""
    from pymc_vmrp import cli

    monkeypatch.chdir(folder)

    def carried_out(arguments):
        monkeypatch.setattr(sys, "argv", ["pymc-vmrp", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return code, "".join(capsys.readouterr())

    sound = ["fit", "survey.csv", "-f", "y ~ x + (1|g)", "--cells", "cells.csv", "--by", "g"]
    if not (folder / "out" / "fit.nc").exists():
        assert carried_out([*sound, "--draws", "20", "-o", "out"])[0] in (0, 3)
    return carried_out


def check_command(command, folder, number):
    """An exit code that is documented, and nothing printed raw or left that is not finite."""
    arguments = command_lines.make(number)
    with np.errstate(all="ignore"):
        code, text = command(arguments)
    assert code in EXIT_CODES, (arguments, code, text)
    assert "Traceback" not in text, (arguments, text)
    assert "\x1b[31m" not in text, (arguments, text)
    estimates = folder / "out2" / "estimates.csv"
    if code == 0 and estimates.is_file():
        assert np.isfinite(pd.read_csv(estimates)["mean"]).all(), arguments
    return code


@pytest.mark.filterwarnings("ignore")
def test_some_command_lines_end_in_words(command, folder):
    codes = {check_command(command, folder, number) for number in range(8)}
    assert codes - {0}, "none of them was odd"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", range(8, COMMANDS, BLOCK))
def test_every_command_line_ends_in_words(command, folder, first):
    for number in range(first, min(first + BLOCK, COMMANDS)):
        check_command(command, folder, number)
