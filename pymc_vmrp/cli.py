"""The command line: demo, fit, poststratify, compare."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from pymc_vmrp.errors import DataError, VmrpError
from pymc_vmrp.files import atomic_write, read_table, read_tree
from pymc_vmrp.frontends.checks import check_columns
from pymc_vmrp.model import INFERENCE_METHODS, Model

if TYPE_CHECKING:
    import xarray as xr

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Multilevel regression and poststratification in seconds, checked by NUTS. "
    "Start with [bold]pymc-vmrp demo[/bold].",
)
_CAUTION = (
    "The sds of _sigma and _corr, and of effects of factors with few levels, are too small under "
    "mean-field CAVI: use NUTS or Gibbs for them (docs/inference.md)."
)
_READING = (
    "Shift is in posterior sds of NUTS; 0, and ratios of 1, are agreement. Two equal samples reach "
    "an overlap of about 0.96."
)

console = Console()
errors = Console(stderr=True)

_SURVEY = Annotated[Path, typer.Argument(help="Survey: CSV (also .gz), TSV or Parquet file.")]
_CELLS = Annotated[
    Path | None, typer.Option("--cells", help="Population cells, one row per cell, with counts.")
]
_BY = Annotated[
    list[str] | None,
    typer.Option("--by", help="Column of the cells to estimate by; repeat it for several."),
]
_WEIGHTS = Annotated[str, typer.Option(help="Column of the cells that holds population counts.")]
_JOIN = Annotated[
    list[Path] | None,
    typer.Option(
        "--join",
        help="Table merged onto survey and cells by the columns they share, such as one row per "
        "state with its predictors; repeat it for several.",
    ),
]
_OUT = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
_SEED = Annotated[int, typer.Option("--seed", help="Seed of all random numbers.")]
_DRAWS = Annotated[int, typer.Option(min=1, help="Posterior draws (per chain).")]


def main() -> None:
    """Run the command line; errors of the package end in one message and exit code 1."""
    warnings.showwarning = _show_warning
    try:
        app()
    except (VmrpError, OSError) as error:  # a file that cannot be read or written, too
        errors.print("Error:", style="bold red", end=" ")
        errors.print(str(error), markup=False, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("Interrupted.", style="bold red")
        sys.exit(130)


def _show_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning):
        errors.print("Warning:", style="yellow", end=" ")
        errors.print(str(message), markup=False, highlight=False)


@app.command()
def demo(
    out: _OUT = Path("vmrp-demo"),
    n: Annotated[int, typer.Option(min=50, help="Respondents to simulate.")] = 5000,
    nuts_n: Annotated[
        int, typer.Option(min=0, help="Respondents in the NUTS refit (0: no refit).")
    ] = 1000,
    seed: _SEED = 2018,
) -> None:
    """Simulate a survey and its population, fit, poststratify, refit by NUTS, and compare.

    Writes the fit (NetCDF), the state estimates (CSV) and two pictures (PNG).
    """
    from pymc_vmrp.simulation import simulate

    simulation = simulate(n=n, random_seed=seed)
    console.print(
        f"Simulated {n:,} respondents of a population in {len(simulation.cells):,} cells."
    )
    truth = simulation.truth.set_index("state")["truth"]
    _run(
        simulation.survey,
        _Specification(simulation.formula),
        cells=simulation.cells,
        by=["state"],
        out=out,
        seed=seed,
        nuts_rows=nuts_n,
        diagnose=True,
        truth=truth,
    )


@app.command()
def fit(
    survey: _SURVEY,
    formula: Annotated[
        str, typer.Option("--formula", "-f", help="Such as 'y ~ male + (1|state) + (1|age)'.")
    ],
    family: Annotated[
        str,
        typer.Option(
            help="bernoulli for a 0/1 response, binomial for p(successes, trials), gaussian, "
            "poisson, negativebinomial, gamma, t, beta_binomial."
        ),
    ] = "bernoulli",
    link: Annotated[str | None, typer.Option(help="logit, probit or cloglog.")] = None,
    survey_weights: Annotated[
        str | None, typer.Option(help="Column of the survey with weights of its rows.")
    ] = None,
    cells: _CELLS = None,
    by: _BY = None,
    weights: _WEIGHTS = "n",
    join: _JOIN = None,
    method: Annotated[
        str, typer.Option(help=f"Inference method: {', '.join(INFERENCE_METHODS)}.")
    ] = "cavi",
    nuts_rows: Annotated[
        int,
        typer.Option(
            min=0, help="Refit by NUTS on this many random rows and compare (0: no refit)."
        ),
    ] = 0,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Check whether the fit can be trusted.")
    ] = False,
    dropna: Annotated[
        bool, typer.Option("--dropna", help="Leave out rows with missing values, and say how many.")
    ] = False,
    draws: _DRAWS = 1000,
    seed: _SEED = 1,
    out: _OUT = Path("vmrp-fit"),
) -> None:
    """Fit a survey and, given population cells, poststratify it.

    Example: pymc-vmrp fit survey.csv -f 'y ~ male + (1|state)' --cells census.csv --by state
    """
    if by and cells is None:
        raise DataError("--by needs --cells: the population to estimate for.")
    tables = [read_table(path) for path in join or []]
    frame = _join(read_table(survey), tables, join or [], "the survey")
    cell_frame = None if cells is None else _join(read_table(cells), tables, join or [], "cells")
    _run(
        frame,
        _Specification(formula, family, link, survey_weights, dropna),
        cells=cell_frame,
        by=by,
        weights=weights,
        out=out,
        seed=seed,
        draws=draws,
        method=method,
        nuts_rows=nuts_rows,
        diagnose=diagnose,
    )


@app.command()
def poststratify(
    fitted: Annotated[Path, typer.Argument(help="fit.nc, as written by 'pymc-vmrp fit'.")],
    survey: _SURVEY,
    cells: Annotated[Path, typer.Argument(help="Population cells, one row per cell.")],
    by: _BY = None,
    weights: _WEIGHTS = "n",
    join: _JOIN = None,
    dropna: Annotated[bool, typer.Option("--dropna", help="As it was given to 'fit'.")] = False,
    seed: _SEED = 1,
    out: _OUT = Path("vmrp-estimates"),
) -> None:
    """Poststratify a saved fit, for example by other columns than before.

    The survey is read again to rebuild the model's design; its formula is in the fit.
    """
    tree = read_tree(fitted)
    if "formula" not in tree.attrs:
        raise DataError(f"{fitted} does not say its formula: it was not written by this package.")
    tables = [read_table(path) for path in join or []]
    frame = _join(read_table(survey), tables, join or [], "the survey")
    model = _specification_of(tree, dropna).model(frame)
    cell_frame = _join(read_table(cells), tables, join or [], "cells")
    written = _Written(out)
    columns = list(by or [])
    _estimate(model, tree, frame, cell_frame, columns, weights, seed, written)
    written.report()


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="A fit or estimates (NetCDF).")],
    b: Annotated[Path, typer.Argument(help="Another of the same model, usually by NUTS.")],
    csv: Annotated[Path | None, typer.Option(help="Also write the whole table to a file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw it, to a PNG file.")] = None,
) -> None:
    """Compare two results: shift of means, ratio of sds and interval widths, overlap."""
    from pymc_vmrp.plots import draw_comparison
    from pymc_vmrp.results.compare import compare as compare_trees

    table = compare_trees(read_tree(a), read_tree(b))
    labels = (a.stem, b.stem) if a.stem != b.stem else (str(a.parent), str(b.parent))
    _print_comparison(table, f"{labels[0]} against {labels[1]}")
    if csv is not None:
        _write_csv(table.reset_index(), csv)
    if plot is not None:
        _write_figure(draw_comparison(table, labels), plot)


# --- steps ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Specification:
    """What a model is, besides its data; see :class:`pymc_vmrp.Model`."""

    formula: str
    family: str = "bernoulli"
    link: str | None = None
    weights: str | None = None
    dropna: bool = False

    def model(self, survey: pd.DataFrame) -> Model:
        return Model(
            self.formula,
            survey,
            family=self.family,
            dropna=self.dropna,
            link=self.link,
            weights=self.weights,
        )


def _specification_of(tree: xr.DataTree, dropna: bool) -> _Specification:
    """What a saved fit says of its model."""
    attrs = tree.attrs
    return _Specification(
        attrs["formula"], attrs["family"], attrs.get("link"), attrs.get("weights"), dropna
    )


def _run(
    survey: pd.DataFrame,
    specification: _Specification,
    *,
    cells: pd.DataFrame | None,
    by: Sequence[str] | None,
    out: Path,
    seed: int,
    weights: str = "n",
    draws: int = 1000,
    method: str = "cavi",
    nuts_rows: int = 0,
    diagnose: bool = False,
    truth: pd.Series | None = None,
) -> None:
    model = specification.model(survey)
    console.print(str(model), markup=False, highlight=False)
    columns = list(by or [])
    if cells is not None:  # before the fit, which may take long
        check_columns(cells, [*columns, weights], "cells")
        model.encoder.prepare(cells, "cells")
    written = _Written(out)
    start = time.perf_counter()
    tree = model.fit(
        draws,
        inference_method=method,
        random_seed=seed,
        progressbar=None if console.is_terminal else False,
    )
    seconds = time.perf_counter() - start
    console.print(f"Fitted by {method} in {seconds:.1f} s{_convergence(tree)}.")
    written.tree(tree, "fit.nc")
    if cells is None:
        _print_common(tree)
        if _is_mean_field(tree):
            console.print(_CAUTION)
    else:
        table = _estimate(model, tree, survey, cells, columns, weights, seed, written, truth)
    if diagnose:
        _diagnose(model, tree, seed, written)
    if nuts_rows:
        _refit(survey, specification, cells, columns, weights, seed, written, nuts_rows)
    if truth is not None:
        _print_errors(table)
    written.report()
    if "fit" in tree.children and not tree["fit"].attrs["converged"]:
        raise typer.Exit(3)


class _Written:
    """Writes results to one folder, and remembers which."""

    def __init__(self, out: Path) -> None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"--out {out} cannot be used as a folder for the results: {error}."
            ) from error
        self.out = out
        self.names: list[str] = []

    def tree(self, tree: xr.DataTree, name: str) -> None:
        with atomic_write(self.out / name) as path:
            tree.to_netcdf(path, engine="h5netcdf")
        self.names.append(name)

    def table(self, frame: pd.DataFrame, name: str) -> None:
        _write_csv(frame, self.out / name)
        self.names.append(name)

    def figure(self, figure: Any, name: str) -> None:
        _write_figure(figure, self.out / name)
        self.names.append(name)

    def report(self) -> None:
        names = ", ".join(self.names)
        console.print(f"Wrote to {self.out.resolve()}: {names}", highlight=False, soft_wrap=True)


def _is_mean_field(tree: xr.DataTree) -> bool:
    return "fit" in tree.children and tree["fit"].attrs["hyperparameters"] == "mean_field"


def _diagnose(model: Model, tree: xr.DataTree, seed: int, written: _Written) -> None:
    from pymc_vmrp.diagnostics.diagnose import diagnose

    found = diagnose(model, tree, random_seed=seed)
    console.print(f"Diagnosis: {found.verdict}.", highlight=False)
    for reason in found.reasons:
        console.print(f"  - {reason}", markup=False, highlight=False, soft_wrap=True)
    written.table(found.table, "diagnosis.csv")


def _convergence(tree: xr.DataTree) -> str:
    if "fit" not in tree.children:
        return ""
    attrs = tree["fit"].attrs
    state = "converged" if attrs["converged"] else "NOT CONVERGED"
    return f" ({attrs['iterations']} sweeps in {attrs['seconds']:.2f} s of it, {state})"


def _estimate(
    model: Model,
    tree: xr.DataTree,
    survey: pd.DataFrame,
    cells: pd.DataFrame,
    by: list[str],
    weights: str,
    seed: int,
    written: _Written,
    truth: pd.Series | None = None,
) -> pd.DataFrame:
    from pymc_vmrp.mrp.poststratify import poststratify as run
    from pymc_vmrp.plots import plot_estimates

    estimates = run(model, tree, cells, weights=weights, by=by, random_seed=seed)
    table = _estimates_table(estimates, truth, _raw_means(model, survey, cells, by))
    _print_table(table, "Poststratified estimates (mean, sd, 90% interval)")
    if estimates.attrs["unseen_levels"] != "{}":
        console.print(
            f"Levels the survey never saw were drawn anew: {estimates.attrs['unseen_levels']}",
            markup=False,
        )
    written.tree(estimates, "estimates.nc")
    written.table(table, "estimates.csv")
    if len(by) == 1:
        written.figure(plot_estimates(estimates, truth), "estimates.png")
    return table


def _raw_means(
    model: Model, survey: pd.DataFrame, cells: pd.DataFrame, by: list[str]
) -> pd.DataFrame | None:
    """Respondents (or trials) and raw mean of each group, where the survey has the columns."""
    observed = model.observations.rows
    if not by or len(survey) != len(observed.y) or not set(by) <= set(survey.columns):
        return None
    if any(survey[name].dtype != cells[name].dtype for name in by):
        return None  # their values could not be matched
    trials = observed.ones if observed.trials is None else observed.weighted(observed.trials)
    frame = survey[by].assign(answers=trials, raw=observed.weighted(observed.y))
    sums = frame.groupby(by, observed=True)[["answers", "raw"]].sum()
    return sums.assign(raw=sums["raw"] / sums["answers"], answers=sums["answers"].astype(int))


def _refit(
    survey: pd.DataFrame,
    specification: _Specification,
    cells: pd.DataFrame | None,
    by: list[str],
    weights: str,
    seed: int,
    written: _Written,
    rows: int,
) -> None:
    """Fit a part of the survey by CAVI and by NUTS, and compare."""
    from pymc_vmrp.mrp.poststratify import poststratify as run
    from pymc_vmrp.plots import draw_comparison
    from pymc_vmrp.results.compare import compare as compare_trees

    part = survey if rows >= len(survey) else survey.sample(rows, random_state=seed)
    console.print(f"Refitting {len(part):,} rows by NUTS, to compare (compiling takes a while) ...")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # already said for the whole survey
        model = specification.model(part)
    fast = model.fit(random_seed=seed)
    start = time.perf_counter()
    slow = model.fit(
        2000,
        tune=1000,
        inference_method="nuts",
        target_accept=0.95,
        chains=2,
        cores=2,
        random_seed=seed,
        progressbar=console.is_terminal,
    )
    attrs = slow.attrs
    console.print(
        f"NUTS took {time.perf_counter() - start:.1f} s, compilation included: "
        f"{attrs['divergences']} divergences, R-hat up to {attrs['max_rhat']:.3f}, effective "
        f"sample size from {attrs['min_ess']:.0f}."
    )
    table = drawn = compare_trees(fast, slow)
    if cells is not None:
        estimates = [
            run(model, tree, cells, weights=weights, by=by, random_seed=seed)
            for tree in (fast, slow)
        ]
        drawn = compare_trees(estimates[0], estimates[1])
        table = pd.concat([drawn, table])
    _print_comparison(table, "CAVI against NUTS, means over each variable's elements")
    console.print(_READING)
    if _is_mean_field(fast):
        console.print(_CAUTION)
    written.table(table.reset_index(), "comparison.csv")
    labels = (f"CAVI, {len(part):,} rows", f"NUTS, {len(part):,} rows")
    written.figure(draw_comparison(drawn, labels), "comparison.png")


# --- tables ----------------------------------------------------------------------------------


def _join(
    frame: pd.DataFrame, tables: list[pd.DataFrame], paths: list[Path], what: str
) -> pd.DataFrame:
    for table, path in zip(tables, paths, strict=True):
        keys = [column for column in table.columns if column in frame.columns]
        if not keys:
            raise DataError(f"{path} shares no column with {what}, so it cannot be joined.")
        if table.duplicated(keys).any():
            raise DataError(f"{path} has more than one row for some values of {keys}.")
        try:
            joined = frame.merge(table, on=keys, how="left", indicator="_joined")
        except ValueError as error:  # text in one, numbers in the other
            raise DataError(f"{path} cannot be joined to {what} by {keys}: {error}.") from error
        lost = joined["_joined"] == "left_only"
        if lost.any():
            missing = joined.loc[lost, keys].drop_duplicates().head(5).to_dict("records")
            raise DataError(f"{path} has no row for {missing} of {what}.")
        frame = joined.drop(columns="_joined")
    return frame


def _estimates_table(
    estimates: xr.DataTree, truth: pd.Series | None, raw: pd.DataFrame | None
) -> pd.DataFrame:
    from pymc_vmrp.mrp.groups import by_group

    draws = estimates["posterior"]["estimate"]
    sample = ("chain", "draw")
    parts = {
        "mean": draws.mean(sample),
        "sd": draws.std(sample, ddof=1),
        "q05": draws.quantile(0.05, sample).drop_vars("quantile"),
        "q95": draws.quantile(0.95, sample).drop_vars("quantile"),
        "population": estimates["constant_data"]["population"],
    }
    if set(draws.dims) == set(sample):
        return pd.DataFrame([{name: float(part) for name, part in parts.items()}])
    frame = pd.DataFrame({name: by_group(part) for name, part in parts.items()})
    dims = list(frame.index.names)
    frame = frame.dropna(subset="mean").reset_index()
    if raw is not None:
        frame = frame.merge(raw, left_on=dims, right_index=True, how="left")
        frame["answers"] = frame["answers"].fillna(0).astype(int)
    if truth is not None:
        frame["truth"] = frame[dims[0]].map(truth)
    return frame


def _print_table(frame: pd.DataFrame, title: str) -> None:
    table = Table(title=title)
    for name in frame.columns:
        numeric = pd.api.types.is_float_dtype(frame[name])
        table.add_column(str(name), justify="right" if numeric else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(str(n), v) for n, v in zip(frame.columns, row, strict=True)))
    console.print(table)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if name == "population" else f"{value:.3f}"
    return str(value)


def _print_common(tree: xr.DataTree) -> None:
    """Means and intervals of everything but the group-specific effects."""
    posterior = tree["posterior"].to_dataset()
    rows = []
    for name, variable in posterior.data_vars.items():
        if any(str(dim).endswith("__factor_dim") for dim in variable.dims):
            continue
        flat = variable.stack(sample=("chain", "draw")).transpose(..., "sample").to_numpy()
        values = flat.reshape(-1, flat.shape[-1])
        for i, draws in enumerate(values):
            label = str(name) if len(values) == 1 else f"{name}[{i}]"
            low, high = np.quantile(draws, [0.05, 0.95])
            rows.append({"term": label, "mean": draws.mean(), "sd": draws.std(ddof=1)})
            rows[-1] |= {"q05": low, "q95": high}
    _print_table(pd.DataFrame(rows), "Common effects and standard deviations")


def _print_comparison(table: pd.DataFrame, title: str) -> None:
    summary = table.assign(**{"|shift|": table["shift"].abs()}).groupby("variable", sort=False)
    columns = ["|shift|", "sd_ratio", "width_ratio", "overlap"]
    frame = summary[columns].mean()
    frame.insert(0, "elements", summary.size().astype(str))
    _print_table(frame.reset_index(), title)


def _print_errors(table: pd.DataFrame) -> None:
    """Mean absolute error of the estimates and of raw means, and coverage, against the truth."""
    truth = table["truth"]
    covered = int(((table["q05"] <= truth) & (truth <= table["q95"])).sum())
    console.print(
        f"Mean absolute error against the truth: MRP {(table['mean'] - truth).abs().mean():.3f}, "
        f"raw state means {(table['raw'] - truth).abs().mean():.3f}. The 90% intervals hold the "
        f"truth in {covered} of {len(truth)} states."
    )


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    with atomic_write(path) as temporary:
        frame.to_csv(temporary, index=False)


def _write_figure(figure: Any, path: Path) -> None:
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise DataError(f"The picture {path} must end in .png, .pdf or .svg.")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120, format=path.suffix.lstrip("."))


if __name__ == "__main__":
    main()
