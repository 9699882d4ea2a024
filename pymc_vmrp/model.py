"""Model: what the user holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from pymc_vmrp.arguments import check_flag, check_progressbar, check_text
from pymc_vmrp.glmm.families import get_family
from pymc_vmrp.glmm.families.family import Family
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.read_model import Always, ReadModel, RowEncoder
from pymc_vmrp.results.reports import GlmmReports

if TYPE_CHECKING:
    import numpy as np
    import pymc as pm
    import xarray as xr

    from pymc_vmrp.inference.method import Method
    from pymc_vmrp.results.mixture import MixturePosterior
    from pymc_vmrp.results.posterior import VariationalPosterior


class Model:
    """A hierarchical generalised linear model of a data frame.

    Parameters
    ----------
    formula : str
        Bambi-style formula. Group-specific terms: ``(1|g)``, ``(1|a:b)``, ``(1|a*b)``,
        ``(1|a/b)``, ``(x|g)`` and ``(1 + x|g)`` (intercept and slope, correlated), ``(0 + x|g)``
        (slope alone), ``(1 + x||g)`` (independent), ``(1|mm(a, b))`` (several memberships).
        Smooths: ``s(x)``, ``s(x, k=10, bs="tp", by=g)``; random walks: ``rw(age)``. The response
        is a 0/1, boolean or two-level column, ``y['level']``, or ``p(successes, trials)``.
    data : DataFrame
        One row per respondent, or per group of respondents for ``p(successes, trials)``.
    family : {"bernoulli", "binomial", "gaussian", "poisson", "negativebinomial", "gamma", "t", \
"beta_binomial"} or Family
        How the response varies around its mean; see docs/families.md.
    priors : dict, optional
        Priors by term: ``"Intercept"``, a common term's name or ``"common"`` for all of them
        (:class:`Normal`, :class:`Flat` or ``"flat"``, :class:`StudentT`, :class:`Cauchy`,
        :class:`Laplace`, :class:`Horseshoe`); a group-specific term's name such as
        ``"1|state"``, or ``"group_specific"`` for all of them (:class:`HuangWand`,
        :class:`InverseWishart`, :class:`LKJ` with any priors on sds; for terms with one effect also
        :class:`HalfStudentT`,
        :class:`HalfCauchy`, :class:`HalfNormal`, :class:`Exponential`, :class:`Uniform`,
        :class:`Gamma`, :class:`InverseGamma`, :class:`LogNormal`), or the name of one of vglmer's:
        ``"mean_exists"``, and the improper ``"jeffreys"``, ``"limit"`` and ``"uniform"`` (for CAVI
        alone); a smooth's or random walk's name such as ``"s(x)"``, or ``"smooths"`` for all of
        them (priors on one sd). ``bambi.Prior`` objects will do as well. Defaults:
        Normal(0, 2.5/sd(x)) for slopes, Normal(0, 2.5) for the intercept, HuangWand(2, 5) for
        varying intercepts and HuangWand(2, 5/sd(x)) for varying slopes, HuangWand(2, 1) for
        smooths and random walks.
    center_predictors : bool
        Whether priors hold at the mean of the predictors, as the intercept's does in Bambi and
        rstanarm: the intercept's, that of the covariance matrix of correlated effects, and default
        priors of interactions. Then results do not depend on where the zero of a predictor lies.
        What they report is as the formula is written. Means and sds weigh each trial equally, so
        that counted and one-per-row data give the same model.
    dropna : bool
        Whether rows with missing values in the model's columns are left out, with a warning that
        counts them. By default they are an error.
    link : str, optional
        Link function: "logit" (default), "probit" or "cloglog" for "bernoulli" and "binomial"; the
        others have one link each.
    weights : str, optional
        Column of weights: the log likelihood of a row is multiplied by its weight. A whole number w
        means that the row stands for w such rows (frequency weights). Survey weights give a
        pseudo-likelihood: scale them to sum to the number of respondents, or to the effective
        sample size, since the posterior takes their sum for the amount of data. Fractions are
        allowed.
    environment : {"caller", "command line", "saved"}
        Which functions and constants the formula may name, besides those of formulas themselves
        (``scale``, ``center``, ``poly``, ``bs``, ``C``, ``I``, ``offset``, ...): those of the
        calling code, or numpy's functions of single rows alone, such as ``np.log``. "saved" is
        for a formula that was read from a file, which is data and must not run code.

    Attributes
    ----------
    formula : str
    family, link : str
    glmm : GLMM
        The model as the engines read it.
    read_model : ReadModel
        Everything that fits, predictions and summaries need of it.

    Raises
    ------
    FormulaError, DataError, PriorError
        Each names the term or column, and what to do.

    Examples
    --------
    >>> model = vmrp.Model("support ~ male + (1|state) + (1|age)", survey)
    >>> idata = model.fit(random_seed=1)
    """

    def __init__(
        self,
        formula: str,
        data: pd.DataFrame,
        family: str | Family = "bernoulli",
        priors: Mapping[str, Any] | None = None,
        center_predictors: bool = True,
        dropna: bool = False,
        *,
        link: str | None = None,
        weights: str | None = None,
        environment: str = "caller",
    ) -> None:
        # formulae is imported here and not above: `import pymc_vmrp` must stay quick
        from pymc_vmrp.frontends.expressions.names import capture
        from pymc_vmrp.frontends.formula.assemble import assemble
        from pymc_vmrp.frontends.formula.parse import parse_formula

        names = capture(environment, 1)
        check_text("formula", formula, "text such as 'y ~ x + (1|g)'")
        check_flag("center_predictors", center_predictors)
        check_flag("dropna", dropna)
        parsed = parse_formula(formula)
        chosen = get_family(family, link)
        made = assemble(parsed, data, chosen, priors, center_predictors, dropna, weights, names)
        self.formula = formula
        self.family = chosen.name
        self.link = chosen.link
        self.weights = weights
        self._event = made.event
        named = {"formula": formula, "family": chosen.name, "link": chosen.link}
        self.read_model = ReadModel(
            made.glmm,
            made.observations,
            GlmmReports(made.glmm, made.observations),
            "a pymc_vmrp.Model",
            Always(made.encoder),
            made.known,
            named if weights is None else {**named, "weights": weights},
            mean_name=chosen.parent,
            make_predictors=Always(made.predictors),
            smooths=made.encoder.smooths,
        )

    @property
    def glmm(self) -> GLMM:
        """The model as the engines read it."""
        return self.read_model.glmm

    @property
    def encoder(self) -> RowEncoder:
        """How new data are given the model's design columns."""
        return self.read_model.encoder

    @property
    def observations(self) -> Observations:
        """The response of each row of the data that was used."""
        return self.read_model.observations

    def approximate(
        self,
        bound: str = "quadrature",
        tol: float = 1e-4,
        max_iter: int = 500,
        solver: str = "auto",
        accelerate: str = "anderson",
        expansion: str = "translation",
        hyperparameters: str = "auto",
        theta_ess: float = 200.0,
        progressbar: bool | None = None,
        factorization: str = "joint",
        kept: Sequence[str] | None = None,
    ) -> VariationalPosterior | MixturePosterior:
        """Fit q(β, u) Π_j q(Σ_j) by coordinate ascent, or q(θ)q(β, u | θ) by integration over θ.

        Parameters
        ----------
        bound : {"quadrature", "polya-gamma"}
            How the logistic likelihood enters: its exact expectation under the Gaussian q(β, u),
            or the Pólya–Gamma bound of Goplerud (2022), which understates posterior sds.
        tol : float
            Stop when a sweep changes no log σ or correlation coordinate by more than this, and no
            cell's linear predictor by more than this many posterior sds.
        max_iter : int
            Most sweeps. Reaching it gives a ConvergenceWarning and an honest ``converged=False``.
        solver : {"auto", "dense", "partitioned"}
            How q(β, u) is solved for: with dense matrices, or block by block of a grouping factor
            whose levels are independent given few other coefficients. "auto" takes what is
            cheaper; ``fit.solver`` of the result says what that was.
        accelerate : {"anderson", "squarem", "none"}
            How the fixed-point iteration is accelerated. What lowers the ELBO is rejected.
        expansion : {"translation", "mean", "none"}
            Parameter expansion between sweeps: "translation" transforms the effects of each term
            together with their covariance, "mean" moves their mean into the common effect of the
            same name. All have the same fixed point; but without "translation" steps can be so
            short that ``tol`` has to be 1e-7 or less to get there.
        hyperparameters : {"auto", "mean_field", "integrated"}
            Whether q takes the hyperparameters θ (every Σ_j, and parameters of the likelihood such
            as σ) for independent of the coefficients ("mean_field"), or q(β, u | θ) is fitted at
            many θ, which are weighted by how well each explains the data ("integrated"). The latter
            is more accurate, above all for effects of factors with few levels and for the Σ_j, and
            takes about ten times as long. "auto" integrates where that is supported, takes no more
            than about ten seconds (by the size of the model) and θ has at most 20 coordinates.
        theta_ess : float
            Of "integrated": how many independent draws of θ its points are to be worth.
        progressbar : bool, optional
            Whether to show the ELBO and the change per sweep; None shows them once the work has
            taken two seconds.
        factorization : {"joint", "partial", "strong", "collapsed"}
            What q(β, u) holds together. "joint" is one Gaussian; "partial" is q(β) q(u), and
            "strong" q(β) Π_j q(u_j) (Schemes III, II and I of Goplerud 2022), which understate
            posterior sds more; "collapsed" leaves q(β, u_kept | u_rest) free and makes the levels
            of all other terms independent, at a cost that is linear in rows and levels: for
            crossed factors too large for "joint" (Goplerud, Papaspiliopoulos & Zanella 2024).
        kept : sequence of str, optional
            For "collapsed", the names of the terms that are kept together with the common effects,
            such as ``("1|state",)``. The cost is cubic in their coefficients, but linear in those
            of the largest term if it has more than 200. By default the main effects (terms whose
            factor is no interaction): the smallest, up to 200 coefficients together, and the
            largest if it has more.

        Returns
        -------
        VariationalPosterior or MixturePosterior
            The former for "mean_field"; also where there is no hyperparameter, and where Ctrl-C
            came before there was a mixture.

        References
        ----------
        Goplerud, M. (2022). Fast and accurate estimation of non-nested binomial hierarchical
        models using variational inference. Bayesian Analysis 17(2).
        Goplerud, M., Papaspiliopoulos, O. and Zanella, G. (2024). Partially factorized variational
        inference for high-dimensional mixed models. Biometrika; arXiv:2312.13148.
        Knowles, D. and Minka, T. (2011). Non-conjugate variational message passing for multinomial
        and binary regression.
        """
        from pymc_vmrp.inference.approximation import CaviOptions
        from pymc_vmrp.inference.approximation import approximate as approximate_glmm
        from pymc_vmrp.interrupts import held

        check_progressbar(progressbar)
        options = CaviOptions(
            bound, tol, max_iter, solver, accelerate, expansion, hyperparameters, theta_ess,
            factorization, kept,
        )  # fmt: skip
        with held():
            return approximate_glmm(self.glmm, options, progressbar)

    def fit(
        self,
        draws: int = 1000,
        tune: int | None = None,
        *,
        inference_method: str | Method = "cavi",
        chains: int | None = None,
        cores: int | None = None,
        random_seed: int | None = None,
        warm_start: xr.DataTree | VariationalPosterior | MixturePosterior | None = None,
        log_likelihood: bool = False,
        log_prior: bool = False,
        progressbar: bool | None = None,
        **kwargs: Any,
    ) -> xr.DataTree:
        """Fit the model and return posterior draws.

        Parameters
        ----------
        draws : int
            Draws per chain. Draws of every method but NUTS and Gibbs are independent, and make up
            one chain: ``tune``, ``chains`` and ``cores`` are errors there.
        tune : int, optional
            Tuning steps of NUTS (1000 by default, or with ``warm_start`` 200 in whitened
            coordinates and 500 in others), or iterations of Gibbs before the first draw (500 by
            default).
        inference_method : {"cavi", "gibbs", "nuts", "advi", "fullrank_advi", "pathfinder"}
            Or a :class:`pymc_vmrp.Method` of your own. All fit the very same model and name their
            results alike. "gibbs" and "nuts" are exact but for Monte Carlo error.
        chains, cores : int, optional
            For NUTS, as in ``pm.sample``; for Gibbs, by default 4 chains on one thread. Draws of
            Gibbs do not depend on ``cores``.
        random_seed : int, optional
        warm_start : DataTree, VariationalPosterior or MixturePosterior, optional
            For NUTS: a fit of this model. Chains start from its draws and, where a draw is likely
            to be cheaper so, sample in coordinates in which the fit's Gaussian of the coefficients
            is a standard normal whatever the hyperparameters are. The posterior is the same. For
            Gibbs: a fit from whose draws the chains start.
        log_likelihood : bool
            Whether to add the log likelihood of each respondent (draws × rows numbers).
        log_prior : bool
            Whether to add the log prior density of the hyperparameters and the common effects, as
            ``az.psense_summary`` needs it (with ``log_likelihood=True``) to tell how much the
            prior matters.
        progressbar : bool, optional
            None shows a bar for every method but CAVI and Gibbs, and there once the work has taken
            two seconds.
        **kwargs
            For "cavi" what :meth:`approximate` takes; for "gibbs" ``thin`` (keep every thin-th
            iteration); for "nuts" what ``pm.sample`` takes, and ``whiten``, whether ``warm_start``
            is to change the coordinates; for
            "advi" and "fullrank_advi" what ``pm.fit`` takes (``n``, the number of steps, is 30,000
            by default); for "pathfinder" what ``pymc_extras.fit_pathfinder`` takes.

        Returns
        -------
        DataTree
            Groups ``posterior`` (Bambi's names, the intercept un-centred), ``sample_stats``,
            ``observed_data``, ``constant_data``; for CAVI ``fit`` with the ELBO and q's moments;
            ``log_likelihood`` and ``log_prior`` on request.
            Attributes of NUTS: ``divergences``, ``max_rhat``, ``min_ess``, ``n_steps`` (leapfrog
            steps of all draws), ``coordinates``, ``tune`` and ``sampling_seconds``.
        """
        from pymc_vmrp.inference.fit import fit_model
        from pymc_vmrp.interrupts import held

        options = {
            **kwargs, "tune": tune, "chains": chains, "cores": cores, "warm_start": warm_start,
            "log_likelihood": log_likelihood, "log_prior": log_prior, "progressbar": progressbar,
        }  # fmt: skip
        with held():
            return fit_model(self.read_model, inference_method, draws, random_seed, options)

    def predict(
        self,
        idata: xr.DataTree,
        kind: str = "response_params",
        data: pd.DataFrame | None = None,
        inplace: bool = True,
        include_group_specific: bool = True,
        sample_new_groups: bool = False,
        random_seed: int | np.random.Generator | None = None,
        *,
        exclude: str | Sequence[str] | None = None,
        terms: bool = False,
        progressbar: bool | None = None,
    ) -> xr.DataTree | None:
        """Predict the rows of the model's own data, or of new data; arguments as in Bambi.

        Parameters
        ----------
        idata : DataTree
            A fit of this model, by any inference method.
        kind : {"response_params", "response"}
            The mean response of each row, or draws of new responses besides.
        data : DataFrame, optional
            New rows, with every column that the predictors need and, to draw responses to
            ``p(successes, trials)`` or ``se(y, sd)``, the trials or sds. None is the model's data.
        inplace : bool
            Whether to add to ``idata``, or to return a copy with the predictions (which shares the
            draws with ``idata``).
        include_group_specific : bool
            Whether group-specific terms take part; False sets their effects to zero.
        sample_new_groups : bool
            Whether levels of a grouping factor that the model never saw get draws from N(0, Σ),
            one per level and posterior draw, shared by its rows. By default they are an error.
        random_seed : int or Generator, optional
            For new levels and new responses.
        exclude : str or sequence of str, optional
            Terms left out of the linear predictor, under the names of their variables:
            ``"Intercept"``, ``"x"``, ``"1|state"``, ``"x|state"``; ``"1+x|state"`` for the whole
            term, and ``"offset"``. Columns that only they need may be missing from ``data``.
        terms : bool
            Whether to add what each term contributes.
        progressbar : bool, optional
            None shows a bar once the work has taken two seconds.

        Returns
        -------
        DataTree or None
            ``posterior`` gains the mean, called ``p`` (a probability; bernoulli and binomial) or
            ``mu``, with dimensions (chain, draw, __obs__); of counted successes it is that of one
            trial. For ``kind="response"`` the group ``posterior_predictive`` holds new responses
            under the name of the response. With ``terms=True`` the group ``terms`` holds what each
            term adds to the linear predictor, under its name, and their sum as
            ``linear_predictor``. Earlier predictions are overwritten. ``__obs__`` is the index of
            the data frame.

        Raises
        ------
        DataError
            Where columns are missing, a level was never seen, or memory would not do.

        Examples
        --------
        >>> model.predict(idata, data=new)
        >>> mean = idata["posterior"]["p"].mean(("chain", "draw"))
        """
        from pymc_vmrp.prediction.predict import predict

        return predict(
            self.read_model, idata, kind, data, inplace, include_group_specific, sample_new_groups,
            random_seed, exclude=exclude, terms=terms, progressbar=progressbar,
        )  # fmt: skip

    def prior_predictive(
        self, draws: int = 500, random_seed: int | np.random.Generator | None = None
    ) -> xr.DataTree:
        """Draws from the prior; see :func:`pymc_vmrp.prior_predictive`.

        Examples
        --------
        >>> prior = model.prior_predictive(random_seed=1)
        """
        from pymc_vmrp.prediction.prior import prior_predictive

        return prior_predictive(self.read_model, draws, random_seed)

    def summary(self, idata: xr.DataTree, ci_prob: float = 0.9) -> pd.DataFrame:
        """Common effects, variance components ...; see :func:`pymc_vmrp.summary`."""
        from pymc_vmrp.summaries.summary import summary

        return summary(self, idata, ci_prob)

    def to_pymc(self) -> pm.Model:
        """The same model as a ``pm.Model``: the same joint density, on cells, non-centred.

        As in Bambi, its ``Intercept`` is the one at the centre of the predictors.
        """
        from pymc_vmrp.mcmc.build import build_pymc

        return build_pymc(self.glmm)

    def __repr__(self) -> str:
        glmm = self.glmm
        n = len(self.observations.cell)
        lines = [
            f"Formula: {self.formula}",
            f"Family: {self.family} ({self.link} link), modelling {self._event}",
            f"Data: {n:,} rows in {glmm.n_cells:,} cells; {glmm.n_coefficients:,} coefficients",
        ]
        for group in glmm.groups:
            if group.title is None:
                lines.append(f"  ({group.name}): {len(group.levels)} levels, {group.prior}")
            else:
                lines.append(f"  {group.title}: {group.size} effects, {group.prior}")
        return "\n".join(lines)
