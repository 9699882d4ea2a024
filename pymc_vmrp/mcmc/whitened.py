"""Coefficients as a function of standard normal coordinates and θ, in PyTensor.

b = P⁻¹r + L⁻ᵀξ with P(θ) = LL'. Given the sites' Gaussian, ξ is N(0, I) whatever θ is: neither the
funnel of a centred model is left, nor that of a non-centred one, nor correlations.

The gradient is written out, since autodiff through a Cholesky factor takes several products of
p × p matrices (Murray 2016) where D(θ) has few entries to ask for. With M = L⁻¹, w = Mg for the
gradient g by b, ρ = Mr, m = M'ρ and q = M'w, and dL = LΦ(MdPM'), where Φ keeps the lower triangle
and halves its diagonal (Murray 2016, eq. 8),

    g'db = w'dξ − m'dP q − ξ'Φ(M dP M')w,      d log|∂b/∂ξ| = −½ tr(M dP M').

For dP = e_i e_j' the two sums over Φ and the trace are Σ_a ξ_a M_ai C_aj and Σ_a M_ai M_aj, with
C_aj = Σ_{c<a} M_cj w_c + ½M_aj w_a: O(p) an entry.

Both are PyTensor graphs, which any backend compiles; numba takes ``whitened_kernels.py`` instead.

References
----------
Murray, I. (2016). Differentiation of the Cholesky decomposition. arXiv:1602.07527.
Papaspiliopoulos, O., Roberts, G. O. and Sköld, M. (2007). A general framework for the
parametrization of hierarchical models. Statistical Science 22(1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.compile.builders import OpFromGraph
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.link.numba.dispatch.basic import register_funcify_and_cache_key

from pymc_vmrp.mcmc.whitened_kernels import backward, forward
from pymc_vmrp.mcmc.whitening import Whitening

_PLACES = 3  # inputs that say where the entries of D(θ) are


def whitened_coefficients(whitening: Whitening, xi: Any, entries: Any) -> tuple[Any, Any]:
    """Coefficients b, shape (p,), and log |∂b/∂ξ|.

    Parameters
    ----------
    whitening : Whitening
    xi : TensorVariable, shape (p,)
    entries : TensorVariable, shape (entries,)
        The entries of D(θ).
    """
    w = whitening
    fixed = [pt.as_tensor(value) for value in (w.matrix, w.right, w.rows, w.columns, w.which)]
    inputs = [
        pt.vector("xi", shape=(w.size,), dtype="float64"),
        pt.vector("entries", shape=(w.entries,), dtype="float64"),
        pt.matrix("matrix", shape=(w.size, w.size), dtype="float64"),
        pt.vector("right", shape=(w.size,), dtype="float64"),
        *(pt.lvector(name) for name in ("rows", "columns", "which")),
    ]
    outputs: Any = Whitened(inputs, _forward(*inputs))(xi, entries, *fixed)
    return outputs[0], outputs[1]


class Whitened(OpFromGraph):  # type: ignore[misc]
    """(ξ, entries of D, constants) → (b, log |∂b/∂ξ|, L⁻¹)."""

    def pullback(
        self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]
    ) -> list[Any]:
        """Gradients by ξ and the entries; none by the constants."""
        xi, entries, _, right, *places = inputs
        b, log_jacobian, inverse = outputs
        by = [_or_zero(g, out) for g, out in zip(cotangents, (b, log_jacobian), strict=False)]
        arguments = [xi, right, inverse, *by, entries, *places]
        own = [argument.type() for argument in arguments]
        gradients: Any = WhitenedGradient(own, _backward(*own))(*arguments)
        return [*gradients, *(disconnected_type() for _ in range(2 + _PLACES))]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """Which output depends on which input, the constants left out."""
        xi, entries = [True, False, False], [True, True, True]
        return [xi, entries, *([False] * 3 for _ in range(2 + _PLACES))]


class WhitenedGradient(OpFromGraph):  # type: ignore[misc]
    """What :class:`Whitened` pulls back."""


def _or_zero(by_output: Any, output: Any) -> Any:
    """The gradient by an output, which does not reach every input that is asked for."""
    return pt.zeros_like(output) if isinstance(by_output.type, DisconnectedType) else by_output


def _forward(
    xi: Any, entries: Any, matrix: Any, right: Any, rows: Any, columns: Any, which: Any
) -> list[Any]:
    precision = pt.inc_subtensor(matrix[rows, columns], entries[which])
    lower = pt.linalg.cholesky(precision)
    inverse = pt.linalg.solve_triangular(lower, pt.eye(xi.type.shape[0]), lower=True)
    coefficients = pt.dot(inverse.T, pt.dot(inverse, right) + xi)
    diagonal = np.arange(xi.type.shape[0])
    return [coefficients, -pt.log(lower[diagonal, diagonal]).sum(), inverse]


def _backward(
    xi: Any, right: Any, inverse: Any, by_coefficients: Any, by_jacobian: Any,
    entries: Any, rows: Any, columns: Any, which: Any,
) -> list[Any]:  # fmt: skip
    by_xi = pt.dot(inverse, by_coefficients)
    mean = pt.dot(inverse.T, pt.dot(inverse, right))
    response = pt.dot(inverse.T, by_xi)
    products = by_xi[:, None] * inverse
    below = pt.cumsum(products, axis=0) - 0.5 * products
    weights = xi[:, None] * below + 0.5 * by_jacobian * inverse
    total = mean[rows] * response[columns] + (inverse[:, rows] * weights[:, columns]).sum(0)
    return [by_xi, pt.inc_subtensor(pt.zeros_like(entries)[which], -total)]


@register_funcify_and_cache_key(Whitened)  # type: ignore[untyped-decorator]
def _numba_forward(op: Whitened, **_: Any) -> tuple[Callable[..., Any], str]:
    return forward, "pymc_vmrp.whitened.forward.1"


@register_funcify_and_cache_key(WhitenedGradient)  # type: ignore[untyped-decorator]
def _numba_backward(op: WhitenedGradient, **_: Any) -> tuple[Callable[..., Any], str]:
    return backward, "pymc_vmrp.whitened.backward.1"
