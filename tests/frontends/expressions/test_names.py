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


LETTERS = [f"a{i}" for i in range(30)]


@pytest.mark.parametrize(
    "text",
    [
        "I(x + 9**(9**9))",
        "I(x * 9**9**9**9**9**9)",
        "poly(x, 10**9)",
        "poly(x, 59)",
        "bs(x, df=10**9)",
        "bs(x, df=5, degree=10**9)",
        "s(x, k=1000000000)",
        "*".join(LETTERS),
        "(" + "+".join(LETTERS) + ")**15",
        "(" + "*".join(LETTERS) + "|g)",
        "(1|" + "*".join(LETTERS) + ")",
        "(" * 3000 + "x" + ")" * 3000,
        "I(" * 3000 + "x" + ")" * 3000,
        "1" * 6000,
        "x" + "+x:z" * 3000 + "`",
    ],
    ids=range(15),
)
@pytest.mark.parametrize("environment", ["saved", "command line", "caller"])
def test_large_numbers_take_neither_time_nor_memory(text, environment, data):
    with pytest.raises(vmrp.VmrpError):
        vmrp.Model(f"y ~ {text}", data, environment=environment)


def test_powers_of_sums(data):
    design = vmrp.Model("y ~ (x + z)**1 + g", data).glmm.common
    assert [term.name for term in design.terms] == ["x", "z", "g"]
    design = vmrp.Model("y ~ (x + z + k)**3", data).glmm.common
    assert len(design.terms) == 7
    assert len(vmrp.Model("y ~ I(x**2**2) + I(2**3 * z)", data).glmm.common.terms) == 2


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
    "numpy.log(k)",
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


def double(column):
    return 2 * column


def test_models_go_through_joblib_and_cloudpickle(data, tmp_path):
    joblib = pytest.importorskip("joblib")
    cloudpickle = pytest.importorskip("cloudpickle")

    def local(column):
        return 3 * column

    model = vmrp.Model("y ~ double(x) + (scale(z)|g)", data)
    joblib.dump(model, tmp_path / "model")
    closure = vmrp.Model("y ~ local(x) + (scale(z)|g)", data)
    for one, other in (
        (model, joblib.load(tmp_path / "model")),
        (closure, cloudpickle.loads(cloudpickle.dumps(closure))),
    ):
        for a, b in zip(_design(one, data.tail(3)), _design(other, data.tail(3)), strict=True):
            np.testing.assert_array_equal(a, b)
    idata = model.fit(10, random_seed=1, hyperparameters="mean_field")
    copied = pickle.loads(pickle.dumps(model))
    again = copied.fit(10, random_seed=1, hyperparameters="mean_field")
    np.testing.assert_array_equal(idata["posterior"]["1|g"], again["posterior"]["1|g"])
    np.testing.assert_allclose(
        copied.predict(idata, data=data.head(2), inplace=False)["posterior"]["p"],
        model.predict(idata, data=data.head(2), inplace=False)["posterior"]["p"],
    )


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ x - nosuch", "'nosuch' is subtracted"),
        ("y ~ x + z - x - x", "'x' is subtracted"),
        ("y ~ (x - z|g)", "'z' is subtracted"),
        ("y ~ (x + z)**1.5", r"whole number.*I\(\(x \+ z\)\*\*1.5\)"),
        ("y ~ (x + z)**k", "whole number"),
        ("y ~ `x\x00`", "no file can store"),
        ("y ~ `\ud800`", "no file can store"),
        ("c(y, z) ~ x", "one response"),
        ("nosuch(y) ~ x", "define or import"),
    ],
)
def test_formulas_that_say_what_cannot_be(formula, message, data):
    with pytest.raises(vmrp.FormulaError, match=message):
        vmrp.Model(formula, data, "gaussian")


@pytest.mark.parametrize(("name", "family"), [("p", "bernoulli"), ("mu", "gaussian")])
def test_names_of_predictions_are_taken(name, family, data):
    renamed = data.rename(columns={"x": name})
    response = "y" if family == "bernoulli" else "z"
    for term in (name, f"{name} + (1|g)"):
        with pytest.raises(vmrp.FormulaError, match=rf"'{name}'.*rename"):
            vmrp.Model(f"{response} ~ {term}", renamed, family)
    other = "gaussian" if family == "bernoulli" else "bernoulli"
    model = vmrp.Model(f"{'z' if other == 'gaussian' else 'y'} ~ {name}", renamed, other)
    model.predict(model.fit(5, random_seed=1))


def test_responses_that_are_computed(data):
    model = vmrp.Model("log(k) ~ x", data, "gaussian")
    assert model.observations.name == "log(k)"
    np.testing.assert_allclose(model.observations.rows.y, np.log(data["k"]))


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("word['u'] ~ s(x, k=4) + rw(k) + (1|mm(g, h))", "bernoulli"),
        ("y ~ (x|mm(g, h, weights=cbind(k, n))) + offset(0.1 * z)", "bernoulli"),
        ("p(k, n) ~ s(x, k=4, by=g) + (scale(x)||g/h)", "binomial"),
        ("se(z, n) ~ scale(np.log(k)) + offset(np.where(x > 0, 1.0, 0.0))", "gaussian"),
        ("scale(z) ~ poly(x, 2)*g - poly(x, 2):g", "gaussian"),
    ],
)
@pytest.mark.parametrize("environment", ["saved", "command line"])
def test_whole_formulas_of_others(formula, family, environment, data):
    data = data.assign(n=10, h=data["g"].iloc[::-1].to_numpy())
    model = vmrp.Model(formula, data, family, environment=environment)
    own = vmrp.Model(formula, data, family)
    np.testing.assert_array_equal(model.glmm.common.columns, own.glmm.common.columns)
    for a, b in zip(_design(model, data.tail(3)), _design(own, data.tail(3)), strict=True):
        np.testing.assert_array_equal(a, b)
