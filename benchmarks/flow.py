"""A normalizing flow by numpyro, trained on the log density of the pm.Model in JAX."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import pymc_vmrp as vmrp
from benchmarks.approximations import drift
from benchmarks.fitted import Fitted, Settings, need
from benchmarks.unconstrained import Part, ToTree, layout, log_density, points

_REMEDY = "uv sync --group benchmarks"
_PARTICLES = 8  # draws for each gradient
_FIRST_RATE, _LAST_RATE = 5e-3, 5e-5
_NORM = 10.0  # gradients longer than this are shortened


def iaf(model: vmrp.Model, settings: Settings) -> Fitted:
    """Inverse autoregressive flows (Kingma et al. 2016): numpyro's AutoIAFNormal, three of them.

    Adam with clipped gradients and an exponentially decaying rate; 64-bit numbers.
    """
    need("jax", _REMEDY)
    need("numpyro", _REMEDY)
    import jax
    import numpyro
    from numpyro.infer import SVI, Trace_ELBO
    from numpyro.infer.autoguide import AutoIAFNormal

    numpyro.enable_x64()
    start = time.perf_counter()
    pm_model = model.to_pymc()
    parts = layout(pm_model)
    guided = _numpyro_model(_jax_log_density(pm_model, parts), parts[-1].stop)
    guide = AutoIAFNormal(guided)
    rate = _decaying(settings.flow_steps)
    optimizer = numpyro.optim.ClippedAdam(rate, clip_norm=_NORM)
    svi = SVI(guided, guide, optimizer, Trace_ELBO(num_particles=_PARTICLES))
    state = svi.init(jax.random.key(settings.seed))

    def train(state: Any) -> Any:
        step = lambda s, _: svi.update(s)  # noqa: E731
        return jax.lax.scan(step, state, None, length=settings.flow_steps)

    trained = jax.jit(train).lower(state).compile()
    to_tree = ToTree(model.glmm, model.observations, pm_model)
    compiled = time.perf_counter()
    state, losses = jax.block_until_ready(trained(state))
    trained_at = time.perf_counter()
    posterior = guide.get_posterior(svi.get_params(state))
    key = jax.random.key(settings.seed + 1)
    # inverting the flow takes as many passes as there are coordinates, unless the noise is kept
    x, intermediates = posterior.sample_with_intermediates(key, (settings.draws,))
    log_q = np.asarray(posterior.log_prob(x, intermediates))
    draws = points(np.asarray(x), parts)
    tree = to_tree(draws)
    end = time.perf_counter()
    return Fitted(
        tree,
        end - compiled,
        compiled - start,
        log_density(model.glmm, pm_model, draws) - log_q,
        {
            "steps": settings.flow_steps,
            "drift": drift(-np.asarray(losses)),
            "train_s": trained_at - compiled,
        },
    )


def _jax_log_density(pm_model: Any, parts: tuple[Part, ...]) -> Callable[[Any], Any]:
    """Log p(y, θ) of a flat vector, with the Jacobian of the transforms."""
    from pymc.sampling.jax import get_jaxified_logp

    by_name = {part.name: part for part in parts}
    ordered = [by_name[variable.name] for variable in pm_model.value_vars]
    function = get_jaxified_logp(pm_model)  # its `negative_logp` does not make it negative
    return lambda x: function([x[p.start : p.stop].reshape(p.shape) for p in ordered])


def _numpyro_model(log_p: Callable[[Any], Any], size: int) -> Callable[[], None]:
    import numpyro
    import numpyro.distributions as dist

    def model() -> None:
        flat = dist.ImproperUniform(dist.constraints.real_vector, (), (size,))
        numpyro.factor("log_p", log_p(numpyro.sample("x", flat)))

    return model


def _decaying(steps: int) -> Callable[[Any], Any]:
    return lambda i: _FIRST_RATE * (_LAST_RATE / _FIRST_RATE) ** (i / steps)
