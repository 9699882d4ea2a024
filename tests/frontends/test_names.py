"""Which names a formula may use: by who wrote it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp

PAYLOADS = [
    "pd.io.common.os.system('touch {path}')",
    "pd.read_pickle('{path}')",
    "pd.eval('x')",
    "np.savetxt('{path}', x)",
    "np.save('{path}', x)",
    "np.load('{path}')",
    "np.fromfile('{path}')",
    "np.memmap('{path}')",
    "np.ctypeslib.load_library('c', '/')",
    "np.f2py.compile('x')",
    "np.lib.npyio.DataSource('{path}')",
    "np.testing.measure('x')",
    "np.vectorize(x)",
    "np.frompyfunc(x, 1, 1)",
    "np.apply_along_axis(x, 0, x)",
    "np.log.__class__(x)",
    "np.log.reduce(x)",
    "np.log.at(x, 0)",
    "x.__class__.__base__.__subclasses__()",
    "x.to_csv('{path}')",
    "x.to_pickle('{path}')",
    "os.system('touch {path}')",
    "subprocess.run('touch')",
    "eval('1')",
    "exec('1')",
    "open('{path}')",
    "getattr(x, 'values')",
    "globals()",
    "breakpoint()",
    "print(x)",
    "vmrp.Model(x)",
    "helper(x)",
    "scale.__init__(x)",
    "C(x, contrast=helper)",
    "I(helper)",
    "I(os)",
    "offset(helper)",
    "np.log(x, out=x)",
    "np.log(x, x)",
    "np.where(x > 0)",
    "I(word * 1000000000)",
    "I('a' * 1000000000)",
    "I('{0.__class__}' + word)",
]

UNREADABLE = [
    "__import__('os').system('true')",
    "().__class__",
    "I((1).__class__)",
    "'{0.__class__}'.format(x)",
    "f'{x}'",
    "I(lambda: 1)",
    "[x for x in (1, 2)]",
    "x['a']",
    "np.log(x['a'])",
    "np.log(x)(x)",
    "{x: 1}",
    "(x := 1)",
    "x if x else 1",
    "I(x); I(z)",
]


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    n = 60
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "z": rng.normal(size=n),
            "x": rng.normal(size=n),
            "k": rng.integers(1, 9, n),
            "g": rng.choice(list("abcd"), n),
            "word": rng.choice(["u", "v", "w"], n),
        }
    )


def helper(column):  # of this module: a formula that is not the user's must not see it
    raise AssertionError("a name of the calling code was used")


@pytest.mark.parametrize("environment", ["saved", "command line"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_formulas_of_others_run_no_code(payload, environment, data, tmp_path):
    path = tmp_path / "written"
    term = payload.format(path=path) if "{path}" in payload else payload
    x = data["x"].copy()
    for formula in (f"y ~ {term}", f"y ~ z + ({term}|g)", f"y ~ (1|{term})", f"y ~ s({term})"):
        with pytest.raises(vmrp.VmrpError):
            vmrp.Model(formula, data, environment=environment)
    with pytest.raises(vmrp.VmrpError):
        vmrp.Model(f"{term} ~ z", data, environment=environment)
    with pytest.raises(vmrp.VmrpError):
        vmrp.Model(f"p({term}, k) ~ z", data, "binomial", environment=environment)
    assert not path.exists()
    pd.testing.assert_series_equal(data["x"], x)


@pytest.mark.parametrize("environment", ["saved", "command line", "caller"])
@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_formula_cannot_be_read(text, environment, data):
    with pytest.raises(vmrp.VmrpError):
        vmrp.Model(f"y ~ {text}", data, environment=environment)


def test_the_refusal_names_the_call_and_the_remedy(data):
    formula = "y ~ pd.read_pickle('a') + (1|g)"
    with pytest.raises(vmrp.FormulaError, match=r"pd\.read_pickle\('a'\).*--formula"):
        vmrp.Model(formula, data, environment="saved")
    with pytest.raises(vmrp.FormulaError, match=r"pd\.read_pickle\('a'\).*column of the data"):
        vmrp.Model(formula, data, environment="command line")


def test_powers_of_large_numbers_take_neither_time_nor_memory(data):
    for environment in ("saved", "command line", "caller"):
        with pytest.raises(vmrp.VmrpError):
            vmrp.Model("y ~ I(x + 9**(9**9))", data, environment=environment)
        with pytest.raises(vmrp.VmrpError):
            vmrp.Model("y ~ poly(x, 10**9)", data, environment=environment)
        with pytest.raises(vmrp.VmrpError):
            vmrp.Model("y ~ bs(x, df=10**9)", data, environment=environment)


ALLOWED = [
    "scale(x)",
    "center(x) + standardize(z)",
    "poly(x, 2)",
    "bs(x, df=4)",
    "C(k)",
    "C(word, Sum)",
    "C(word, Treatment('v'))",
    "T(word, 'v')",
    "I(x**2 + 3*z)",
    "{x - z}",
    "np.log(k)",
    "np.where(x > 0, x, 0)",
    "np.clip(x, -1, 1)",
    "np.maximum(x, z)",
    "log(k) + sqrt(k)",
    "x + offset(np.log(k))",
    "scale(np.log(k))",
    "s(np.log(k), k=4)",
    "(1|C(k))",
    "I(word == 'u')",
]


@pytest.mark.parametrize("term", ALLOWED)
def test_the_transformations_of_formulas_mean_the_same_for_all(term, data):
    designs = [
        vmrp.Model(f"y ~ {term} + (1|g)", data, environment=environment).glmm.common.columns
        for environment in ("saved", "command line", "caller")
    ]
    for other in designs[1:]:
        np.testing.assert_array_equal(designs[0], other)


def test_an_unknown_environment(data):
    with pytest.raises(vmrp.VmrpError, match="environment='mine'"):
        vmrp.Model("y ~ x", data, environment="mine")


def test_the_users_own_names_go_before_the_short_ones_of_numpy(data):
    def log(column):
        return 2 * column

    model = vmrp.Model("y ~ log(x)", data)
    np.testing.assert_allclose(np.sort(model.glmm.common.columns[:, 0]), np.sort(2 * data["x"]))


def test_what_the_users_code_does_later_changes_no_model(data):
    knots = [-0.5, 0.5]
    model = vmrp.Model("y ~ bs(x, knots=knots)", data)
    before = model.encoder.encode(model.encoder.prepare(data, "data"), [], "data").common
    fitted = copy.deepcopy(model)
    knots[0] = 100.0
    knots = None
    after = fitted.encoder.encode(fitted.encoder.prepare(data, "data"), [], "data").common
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("hsgp(x, m=10, c=2)", r"s\(x\)"),
        ("mo(k)", r"rw\(x\)"),
        ("te(x, z)", "several predictors"),
        ("nosuch(x)", "define or import"),
    ],
)
def test_functions_that_are_not_here(name, remedy, data):
    with pytest.raises(vmrp.FormulaError, match=remedy):
        vmrp.Model(f"y ~ {name}", data)


def test_bambi_changes_no_formula(data):
    pytest.importorskip("bambi")
    with pytest.raises(vmrp.FormulaError, match="Gaussian process"):
        vmrp.Model("y ~ hsgp(x, m=10, c=2)", data)


def test_no_registered_transformation_changes_a_formula(data, monkeypatch):
    from formulae import config, transforms

    def wrong(*args):
        raise AssertionError

    before = vmrp.Model("y ~ scale(x) + log(k) + C(word)", data)
    for name in (*transforms.TRANSFORMS, "log", "nosuch"):
        monkeypatch.setitem(transforms.TRANSFORMS, name, wrong)
    after = vmrp.Model("y ~ scale(x) + log(k) + C(word)", data)
    np.testing.assert_array_equal(before.glmm.common.columns, after.glmm.common.columns)
    with pytest.raises(vmrp.FormulaError, match="nosuch"):
        vmrp.Model("y ~ nosuch(x)", data)
    monkeypatch.setattr(config, "EVAL_UNSEEN_CATEGORIES", "silent")
    new = data.head(1).assign(word="never seen")
    with pytest.raises(vmrp.DataError, match=r"C\(word\).*never seen"):
        after.encoder.encode(after.encoder.prepare(new, "new"), [], "new")


@pytest.mark.parametrize("term", ["scale(x)", "np.log(k)", "(poly(x, 2)|g)", "(1|C(k))", "C(k)"])
def test_models_with_calls_are_pickled_and_copied(term, data):
    model = vmrp.Model(f"y ~ {term} + (1|word)", data)
    new = data.tail(7)
    expected = _design(model, new)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        for a, b in zip(expected, _design(other, new), strict=True):
            np.testing.assert_array_equal(a, b)


def _design(model, new):
    frame = model.encoder.prepare(new, "new")
    rows = model.encoder.encode(frame, model.encoder.unseen_levels(frame), "new")
    return (rows.common, *rows.codes, *rows.values)
