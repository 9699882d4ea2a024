"""RMSE of pygam on the data of ``smooths.py``, run by an interpreter that has numpy and pygam.

pygam wants an older scipy than this project's, hence an environment of its own:
``python pygam_reference.py data.npz out.csv``.
"""

from __future__ import annotations

import csv
import sys

import numpy as np
from pygam import LinearGAM, LogisticGAM, s


def main(data: str, out: str) -> None:
    """Fit every replication with pygam's defaults, λ by its grid search."""
    arrays = np.load(data)
    family = str(arrays["family"])
    with open(out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["family", "seed", "f0", "f1", "f2", "f3"])
        for seed, (x, y, truth) in enumerate(
            zip(arrays["x"], arrays["y"], arrays["truth"], strict=True)
        ):
            gam = (LinearGAM if family == "gaussian" else LogisticGAM)(s(0) + s(1) + s(2) + s(3))
            gam.gridsearch(x, y, progress=False)
            errors = []
            for i in range(4):
                error = gam.partial_dependence(term=i, X=x) - truth[:, i]
                errors.append(float(np.std(error)))
            writer.writerow([family, seed, *errors])


if __name__ == "__main__":
    main(*sys.argv[1:])
