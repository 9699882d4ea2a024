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

References
----------
Murray, I. (2016). Differentiation of the Cholesky decomposition. arXiv:1602.07527.
Papaspiliopoulos, O., Roberts, G. O. and Sköld, M. (2007). A general framework for the
parametrization of hierarchical models. Statistical Science 22(1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.compile.builders import OpFromGraph
from pytensor.gradient import DisconnectedType

from pymc_vmrp.mcmc.whitening import Whitening


def whitened_coefficients(whitening: Whitening, xi: Any, entries: Any) -> tuple[Any, Any]:
    """Coefficients b, shape (p,), and log |∂b/∂ξ|.

    Parameters
    ----------
    whitening : Whitening
    xi : TensorVariable, shape (p,)
    entries : TensorVariable, shape (entries,)
        The entries of D(θ).
    """
    outputs: Any = _operation(whitening)(xi, entries)
    return outputs[0], outputs[1]


def _operation(whitening: Whitening) -> OpFromGraph:
    p = whitening.size
    xi = pt.vector("xi", shape=(p,), dtype="float64")
    entries = pt.vector("entries", shape=(whitening.entries,), dtype="float64")
    precision = pt.as_tensor(whitening.matrix)
    if whitening.entries:
        added = entries[whitening.which]
        precision = pt.inc_subtensor(precision[whitening.rows, whitening.columns], added)
    lower = pt.linalg.cholesky(precision)
    inverse = pt.linalg.solve_triangular(lower, pt.as_tensor(np.eye(p)), lower=True)
    coefficients = pt.dot(inverse.T, pt.dot(inverse, whitening.right) + xi)
    diagonal = np.arange(p)
    log_jacobian = -pt.log(lower[diagonal, diagonal]).sum()

    def pullback(inputs: Sequence[Any], outputs: Sequence[Any], by: Sequence[Any]) -> list[Any]:
        zeros = (pt.zeros((p,)), pt.zeros(()))
        g, c = (_or_zero(value, zero) for value, zero in zip(by, zeros, strict=False))
        return _pullback(whitening, inputs[0], outputs[2], g, c)

    return OpFromGraph(
        [xi, entries], [coefficients, log_jacobian, inverse], pullback=pullback, name="Whitened"
    )


def _or_zero(by_output: Any, zero: Any) -> Any:
    """The gradient by an output, which does not reach every input that is asked for."""
    return zero if isinstance(by_output.type, DisconnectedType) else by_output


def _pullback(
    whitening: Whitening, xi: Any, inverse: Any, by_coefficients: Any, by_jacobian: Any
) -> list[Any]:
    by_xi = pt.dot(inverse, by_coefficients)
    zeros = pt.zeros((whitening.entries,))
    if not whitening.entries:
        return [by_xi, zeros]
    mean = pt.dot(inverse.T, pt.dot(inverse, whitening.right))
    response = pt.dot(inverse.T, by_xi)
    products = by_xi[:, None] * inverse
    below = pt.cumsum(products, axis=0) - 0.5 * products
    half = 0.5 * by_jacobian
    rows, columns = whitening.rows, whitening.columns
    if (rows == columns).all():
        moved = inverse * (xi[:, None] * below + half * inverse)
        total = (mean * response + moved.sum(0))[rows]
    else:
        moved = inverse[:, rows] * (xi[:, None] * below[:, columns] + half * inverse[:, columns])
        total = mean[rows] * response[columns] + moved.sum(0)
    return [by_xi, pt.inc_subtensor(zeros[whitening.which], -total)]
