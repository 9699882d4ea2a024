"""`python -m benchmarks COMMAND`: measure, print a table, and save it in benchmarks/results."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import (
    accelerators,
    accuracy,
    alliances,
    bambi_door,
    baselines,
    calibration,
    digests,
    effects_speed,
    engine,
    factorization,
    families,
    gibbs,
    heterogeneous_effects,
    hyperparameters,
    methods,
    planted_effects,
    pymc_door,
    selection,
    smooths,
    speed,
    trust,
    turns,
    warm,
)
from benchmarks.cases import CASES, Case
from benchmarks.data import SHARED
from benchmarks.fitted import Settings
from benchmarks.results_files import Measured, save

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
_SHARED = Annotated[Path, typer.Option(help="Folder of the real surveys and references.")]
_MODEL = Annotated[list[str] | None, typer.Option(help="A model's name; may be repeated.")]
_CASE = Annotated[
    list[str] | None, typer.Option(help=f"One of {', '.join(CASES)}; may be repeated.")
]


@app.command("speed")
def speed_command(shared: _SHARED = SHARED, repeats: int = 15) -> None:
    """CCES, 59,810 answers: data frame to converged q; and the time to import the package."""
    _report("speed_cces", speed.cces_fit(shared, repeats))
    _report("speed_job", speed.cces_job(shared))
    _report("speed_import", speed.imports())


@app.command()
def cces(shared: _SHARED = SHARED, samples: int = 20, n: int = 5000) -> None:
    """CCES: error of the states on random samples, by MRP and by raw means."""
    table = accuracy.cces_samples(shared, samples, n)
    _report("cces_samples", table)
    print(f"better than raw in {(table['ratio'] < 1).sum()} of {len(table)} samples")
    print(table[["mrp", "raw", "ratio", "covered_90"]].mean().round(4).to_string())


@app.command()
def reference(shared: _SHARED = SHARED, deep: bool = False) -> None:
    """Against vglmer, NUTS and HMC. --deep adds the Ghitza-Gelman models 7 and 9."""
    for ours, name in accuracy.VGLMER_NAMES.items():
        published = accuracy.published_algorithm(shared, ours)
        print(
            f"Pólya–Gamma against vglmer {name!r}, {len(published)} coefficients: largest |shift| "
            f"{published['shift'].abs().max():.1e} sd, largest |sd ratio - 1| "
            f"{(published['sd_ratio'] - 1).abs().max():.1e}\n"
        )
    _report("nuts_states", accuracy.nuts_states(shared))
    _report("nuts_terms", accuracy.nuts_terms(shared))
    models = (1, 4, 7, 9) if deep else (1, 4)
    _report("ghitza_gelman", accuracy.ghitza_gelman(shared, models))


@app.command("turns")
def turns_command(
    other: Annotated[Path, typer.Argument(help="Folder of another checkout.")],
    shared: _SHARED = SHARED,
    rounds: int = 4,
) -> None:
    """Processor seconds of this checkout and of another, in turn."""
    _report("turns", turns.compare(other, shared, rounds))


@app.command("digests")
def digests_command(shared: _SHARED = SHARED) -> None:
    """Fingerprints of results for fixed seeds, to compare before and after a change of the code."""
    _report("digests", digests.digests(shared))


@app.command("factorization")
def factorization_command(shared: _SHARED = SHARED, draws: int = 10_000) -> None:
    """Factorizations of q, both bounds and MAVB against NUTS, on the simulated survey."""
    _report("factorization", factorization.against_nuts(shared, draws))


@app.command("families")
def families_command(
    family: Annotated[list[str] | None, typer.Option(help="Some families alone.")] = None,
    replications: Annotated[
        int, typer.Option(help="Simulated surveys of each size; 0 for none.")
    ] = 50,
    nuts: Annotated[bool, typer.Option(help="Also compare one survey with NUTS.")] = True,
) -> None:
    """Every family on simulated surveys: coverage of 90% intervals, and agreement with NUTS.

    Saves what it has as it goes.
    """
    covered = Measured("families_coverage", ("family", "link", "n"))
    compared = Measured("families_nuts", ("family", "link"))
    with _progress(covered, compared) as show:
        for name, link in families.cases(family):
            for n in families.SIZES if replications else ():
                covered.add(families.coverage(name, link, n, replications, show))
            if nuts:
                show(f"{name} {link}: NUTS")
                compared.add(families.against_nuts(name, link))
    if replications:
        _print("families_coverage", covered.table())
    if nuts:
        _print("families_nuts", compared.table())


@app.command("hyperparameters")
def hyperparameters_command(shared: _SHARED = SHARED, deep: bool = False) -> None:
    """Integrated hyperparameters beside mean-field ones. --deep adds Ghitza-Gelman 7 and 9."""
    _report("hyperparameters_surveys", hyperparameters.surveys(shared))
    _report("hyperparameters_small", hyperparameters.small(shared))
    models = (1, 4, 7, 9) if deep else (1, 4)
    _report("hyperparameters_ghitza_gelman", hyperparameters.ghitza_gelman(shared, models))


@app.command("bambi")
def bambi_command(
    shared: _SHARED = SHARED,
    draws: int = 4000,
    tune: int = 1000,
    chains: int = 2,
    cores: int = 2,
) -> None:
    """The running example as a Bambi model: time of reading it, and its states against NUTS."""
    _report("bambi_reading", bambi_door.reading(shared))
    _report("bambi_poststratified", bambi_door.poststratified(shared))
    _report("bambi_states", bambi_door.states(shared, draws, tune, chains, cores))


@app.command("calibration")
def calibration_command(
    shared: _SHARED = SHARED,
    way: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(calibration.WAYS)}; both.")
    ] = None,
    simulations: int = 500,
    rows: int = 2000,
    cores: int = 2,
    theta_ess: float = 200.0,
    seed: int = 20180418,
) -> None:
    """Simulation-based calibration of the running example's 136 parameters.

    Saves the ranks and the table of tests of each treatment, and what they come to.
    """
    measured = Measured("calibration", ("hyperparameters", "rows", "theta_ess", "seed"))
    for one in way or calibration.WAYS:
        result = calibration.run(shared, one, simulations, rows, cores, theta_ess, seed)
        save(f"calibration_{one}_{seed}_tests", result.table())
        save(f"calibration_{one}_{seed}_pit", calibration.pit_table(result))
        key = {"hyperparameters": one, "rows": rows, "theta_ess": theta_ess, "seed": seed}
        measured.add(key | calibration.summary(result))
    _print("calibration", measured.table().T.reset_index())


@app.command("selection")
def selection_command(
    shared: _SHARED = SHARED,
    nuts: Annotated[bool, typer.Option(help="Compare criteria with LOO of NUTS draws.")] = True,
    survey: Annotated[bool, typer.Option(help="Rank models of the CCES.")] = True,
    rows: Annotated[int | None, typer.Option(help="Rows of the CCES; all by default.")] = None,
) -> None:
    """LOO from draws of q, plain and corrected, and K-fold, against NUTS; and the CCES ranked."""
    if nuts:
        names = ("no states", "main effects", "two-way")
        tables = [selection.against_nuts(shared, name, print) for name in names]
        _report("selection_nuts", pd.concat(tables))
    if survey:
        _report("selection_loo", selection.survey(shared, "loo", rows))
        _report("selection_states", selection.survey(shared, "kfold", rows, "state"))
        _report("selection_elbo", selection.survey(shared, "elbo", rows))


@app.command("trust")
def trust_command(repeats: int = 5, fits: int = 100, hyperparameters: str = "integrated") -> None:
    """Verdicts of diagnose() on planted failures, on their sound twins, and on sound fits."""
    if repeats:
        table = trust.planted(repeats)
        _report("trust_planted", table)
        print(table.groupby(["case", "fit", "verdict"], sort=False).size().to_string())
    if fits:
        table = trust.false_alarms(fits, hyperparameters)
        _report(f"trust_sound_{hyperparameters}", table)
        print(table.groupby(["model", "verdict"]).size().to_string())


@app.command("gibbs")
def gibbs_command(
    shared: _SHARED = SHARED,
    draws: int = 1000,
    long: Annotated[int, typer.Option(help="Draws a chain for the tails; 0 leaves them out.")] = 0,
) -> None:
    """Effective draws a second and pieces of an iteration; --long 25000 adds the tails."""
    _report("gibbs_speed", gibbs.speed(shared, draws))
    _report("gibbs_pieces", gibbs.pieces(shared))
    if long:
        _report("gibbs_tails", gibbs.tails(shared, long))


@app.command("engine")
def engine_command(
    case: _CASE = None,
    compared: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Also other methods.")
    ] = True,
    shared: _SHARED = SHARED,
    limit: Annotated[float, typer.Option(help="Most seconds of one of our fits.")] = 900.0,
    baseline_limit: Annotated[float, typer.Option(help="Most seconds of a baseline.")] = 120.0,
    repeats: Annotated[int, typer.Option(help="Most warm repeats.")] = 15,
) -> None:
    """Seconds, sweeps, memory and recovery of the truth by case; and baselines.

    Saves what it has as it goes; other cases of earlier runs stay in the files.
    """
    chosen = _chosen(case, tuple(CASES))
    plan = engine.Plan(shared.resolve(), limit, repeats)
    other_plan = replace(plan, limit=baseline_limit)
    ours, others = Measured("engine", ("case",)), Measured("baselines", ("case", "method"))
    with _progress(ours, others) as show:
        for one in chosen:
            row = engine.measure(one, plan, show)
            ours.add(row)
            if compared:
                for other in baselines.compare(one, row, other_plan, show):
                    others.add(other)
    _print_parts(ours.table(), _ENGINE_PARTS)
    if compared and others.rows:
        table = others.table()
        _print("baselines", table.drop(columns="at_least"))
        _report("baseline_ratios", baselines.ratios(table))


@app.command("accelerators")
def accelerators_command(
    case: _CASE = None,
    shared: _SHARED = SHARED,
    limit: Annotated[float, typer.Option(help="Most seconds of one fit.")] = 300.0,
) -> None:
    """Sweeps, seconds and ELBO by accelerator and expansion; gg1, gg4, gg7 and gg9 by default."""
    chosen = _chosen(case, ("gg1", "gg4", "gg7", "gg9"))
    plan = engine.Plan(shared.resolve(), limit)
    measured = Measured("accelerators", ("case", "accelerate", "expansion"))
    with _progress(measured) as show:
        for one in chosen:
            for row in accelerators.compare(one, plan, show):
                measured.add(row)
    _print("accelerators", accelerators.with_gaps(measured.table()))


@app.command("smooths")
def smooths_command(
    family: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    replications: int = 20,
    pygam: Annotated[
        Path | None, typer.Option(help="Python that has pygam; else its stored results.")
    ] = None,
) -> None:
    """Gu and Wahba's four functions, n = 400: RMSE of each smooth, beside pygam's."""
    tables = [
        smooths.compare(one, replications, pygam) for one in family or ["bernoulli", "gaussian"]
    ]
    _report("smooths", pd.concat(tables))


@app.command("heterogeneous-effects")
def heterogeneous_effects_command(
    quick: Annotated[bool, typer.Option(help="A few replications of small designs.")] = False,
    replications: Annotated[int, typer.Option(help="Of each design; 0 for none.")] = 200,
    planted: Annotated[int, typer.Option(help="Of each planted design; 0 for none.")] = 0,
    plant: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join(planted_effects.NAMES)}; may be repeated."),
    ] = None,
    speed: Annotated[bool, typer.Option("--speed", help="CPU seconds too.")] = False,
    n: Annotated[list[int] | None, typer.Option(help="Rows; may be repeated.")] = None,
    sd: Annotated[
        list[float] | None, typer.Option(help="Of interaction coefficients; may be repeated.")
    ] = None,
    inference_method: Annotated[str, typer.Option(help="Of our model.")] = "cavi",
) -> None:
    """Alley's simulation: effects by 16 groups, hierarchical and by OLS with interactions.

    --planted: shares of the terms in the variation of effects, and binary and count outcomes.
    --speed: 344,000 rows of five arms, and 128 groups with 4,000 draws. Saves what it has as it
    goes.
    """
    unknown = set(plant or ()) - set(planted_effects.NAMES)
    if unknown:
        raise typer.BadParameter(f"no planted design {sorted(unknown)[0]!r}.")
    designs = [(a, b) for a in n or heterogeneous_effects.SIZES
               for b in sd or heterogeneous_effects.SDS]  # fmt: skip
    if quick:
        replications, designs, planted = min(replications, 2), designs[:1], min(planted, 1)
    simulated = Measured("heterogeneous_effects", ("n", "sd", "method", "inference"))
    shares = Measured("planted_shares", ("design", "rows", "term"))
    responses = Measured("planted_responses", ("family",))
    seconds = Measured("effects_speed", ("case", "family"))
    every = (simulated, shares, responses, seconds)
    with _progress(*every) as show:
        for row in heterogeneous_effects.simulation(replications, designs, inference_method, show):
            simulated.add(row)
        for name in plant or planted_effects.NAMES:
            if name in planted_effects.PLANTS:
                for size in planted_effects.SHARE_ROWS:
                    for row in planted_effects.shares(name, size, planted, show):
                        shares.add(row)
            else:
                for row in planted_effects.responses(name, planted, show):
                    responses.add(row)
        if speed:
            size = 10_000 if quick else effects_speed.ROWS
            for row in effects_speed.measure(size, 1 if quick else 3, show):
                seconds.add(row)
    for one in every:
        if one.rows:
            _print(one.name, one.table().drop_duplicates(list(one.keys), keep="last"))


@app.command("alliances")
def alliances_command(
    quick: Annotated[bool, typer.Option(help="The 32 conditions alone.")] = False,
    mcmc: Annotated[
        bool, typer.Option("--mcmc", help="Compare with long runs of Gibbs or NUTS.")
    ] = False,
    draws: Annotated[int, typer.Option(help="Of each of its two chains.")] = 10_000,
    study: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join(alliances.STUDIES)}; may be repeated."),
    ] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder to save figures in.")] = None,
    shared: _SHARED = SHARED,
) -> None:
    """Tomz and Weeks's experiment: effects of an alliance by condition and by demographic group."""
    names = study or list(alliances.STUDIES)[: 1 if quick else None]
    unknown = set(names) - set(alliances.STUDIES)
    if unknown:
        raise typer.BadParameter(f"no study {sorted(unknown)[0]!r}.")
    summaries = Measured("alliances", ("study",))
    compared = Measured("alliances_mcmc", ("study",))
    data, tables = alliances.load(shared), {}
    with _progress(summaries, compared) as show:
        for name in names:
            show(name)
            answer = alliances.answer(alliances.STUDIES[name], data)
            summaries.add(alliances.summary(name, answer))
            tables[f"alliances {name}"] = alliances.by_group(answer)
            if figures:
                alliances.save_figures(name, answer, figures)
            if mcmc:
                row, table = alliances.against_mcmc(name, answer, draws, show=show)
                compared.add(row)
                tables[f"alliances {name} mcmc"] = table
    for name, table in tables.items():
        _report(name.replace(",", "").replace(" ", "_"), table)
    for one in (summaries, compared):
        if one.rows:
            _print(one.name, one.table().T.reset_index())


@app.command("warm")
def warm_command(
    case: Annotated[
        list[str] | None, typer.Option(help="A survey of `reference`; may be repeated.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(warm.METHODS)}; may be repeated.")
    ] = None,
    shared: _SHARED = SHARED,
    draws: int = 1000,
    rows_draws: Annotated[int, typer.Option(help="Draws of cold runs on rows.")] = 1000,
    chains: int = 4,
    cores: int = 2,
) -> None:
    """Effective draws per second of NUTS: cold on rows, cold on cells, and warm-started.

    Saves what it has as it goes; other cases and methods of earlier runs stay in the file.
    """
    unknown = set(method or ()) - set(warm.METHODS)
    if unknown:
        raise typer.BadParameter(f"no method {sorted(unknown)[0]!r}.")
    plan = warm.Plan(draws=draws, rows_draws=rows_draws, chains=chains, cores=cores)
    measured = Measured("warm", ("case", "method"))
    with _progress(measured) as show:
        for row in warm.compare(shared, case or [], method or list(warm.METHODS), plan, show):
            measured.add(row)
    _print("warm", warm.with_ratios(measured.table()))


@app.command("methods")
def methods_command(
    n: Annotated[int, typer.Option(help="Answers: 5000 or 59810.")] = 5000,
    methods_: Annotated[
        str, typer.Option("--methods", help=f"Of {', '.join(methods.METHODS)}; commas between.")
    ] = ",".join(methods.METHODS),
    csv: Annotated[Path | None, typer.Option(help="File of results; rows merge.")] = None,
    shared: _SHARED = SHARED,
    timeout: Annotated[float, typer.Option(help="Most seconds of one method.")] = 3600.0,
    steps: Annotated[int, typer.Option(help="Of one run of ADVI, of 10 at most.")] = 30_000,
    flow_steps: Annotated[int, typer.Option(help="Of the normalizing flow.")] = 30_000,
    draws: Annotated[int, typer.Option(help="Of variational methods.")] = 4000,
    seed: int = 2018,
) -> None:
    """CCES: variational methods and MCMC on one model: seconds, k-hat, states, coefficients.

    Each method has a process of its own. Saves what it has as it goes; other methods of earlier
    runs stay in the file.
    """
    chosen = [name.strip() for name in methods_.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in methods.METHODS]
    if unknown:
        raise typer.BadParameter(
            f"no method {unknown[0]!r}; there are {', '.join(methods.METHODS)}."
        )
    if n not in methods.CASES:
        raise typer.BadParameter(f"n is one of {', '.join(map(str, methods.CASES))}.")
    settings = Settings(draws=draws, steps=steps, flow_steps=flow_steps, seed=seed)
    file = csv or Path(__file__).parent / "results" / "methods.csv"
    measured = Measured(file.stem, ("answers", "method"), folder=file.resolve().parent)
    with _progress(measured) as show:
        for name in chosen:
            show(f"{n} answers: {methods.METHODS[name].label}")
            measured.add(methods.row(name, n, shared.resolve(), settings, timeout))
    _print_parts(methods.ordered(measured.merged(), n), _METHODS_PARTS, "label")


_METHODS_PARTS = {
    "methods: seconds and fit": (
        "seconds", "compile_s", "quiet", "elbo", "k_hat", "distinct", "steps", "drift", "problem",
        "note",
    ),
    "methods: states": (
        "mae_pp", "states_shift", "states_sd", "states_sd_min", "states_sd_max", "states_covered",
    ),
    "methods: coefficients and sds": (
        "coef_shift", "coef_shift_max", "coef_sd", "coef_sd_min", "coef_covered",
        "sigma_shift", "sigma_sd", "sigma_covered",
    ),
    "methods: chains": ("rhat", "min_ess", "ess_per_s", "divergences"),
}  # fmt: skip


_ENGINE_PARTS = {
    "engine: seconds from the data frame to q": (
        "p", "cells", "rows", "cold_s", "cold_quiet", "build_s", "fit_s", "total_s", "best_s",
        "worst_s", "cpu_s", "repeats", "quiet_repeats", "quiet_s",
    ),
    "engine: sweeps and checks": (
        "solver", "sweeps_pg", "sweeps_quad", "s_per_sweep", "elbo", "converged", "truth_r",
        "truth_rms_z", "hmc_sd_ratio", "problem",
    ),
    "engine: memory of a process that makes one fit": (
        "before_mb", "frame_mb", "peak_mb", "extra_mb", "extra_by_frame",
    ),
}  # fmt: skip


def _chosen(names: list[str] | None, default: tuple[str, ...]) -> list[Case]:
    unknown = set(names or ()) - set(CASES)
    if unknown:
        raise typer.BadParameter(f"no case {sorted(unknown)[0]!r}; there are {', '.join(CASES)}.")
    return [CASES[name] for name in names or default]


@contextlib.contextmanager
def _progress(*measured: Measured) -> Iterator[engine.Show]:
    """Show what is being measured; Ctrl-C ends the measuring and keeps what there is."""
    bar = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    task = bar.add_task("starting")

    def show(text: str) -> None:
        bar.update(task, description=text)

    try:
        with bar:
            yield show
    except KeyboardInterrupt:
        print("interrupted: what follows was measured before")
    if not any(one.rows for one in measured):
        raise typer.Exit(1)


def _print_parts(table: pd.DataFrame, parts: dict[str, tuple[str, ...]], key: str = "case") -> None:
    for title, columns in parts.items():
        _print(title, table.reindex(columns=[key, *columns]))


def _report(name: str, table: pd.DataFrame) -> None:
    save(name, table)
    _print(name, table)


def _print(title: str, table: pd.DataFrame) -> None:
    with pd.option_context("display.width", 140, "display.max_columns", 20):
        print(f"{title}\n{table.round(4).to_string(index=False, na_rep='')}\n")


@app.command("pymc-door")
def pymc_door_command(shared: _SHARED = SHARED, model: _MODEL = None) -> None:
    """Plain pm.Models: teaching models by vmrp.fit and by NUTS, refusals, and the overhead."""
    rows = []
    for row in pymc_door.models(model):
        rows.append(row)
        print(pd.DataFrame([row]).round(3).to_string(index=False, header=len(rows) == 1))
    table = pd.DataFrame(rows)
    _report("pymc_door_models", table)
    if not model:
        _report("pymc_door_refusals", pymc_door.refusals())
        _report("pymc_door_overhead", pymc_door.overhead(shared))


if __name__ == "__main__":
    app()
