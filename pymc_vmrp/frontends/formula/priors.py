"""Priors of the terms of a formula: as they were given, or the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError, PriorError
from pymc_vmrp.frontends.bambi_priors import coefficient_prior, is_bambi_prior, scale_prior
from pymc_vmrp.frontends.formula.effects import Block
from pymc_vmrp.frontends.formula.encoder import Encoder
from pymc_vmrp.glmm.priors.covariance import (
    CoefficientPrior,
    CovariancePrior,
    Flat,
    HuangWand,
    Normal,
    named_covariance_prior,
)
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart, check_improper
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.priors.support import check_covariance_prior
from pymc_vmrp.glmm.spec import CommonTerm

DEFAULT_A = 5.0  # of the Huang–Wand prior, times the scale of the response
DEFAULT_SCALE = 2.5  # of a coefficient's prior per sd of its predictor, as rstanarm and Bambi


def checked_priors(
    priors: Mapping[str, Any] | None, encoder: Encoder, parameters: list[str]
) -> dict[str, Any]:
    """Priors by key, with "flat" spelled out; an unknown key or a wrong kind is an error."""
    if priors is None:
        return {}
    if not isinstance(priors, Mapping):
        raise PriorError("priors must be a dict such as {'common': Normal(0, 1)}.")
    common = {"common", *(term.name for term in encoder.common_terms)}
    if encoder.intercept:
        common.add("Intercept")
    group = {"group_specific"}
    for block in encoder.blocks:
        group |= set(prior_keys(block))
    for smooth in encoder.smooths:
        group |= {"smooths", smooth.name, *(block.title for block in smooth.blocks)}
    checked = {}
    for key, prior in priors.items():
        if key in parameters and key not in common:
            continue  # read with the family's parameters
        if key not in common | group:
            raise PriorError(
                f"priors has the key {key!r}, but the model has no such term. Its terms are "
                f"{', '.join(map(repr, sorted(common | group | set(parameters))))}."
            )
        if isinstance(prior, str) and key in common and prior.lower() == "flat":
            prior = Flat()
        elif is_bambi_prior(prior):
            prior = (coefficient_prior if key in common else scale_prior)(prior, key)
        elif isinstance(prior, str) and key in group:
            prior = named_covariance_prior(prior.lower()) or prior
        kind, wanted = (
            (CoefficientPrior, "Normal, Flat, StudentT, Laplace, Cauchy or Horseshoe")
            if key in common
            else (
                CovariancePrior,
                "HuangWand, InverseWishart, LKJ, a prior on one sd, or one of 'mean_exists', "
                "'jeffreys', 'limit' and 'uniform'",
            )
        )
        if not isinstance(prior, kind):
            raise PriorError(f"The prior of {key!r} must be {wanted}, not {prior!r}.")
        checked[key] = prior
    return checked


def prior_keys(block: Block) -> list[str]:
    """Names under which a block's prior may be given: the whole term, or any of its effects."""
    expressions = list(dict.fromkeys(effect.expression for effect in block.effects))
    names = ["+".join(expressions), *expressions]
    return list(dict.fromkeys(f"{name}|{block.factor.name}" for name in names))


def covariance_prior(block: Block, priors: dict[str, Any], scales: FloatArray) -> CovariancePrior:
    """The prior given, or one that follows ``scales``: of η per unit of each effect's column."""
    name, *effects = prior_keys(block)
    given = [priors[key] for key in (name, *effects) if key in priors]
    if any(prior != given[0] for prior in given):
        raise PriorError(f"The effects of {name!r} share one covariance matrix: give one prior.")
    sizes = tuple((DEFAULT_A * scales).tolist())
    alike = len(set(sizes)) == 1
    default = priors.get("group_specific", HuangWand(nu=2, A=sizes[0] if alike else sizes))
    prior: CovariancePrior = given[0] if given else default
    return checked_for(prior, len(block.effects), len(block.factor.levels), name)


def checked_for(prior: CovariancePrior, d: int, levels: int, name: str) -> CovariancePrior:
    """The prior of a block of d effects per level, if it can be that."""
    check_covariance_prior(prior, d, name)
    if isinstance(prior, LKJ) and d == 1:
        return prior.scales(1)[0]
    if isinstance(prior, ImproperInverseWishart):
        check_improper(prior, d, levels, name)
    return prior


def stated_columns(terms: Sequence[CommonTerm], priors: Mapping[str, Any]) -> set[int]:
    """Columns with a prior that somebody wrote for the column as the formula has it."""
    out: set[int] = set()
    for term in terms:
        prior = priors.get(term.name, priors.get("common"))
        if prior is not None and not isinstance(prior, Flat):
            out |= set(range(term.start, term.stop))
    return out


def default_prior(term: CommonTerm, sds: FloatArray, scale: float) -> Normal:
    """Of a common term whose columns have these sds."""
    if (sds == 0).any():
        raise DataError(f"The predictor {term.name!r} is constant where there are trials.")
    if not np.isfinite(sds).all():
        raise DataError(f"The predictor {term.name!r} is of an extreme scale: rescale it.")
    return Normal(0, tuple((DEFAULT_SCALE * scale / sds).tolist()))
