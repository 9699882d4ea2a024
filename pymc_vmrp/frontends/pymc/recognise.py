"""From a pm.Model to a GLMM that is proven to be the same model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pymc_vmrp.errors import ModelError, VmrpError
from pymc_vmrp.frontends.pymc.assemble import assemble
from pymc_vmrp.frontends.pymc.graph import depends_on
from pymc_vmrp.frontends.pymc.likelihood import find_likelihood
from pymc_vmrp.frontends.pymc.predictor import find_predictors, transformed_latents
from pymc_vmrp.frontends.pymc.proof import Constant, prove
from pymc_vmrp.frontends.pymc.quiet import quiet
from pymc_vmrp.frontends.pymc.reading import Parts, print_name, read
from pymc_vmrp.frontends.pymc.refusal import refuse
from pymc_vmrp.frontends.pymc.scales import make_trials
from pymc_vmrp.frontends.pymc.terms import find_terms
from pymc_vmrp.frontends.pymc.translate import Translation
from pymc_vmrp.glmm.spec import GLMM

if TYPE_CHECKING:
    import pymc as pm


@dataclass(frozen=True)
class Recognised:
    """A pm.Model that is a hierarchical GLM.

    Attributes
    ----------
    glmm : GLMM
    translation : Translation
        The way between the variables of both.
    eta, observed : TensorVariable
        The linear predictor, and the observed random variable, in terms of the inputs of ``Parts``.
    log_constant : Constant
        Log density of the pm.Model less that of the GLMM, each in its own variables but for the
        Jacobian between them.
    """

    glmm: GLMM
    translation: Translation
    eta: Any
    observed: Any
    log_constant: Constant


def recognise_model(model: pm.Model) -> Recognised:
    """Write a pm.Model as a GLMM.

    Raises
    ------
    ModelError
        Where it is none: the message names the variable and the reason.
    """
    with quiet():
        try:
            return _recognise(model)
        except VmrpError:
            raise
        except Exception as error:  # what PyTensor and numpy raise where a graph cannot be run
            reason = str(error).strip().split("\n")[0]
            raise ModelError(
                f"The model cannot be evaluated ({type(error).__name__}: {reason}): an index out "
                "of bounds, shapes that do not fit, or a matrix without an inverse would do that. "
                "model.debug() says where."
            ) from error


def _recognise(model: pm.Model) -> Recognised:
    parts = read(model)
    try:
        return _written(parts)
    except ModelError as first:
        names = transformed_latents(parts)
        if not 0 < len(names) < len(parts.latents):
            raise
        try:
            return _written(read(model, names))
        except ModelError:
            raise first from None


def _written(parts: Parts) -> Recognised:
    trials = make_trials(parts)
    predictor, likelihood = find_likelihood(parts, find_predictors(parts), trials)
    likelihood = replace(likelihood, element=predictor.index[likelihood.element])
    terms = find_terms(parts, predictor, trials)
    assembled = assemble(parts, terms, likelihood)
    translation = Translation(parts, terms, likelihood, assembled)
    _check_all_used(translation)
    return Recognised(
        assembled.glmm, translation, predictor.node, predictor.observed, prove(translation)
    )


def _check_all_used(translation: Translation) -> None:
    """Every hyperparameter must have one role."""
    parts: Parts = translation.parts
    roles: dict[tuple[int, int], int] = {}
    scales = [block.scale for block in translation.terms.blocks]
    scales += [scale for vector in translation.terms.vectors for scale in vector.scales]
    scales += [free.scale for free in translation.likelihood.free]
    for scale in scales:
        key = (scale.hyper, scale.element)
        roles[key] = roles.get(key, 0) + 1
    tied = {vector.hyper for vector in translation.terms.vectors}
    for h, hyper in enumerate(parts.hypers):
        if h in tied:
            continue
        for e in range(hyper.size):
            count = roles.get((h, e), 0)
            if count == 0 and not depends_on([parts.observed], [hyper.rv]):
                raise refuse(hyper.name, "is one that the data do not depend on: leave it out")
            if count == 0:
                raise refuse(
                    hyper.name,
                    f"has a prior that is not Gaussian ({print_name(hyper.rv)}), and is a term of "
                    "the linear predictor, or else neither a standard deviation of Gaussian "
                    "variables nor a parameter of the likelihood",
                )
            if count > 1:
                raise refuse(
                    hyper.name, "is a parameter of the likelihood and also a standard deviation of "
                    "Gaussian variables",
                )  # fmt: skip
