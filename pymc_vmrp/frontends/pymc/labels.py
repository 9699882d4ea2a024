"""What elements of Gaussian variables are called: by the coords of their dims, else by position."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from pymc_vmrp.arrays import IndexArray
from pymc_vmrp.frontends.pymc.latents import Latent
from pymc_vmrp.frontends.pymc.reading import Parts


def element_labels(parts: Parts, latent: Latent) -> list[str]:
    """Of each element of z, in order; of a scalar its own name.

    Elements that are none of the variable's own say what they are: "contrast 0", "step 1999".
    """
    if not latent.shape:
        return [latent.name]
    kind = f"{latent.element} " if latent.element else ""
    return [kind + ", ".join(one) for one in product(*_axes(parts, latent))]


def block_labels(parts: Parts, latents: IndexArray, elements: IndexArray) -> tuple[str, ...]:
    """Of elements of one variable; of several, with the names of the variables."""
    found = {j: element_labels(parts, parts.latents[j]) for j in np.unique(latents).tolist()}
    pairs = list(zip(latents.tolist(), elements.tolist(), strict=True))
    if len(found) == 1:
        return tuple(found[j][e] for j, e in pairs)
    names = {j: _named(parts.latents[j], labels) for j, labels in found.items()}
    return tuple(names[j][e] for j, e in pairs)


def vector_labels(
    parts: Parts, latent: Latent, elements: IndexArray
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of levels, and of effects, for ``elements`` (L, d) of which one axis of z is the effects."""
    axes = _axes(parts, latent)
    if len(axes) == 1:
        return ("0",), tuple(axes[0])
    first = np.array(np.unravel_index(elements[0], latent.shape))
    axis = int(np.argmax((first != first[:, :1]).any(1)))
    others = [labels for k, labels in enumerate(axes) if k != axis]
    return tuple(", ".join(one) for one in product(*others)), tuple(axes[axis])


def _named(latent: Latent, labels: Sequence[str]) -> list[str]:
    return [f"{latent.name}[{label}]" for label in labels] if latent.shape else list(labels)


def _axes(parts: Parts, latent: Latent) -> list[list[str]]:
    """Labels along each axis of z: coords where there is one for each, and no two are alike."""
    dims = parts.frozen.named_vars_to_dims.get(latent.name) or ()
    out = []
    for axis, n in enumerate(latent.shape):
        coords = parts.frozen.coords.get(dims[axis]) if axis < len(dims) else None
        labels = [] if coords is None else list(map(str, coords))
        is_known = len(labels) == n == len(set(labels))
        out.append(labels if is_known else list(map(str, range(n))))
    return out
