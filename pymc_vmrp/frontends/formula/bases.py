"""Bases of penalised smooths, each as a polynomial null space and effects u ~ N(0, σ² I).

A smooth is f(x) = Σ_l b_l(x) δ_l with the penalty δ'Sδ on its roughness. Where S = UDU', the
functions Z = b U₊ D₊^(−½) of the positive eigenvalues have the penalty u'u, which is the prior
u ~ N(0, σ² I) of a mixed model; what S does not penalise are polynomials (Ruppert, Wand & Carroll
2003, section 4.9; Wood 2017, sections 5.4 and 5.8). The functions are then made orthogonal to
these polynomials over the data, rotated so that they are orthogonal to each other, and scaled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import BSpline, CubicSpline, PPoly
from scipy.linalg import eigh, qr, solve
from scipy.sparse.linalg import eigsh

from pymc_vmrp.arrays import FloatArray

_MOST_KNOTS = 2000  # of a thin plate spline, as in mgcv
_DEGREE = 3  # of B-splines


@dataclass(frozen=True)
class Penalised:
    """Functions of a scaled predictor and their penalty.

    Attributes
    ----------
    functions : PPoly
        K piecewise cubics.
    penalty : ndarray, shape (K, K)
        S, so that the roughness of the functions times δ is δ'Sδ.
    rank : int
        Rank of S.
    null : int
        What the penalty leaves free: polynomials of a lower degree than this. Where S has full
        rank, the functions themselves do not span them.
    """

    functions: PPoly
    penalty: FloatArray
    rank: int
    null: int


@dataclass(frozen=True)
class Basis:
    """A smooth's basis as remembered for new data.

    Attributes
    ----------
    functions : PPoly
        Piecewise cubics in (x − middle)/half, one for each of L effects.
    low, high : float
        Range of the scaled predictor; outside of it the functions go on along their tangents.
    middle, half : float
        Middle of the data's range, and half of it.
    null : int
        How many polynomials (1, x, ...) the penalty leaves free.
    offset : ndarray, shape (null, L)
        Multiples of these polynomials that are subtracted from the functions.
    mean : float
        Mean of the scaled predictor over the data.
    centred : bool
        Whether the constant belongs to the intercept, and not to the smooth.
    """

    functions: PPoly
    low: float
    high: float
    middle: float
    half: float
    null: int
    offset: FloatArray
    mean: float
    centred: bool

    @property
    def size(self) -> int:
        """Number L of penalised functions."""
        return int(self.offset.shape[1])

    @property
    def polynomials(self) -> int:
        """Number of unpenalised functions, the constant left out of a centred smooth."""
        return self.null - int(self.centred)

    def scaled(self, factor: float) -> Basis:
        """The basis with its penalised functions multiplied by a number."""
        functions = PPoly(self.functions.c * factor, self.functions.x)
        return replace(self, functions=functions, offset=self.offset * factor)

    def evaluate(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Unpenalised functions, shape (N, polynomials), and penalised ones, shape (N, L).

        A centred smooth has x − mean(x) for its linear part, in the units of x.
        """
        t = (np.asarray(x, dtype=float) - self.middle) / self.half
        powers = _powers(t, self.null)
        values = evaluate_linearly_beyond(self.functions, t, self.low, self.high)
        values -= powers @ self.offset
        free = powers[:, int(self.centred) :].copy()
        if self.null > 1:
            free[:, -1] = (t - self.mean) * self.half if self.centred else x
        return free, values


def fit_basis(
    x: FloatArray, weights: FloatArray, kind: str, k: int, order: int, centred: bool
) -> Basis:
    """The basis of a smooth of ``x``.

    Parameters
    ----------
    x : ndarray, shape (N,)
        At least ``k`` distinct values.
    weights : ndarray, shape (N,)
        Over what the functions are centred, made orthogonal and scaled; not all zero.
    kind : {"tp", "cr", "bs"}
    k : int
        Number of basis functions, the unpenalised ones included.
    order : int
        Order of the penalty; 2 for "tp" and "cr".
    centred : bool
        Whether the smooth leaves the constant to the intercept.

    Notes
    -----
    The average over the data of the prior variance σ² Σ_l z_l(x)² is σ²: σ is the typical size of
    the smooth's deviation from its polynomial part.
    """
    low, high = float(x.min()), float(x.max())
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    t, position = np.unique((x - middle) / half, return_inverse=True)
    w = np.bincount(position, weights=weights, minlength=len(t))
    share = w / w.sum()
    raw = BASES[kind](t, k, order)
    root = _inverse_root(raw.penalty, raw.rank)
    functions = raw.functions
    values = functions(t) @ root
    powers = _powers(t, raw.null)
    offset = _project(powers, values, share)
    values -= powers @ offset
    rotation = _principal_axes(values, share)
    # the average over the data of Σ_l z_l(x)² becomes 1
    rotation /= np.sqrt((share @ (values @ rotation) ** 2).sum())
    combined = PPoly(np.tensordot(functions.c, root @ rotation, axes=1), functions.x)
    return Basis(
        functions=combined,
        low=float(t[0]),
        high=float(t[-1]),
        middle=middle,
        half=half,
        null=raw.null,
        offset=offset @ rotation,
        mean=float(share @ t),
        centred=centred,
    )


def evaluate_linearly_beyond(
    functions: PPoly, t: FloatArray, low: float, high: float
) -> FloatArray:
    """Values, shape (N, L), continued along the tangents outside of low and high."""
    inside = np.clip(t, low, high)
    values = np.asarray(functions(inside))
    beyond = t != inside
    if beyond.any():
        slopes = functions(inside[beyond], nu=1)
        values[beyond] += slopes * (t - inside)[beyond, None]
    return values


def _powers(t: FloatArray, null: int) -> FloatArray:
    return np.vander(t, null, increasing=True)


def _inverse_root(penalty: FloatArray, rank: int) -> FloatArray:
    """U₊ D₊^(−½) of the ``rank`` largest eigenvalues."""
    values, vectors = eigh(penalty)
    return vectors[:, -rank:] / np.sqrt(values[-rank:])


def _project(powers: FloatArray, values: FloatArray, share: FloatArray) -> FloatArray:
    """Coefficients of the weighted least squares of ``values`` on polynomials."""
    root = np.sqrt(share)[:, None]
    return np.linalg.lstsq(root * powers, root * values, rcond=None)[0]


def _principal_axes(values: FloatArray, share: FloatArray) -> FloatArray:
    """The rotation to orthogonal functions, smoothest first (Demmler & Reinsch 1975)."""
    _, vectors = eigh(values.T @ (share[:, None] * values))
    vectors = vectors[:, ::-1]
    # a sign for each, so that platforms agree
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.sign(vectors[largest, np.arange(len(largest))])


# --- the bases -----------------------------------------------------------------------------------


def thin_plate(t: FloatArray, k: int, order: int) -> Penalised:
    """Thin plate regression spline in one dimension with a penalty on f″ (Wood 2003).

    The full spline Σ_j δ_j |t − t_j|³/12 with Σ δ_j = Σ δ_j t_j = 0 is truncated to the
    eigenvectors of the largest eigenvalues. In one dimension it is a natural cubic spline with
    knots t_j, so that the truncated functions are held, exactly, as such.
    """
    knots = _subsample(t, _MOST_KNOTS)
    distances = np.abs(knots[:, None] - knots[None]) ** 3 / 12
    if k < len(knots) // 2:
        # a fixed start: the same vectors each time
        start = np.linspace(-1.0, 1.0, len(knots)) ** 2 + 0.1 * np.linspace(-1.0, 1.0, len(knots))
        values, vectors = eigsh(distances, k=k, which="LM", v0=start)
    else:
        values, vectors = eigh(distances)
        largest = np.argsort(np.abs(values))[-k:]
        values, vectors = values[largest], vectors[:, largest]
    # δ = vectors·a with T'vectors·a = 0
    constraint = _powers(knots, 2).T @ vectors
    free = qr(constraint.T)[0][:, 2:]
    penalty = free.T @ (values[:, None] * free)
    functions = CubicSpline(knots, (vectors * values) @ free, bc_type="natural")
    return Penalised(PPoly(functions.c, functions.x), 0.5 * (penalty + penalty.T), k - 2, 2)


def cubic_regression(t: FloatArray, k: int, order: int) -> Penalised:
    """Natural cubic spline with k knots at quantiles, penalty ∫f″² (Wood 2017, section 5.3.1)."""
    knots = np.quantile(t, np.linspace(0, 1, k))
    step = np.diff(knots)
    functions = CubicSpline(knots, np.eye(k), bc_type="natural")
    curvature = functions(knots, nu=2)  # f″ at the knots, linear between them
    gram = np.zeros((k, k))
    i = np.arange(k - 1)
    gram[i, i] += step / 3
    gram[i + 1, i + 1] += step / 3
    gram[i, i + 1] += step / 6
    gram[i + 1, i] += step / 6
    return Penalised(PPoly(functions.c, functions.x), curvature.T @ gram @ curvature, k - 2, 2)


def b_spline(t: FloatArray, k: int, order: int) -> Penalised:
    """Cubic P-spline: even knots, differences of coefficients penalised (Eilers & Marx 1996)."""
    low, high = float(t[0]), float(t[-1])
    n_intervals = k - _DEGREE
    step = (high - low) / n_intervals
    knots = low + step * np.arange(-_DEGREE, n_intervals + _DEGREE + 1)
    splines = BSpline(knots, np.eye(k), _DEGREE)
    breaks = knots[_DEGREE : _DEGREE + n_intervals + 1]
    taylor = [splines(breaks[:-1], nu=nu) / math.factorial(nu) for nu in range(_DEGREE, -1, -1)]
    differences = np.diff(np.eye(k), n=order, axis=0)
    return Penalised(PPoly(np.stack(taylor), breaks), differences.T @ differences, k - order, order)


def _subsample(t: FloatArray, most: int) -> FloatArray:
    """At most so many of the sorted values, evenly by rank, the first and the last included."""
    if len(t) <= most:
        return t
    return t[np.linspace(0, len(t) - 1, most).round().astype(np.int64)]


BASES: dict[str, Callable[[FloatArray, int, int], Penalised]] = {
    "tp": thin_plate,
    "cr": cubic_regression,
    "bs": b_spline,
}
SMALLEST = {"tp": 3, "cr": 3, "bs": _DEGREE + 2}  # k of each


def random_walk(n: int) -> tuple[FloatArray, FloatArray]:
    """Levels of a random walk from its steps, shape (n, n − 1), and steps from levels.

    The levels sum to zero, and differ by the steps: f = D⁺u with D the matrix of differences. With
    u ~ N(0, σ² I) this is the intrinsic random walk of first order under a sum-to-zero constraint
    (Rue & Held 2005, section 3.3.1).
    """
    differences = np.diff(np.eye(n), axis=0)
    return solve(differences @ differences.T, differences, assume_a="pos").T, differences
