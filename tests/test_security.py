"""What comes from files is data: hostile results, tables and names are refused or shown as text."""

from __future__ import annotations

import contextlib
import gzip
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pymc_vmrp as vmrp
from pymc_vmrp.files import read_table, read_tree
from pymc_vmrp.files import tables as tables_module
from tests.cli.runner import run

h5py = pytest.importorskip("h5py")

ROWS = 60


def survey(levels, column="g"):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.integers(0, 2, ROWS), "x": rng.normal(size=ROWS)})
    frame[column] = np.resize(np.array(levels, dtype=object), ROWS)
    return frame


def write(folder, levels=("a", "b", "c"), column="g"):
    frame = survey(levels, column)
    frame.to_csv(folder / "s.csv", index=False)
    frame.assign(n=2).drop(columns="y").to_csv(folder / "c.csv", index=False)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("security")
    write(folder)
    run("fit", "s.csv", "-f", "y ~ x", "-o", "good", folder=folder)
    return folder


@pytest.fixture
def folder(fitted, tmp_path):
    for name in ("s.csv", "c.csv", "good/fit.nc"):
        shutil.copy(fitted / name, tmp_path / Path(name).name)
    return tmp_path


class Canary:
    """What a pickle runs when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


FORMULAS = [
    "y ~ pd.io.common.os.system('touch CANARY')",
    "y ~ pd.read_pickle('evil.pkl')",
    "y ~ np.savetxt('CANARY', x)",
    "y ~ np.load('evil.npy', allow_pickle=True)",
    "y ~ np.asarray(x).tofile('CANARY')",
    "y ~ x.to_csv('CANARY')",
    "y ~ __import__('os').system('touch CANARY')",
    'y ~ eval(\'open("CANARY", "w")\')',
    'y ~ exec(\'open("CANARY", "w")\')',
    "y ~ open('CANARY', 'w')",
    "y ~ sys.modules['os'].system('touch CANARY')",
    "y ~ Path('CANARY').touch()",
    "y ~ I(pd.io.common.os.system('touch CANARY'))",
    "y ~ {np.savetxt('CANARY', x)}",
    "y ~ scale(np.savetxt('CANARY', x))",
    "y ~ np.log(x, out=np.memmap('CANARY', dtype=float, mode='w+', shape=60))",
    "y ~ x + offset(np.savetxt('CANARY', x))",
    "y ~ x + (1|np.savetxt('CANARY', x))",
    "y ~ x + (np.savetxt('CANARY', x)|g)",
    "y ~ s(np.savetxt('CANARY', x))",
    "y ~ rw(np.savetxt('CANARY', x))",
    "y ~ (1|mm(np.savetxt('CANARY', x), g))",
    "np.savetxt('CANARY', x) ~ x",
    "p(np.savetxt('CANARY', x), x) ~ x",
    "y ~ read_table('CANARY')",
    "y ~ I(().__class__.__base__.__subclasses__())",
    "y ~ x + C(g, levels=np.savetxt('CANARY', x))",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("typed", [False, True])
def test_no_formula_runs_code(folder, formula, typed):
    for name in ("evil.pkl", "evil.npy"):
        evil = pickle.dumps(Canary(folder / "CANARY"))
        (folder / name).write_bytes(evil)
    if typed:
        ended = run("fit", "s.csv", "-f", formula, "-o", "out", folder=folder, code=None)
    else:
        with h5py.File(folder / "fit.nc", "r+") as file:
            file.attrs["formula"] = formula
        arguments = ("poststratify", "fit.nc", "s.csv", "c.csv", "-o", "out")
        ended = run(*arguments, folder=folder, code=None)
    assert ended.code == 1
    assert not (folder / "CANARY").exists()
    assert not (folder / "out").exists()
    assert ended.err.startswith("Error: ")
    assert "Traceback" not in ended.err


def test_a_formula_from_a_file_is_refused_with_the_remedy(folder):
    with h5py.File(folder / "fit.nc", "r+") as file:
        file.attrs["formula"] = "y ~ np.savetxt('CANARY', x)"
    ended = run("poststratify", "fit.nc", "s.csv", "c.csv", folder=folder, code=1)
    assert "--formula" in ended.err


def test_formulas_from_files_still_transform(folder):
    formula = "y ~ scale(x) + np.log(I(x**2) + 1)"
    run("fit", "s.csv", "-f", formula, "-o", "a", folder=folder)
    run("poststratify", "a/fit.nc", "s.csv", "c.csv", "--by", "g", "-o", "b", folder=folder)
    assert len(pd.read_csv(folder / "b" / "estimates.csv")) == 3


def _external(file):
    file["posterior"].create_dataset("more", (8,), "u1", external=[("/etc/passwd", 0, 8)])


def _virtual(file):
    layout = h5py.VirtualLayout((8,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "d", (8,))
    file["posterior"].create_virtual_dataset("more", layout)


def _deep(file):
    for _ in range(200):
        file = file.create_group("g")


def _filter(file):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((8,))
    plan.set_filter(32_000 + 999, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((8,))
    h5py.h5d.create(file["posterior"].id, b"more", h5py.h5t.NATIVE_DOUBLE, space, plan)


def _text_posterior(file):
    del file["posterior/x"]
    file["posterior"].create_dataset("x", data=np.array([b"a"] * 1000).reshape(1, 1000))


HOSTILE = {
    "a link to another file": lambda f: f["posterior"].__setitem__(
        "more", h5py.ExternalLink("/etc/passwd", "/")
    ),
    "a soft link": lambda f: f.__setitem__("more", h5py.SoftLink("/posterior")),
    "a group in itself": lambda f: f["posterior"].__setitem__("more", f["/"]),
    "groups without end": _deep,
    "values in another file": _external,
    "a virtual array": _virtual,
    "terabytes of nothing": lambda f: f["posterior"].create_dataset(
        "more", (2**41,), "f8", chunks=(2**16,)
    ),
    "a pickle": lambda f: f["posterior"].create_dataset("more", data=np.void(b"\x80\x04junk")),
    "references": lambda f: f["posterior"].create_dataset("more", (3,), h5py.ref_dtype),
    "a filter from a plugin": _filter,
    "text for draws": _text_posterior,
    "no posterior": lambda f: f.__delitem__("posterior"),
    "a number for a formula": lambda f: f.attrs.__setitem__("formula", 3.5),
    "numbers for a family": lambda f: f.attrs.__setitem__("family", [1, 2]),
    "code for a family": lambda f: f.attrs.__setitem__("family", "__import__('os')"),
    "no family": lambda f: f.attrs.__delitem__("family"),
    "code for a link": lambda f: f.attrs.__setitem__("link", "np.exp"),
    "a path for weights": lambda f: f.attrs.__setitem__("weights", "../../etc/passwd"),
    "an order that is no order": lambda f: f.attrs.__setitem__("level_order", "[[[" * 9999),
    "an order of other levels": lambda f: f.attrs.__setitem__("level_order", '{"g": ["z"]}'),
    "the far future": lambda f: f["posterior/x"].attrs.__setitem__("units", "days since 9e9-1-1"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_results_are_refused(folder, what):
    with h5py.File(folder / "fit.nc", "r+") as file:
        HOSTILE[what](file)
    arguments = ("poststratify", "fit.nc", "s.csv", "c.csv", "-o", "out")
    ended = run(*arguments, folder=folder, code=1)
    assert ended.err.startswith("Error: ")
    assert ended.err.count("\n") == 1
    assert not (folder / "out").exists()


def test_one_string_many_times_is_refused(folder):
    path = folder / "fit.nc"
    with h5py.File(path, "r+") as file:
        file.create_dataset("long", data=["x" * 1_000_000], dtype=h5py.string_dtype())
        # contiguous and written once, so that its references have a place in the file
        file.create_dataset("many", data=["y"] * 10_000, dtype=h5py.string_dtype())
        file.flush()
        one, many = file["long"].id.get_offset(), file["many"].id.get_offset()
        size = file["long"].id.get_storage_size()
    content = bytearray(path.read_bytes())
    content[many : many + size * 10_000] = content[one : one + size] * 10_000
    path.write_bytes(content)
    with pytest.raises(vmrp.DataError, match="more text than the file"):
        read_tree(path)


def test_results_with_text_in_them_are_read(tmp_path):
    labels = [f"level {i}" for i in range(2000)]
    dataset = xr.Dataset(
        {"u": (("chain", "draw", "g"), np.zeros((1, 2, 2000)))},
        coords={"g": labels, "note": "one string"},
    )
    xr.DataTree.from_dict({"posterior": dataset}).to_netcdf(tmp_path / "t.nc", engine="h5netcdf")
    assert read_tree(tmp_path / "t.nc")["posterior"]["g"].to_numpy().tolist() == labels


def test_damaged_bytes_never_end_in_a_traceback(folder):
    content = (folder / "fit.nc").read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(20):
        damaged = bytearray(content)
        for i in rng.integers(0, len(content), 60):
            damaged[i] ^= int(rng.integers(1, 256))
        (folder / "bad.nc").write_bytes(damaged)
        with contextlib.suppress(vmrp.DataError):  # and nothing else
            read_tree(folder / "bad.nc")


def test_tables_that_unpack_to_more_than_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables_module, "physical_memory", lambda: 2e6)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"y,x\n" + b"0,1\n" * 10**6))
    pd.DataFrame({"y": np.zeros(10**6, dtype=int)}).to_parquet(tmp_path / "bomb.parquet")
    for name in ("bomb.csv.gz", "bomb.parquet"):
        with pytest.raises(vmrp.DataError, match="does not fit into memory"):
            read_table(tmp_path / name)


NAMES = [
    "[/]",
    "[missing]",
    "[red]x[/red]",
    "[link=file:///etc/passwd]x[/link]",
    ":b:",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2066a\u2069",
    "over\rwritten",
    "two\nlines",
    "\u2028",
    "\x08\x08\x08",
    "\x7f",
    "$\\frac{$",
    "{0} %s {x.__class__}",
    "=cmd|' /C calc'!A0",
    "+1-1",
    "@SUM(A1)",
    "\\input{/etc/passwd}",
    "  ",
]


def harmless(text):
    return all(c.isprintable() or c == "\n" for c in text)


def test_hostile_levels_are_shown_as_they_are(tmp_path):
    write(tmp_path, NAMES)
    arguments = ("--cells", "c.csv", "--by", "g", "-o", "[red]out[/red]")
    ended = run("fit", "s.csv", "-f", "y ~ x", *arguments, folder=tmp_path)
    assert harmless(ended.out)
    assert harmless(ended.err)
    for shown in ("[/]", "[missing]", "[red]x[/red]", ":b:", "\\x1b[31mred\\x1b[0m", "\\u202egnp"):
        assert shown in ended.out
    assert "Wrote to" in ended.out
    assert "[red]out[/red]" in ended.out
    table = pd.read_csv(tmp_path / "[red]out[/red]" / "estimates.csv")
    assert set(NAMES) <= set(table["g"])
    assert (tmp_path / "[red]out[/red]" / "estimates.png").stat().st_size > 10_000


@pytest.mark.slow
def test_hostile_levels_of_a_grouping_factor(tmp_path):
    write(tmp_path, NAMES)
    arguments = ("--cells", "c.csv", "--by", "g", "-o", "out")
    ended = run("fit", "s.csv", "-f", "y ~ (1|g)", *arguments, folder=tmp_path, code=None)
    assert ended.code in (0, 3)
    assert harmless(ended.out + ended.err)


COLUMNS = ["[red]x", ":b:", "\x1b[31m", "\u202ex", "$\\frac{$", "{0} %s"]


@pytest.mark.parametrize("name", COLUMNS)
def test_hostile_column_names_and_files(tmp_path, name):
    write(tmp_path, column=name)
    ended = run(
        "fit", "s.csv", "-f", "y ~ x", "--cells", "c.csv", "--by", name, "-o", "o", folder=tmp_path
    )
    assert harmless(ended.out + ended.err)
    for arguments in (
        ("fit", f"{name}.csv", "-f", "y ~ x"),
        ("fit", "s.csv", "-f", f"y ~ {name}"),
        ("fit", "s.csv", "-f", "y ~ x", "--cells", "c.csv", "--weights", f"{name}!"),
        ("fit", "s.csv", "-f", "y ~ x", f"--{name}"),
        ("fit", "s.csv", "-f", "y ~ x", "--seed", name),
        ("fit", "s.csv", "-f", "y ~ x", "--family", name),
        (name,),
    ):
        ended = run(*arguments, folder=tmp_path, code=None)
        assert ended.code in (1, 2)
        assert ended.err.startswith("Error: ")
        assert harmless(ended.err)


def test_messages_of_the_library_obey_no_escape_code():
    with pytest.raises(vmrp.DataError) as caught:
        raise vmrp.DataError("a \x1b[31m level \u202e of\nthe data")
    assert str(caught.value) == "a \\x1b[31m level \\u202e of\nthe data"
    assert harmless(str(vmrp.ConvergenceWarning("\x1b[31m")))


def test_spreadsheets_run_nothing_on_request(tmp_path):
    levels = ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\tx", "plain", "a=b"]
    write(tmp_path, levels, column="=g")
    arguments = ("--cells", "c.csv", "--by", "=g", "-o", "o")
    run("fit", "s.csv", "-f", "y ~ x", *arguments, folder=tmp_path)
    assert set(pd.read_csv(tmp_path / "o" / "estimates.csv")["=g"]) == set(levels)
    run("fit", "s.csv", "-f", "y ~ x", *arguments, "--spreadsheet-safe", folder=tmp_path)
    table = pd.read_csv(tmp_path / "o" / "estimates.csv")
    expected = {level if level in ("plain", "a=b") else f"'{level}" for level in levels}
    assert set(table["'=g"]) == expected
    assert table["mean"].dtype == float
