"""Small frames, healthy at first, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

Rng = np.random.Generator
Mutation = Callable[[pd.DataFrame], pd.DataFrame]

NUMBERS, FACTORS, RESPONSES = ("x", "w"), ("g", "h", "c"), ("y", "k", "n", "z", "p")
LEVELS = {"g": list("abcdef"), "h": ["u", "v", "w"], "c": ["lo", "mid", "hi"]}


def healthy(rng: Rng) -> pd.DataFrame:
    """Responses of every family, two numbers and three factors, in at most 40 rows."""
    n = int(rng.integers(12, 41))
    frame = pd.DataFrame({name: rng.choice(LEVELS[name], n) for name in FACTORS})
    frame["x"] = rng.normal(size=n).round(1)
    frame["w"] = rng.gamma(2, 1, n).round(2) + 0.01
    frame["y"] = rng.integers(0, 2, n)
    frame["n"] = rng.integers(3, 9, n)
    frame["k"] = np.minimum(rng.poisson(2, n), frame["n"])
    frame["z"] = rng.normal(size=n)
    frame["p"] = rng.gamma(2, 1, n) + 0.01
    return frame


def _values(kind: str, rng: Rng, size: int) -> object:
    return {
        "constant": lambda: np.ones(size),
        "zero": lambda: np.zeros(size),
        "missing": lambda: np.where(rng.random(size) < 0.3, np.nan, 1.0),
        "all missing": lambda: np.full(size, np.nan),
        "infinite": lambda: np.where(rng.random(size) < 0.3, np.inf, 1.0),
        "huge": lambda: rng.normal(size=size) * 1e300,
        "large": lambda: rng.normal(size=size) * 1e8,
        "tiny": lambda: rng.normal(size=size) * 1e-300,
        "small": lambda: rng.normal(size=size) * 1e-8,
        "far": lambda: 1e9 + rng.normal(size=size),
        "negative": lambda: -np.abs(rng.normal(size=size)),
        "integers": lambda: rng.integers(-5, 5, size),
        "text": lambda: rng.choice(["1", "2", "x"], size),
        "empty text": lambda: rng.choice(["", " ", "a"], size),
        "markup": lambda: rng.choice(["[/]", "[red]", "=1+1", "\x1b[31m", "a\x00", "a"], size),
        "unicode": lambda: rng.choice(["é", "e\u0301", "日本", "🙂"], size),
        "boolean": lambda: rng.random(size) < 0.5,
        "nullable": lambda: pd.array(np.where(rng.random(size) < 0.3, None, 1), dtype="Int64"),
        "nullable boolean": lambda: pd.array(rng.random(size) < 0.5, dtype="boolean"),
        "dates": lambda: pd.date_range("2020-01-01", periods=size).to_numpy(),
        "time zones": lambda: pd.date_range("2020-01-01", periods=size, tz="UTC"),
        "periods": lambda: pd.period_range("2020-01", periods=size, freq="M"),
        "durations": lambda: pd.to_timedelta(rng.integers(0, 9, size), unit="D"),
        "complex": lambda: rng.normal(size=size) + 1j,
        "objects": lambda: [[1], (2,), {3}] * (size // 3) + [None] * (size % 3),
        "mixed": lambda: [1, "a", None, 2.5] * (size // 4) + [True] * (size % 4),
        "category": lambda: pd.Categorical(rng.choice(list("ab"), size), list("abc")),
        "ordered": lambda: pd.Categorical(rng.choice(list("ab"), size), list("cba"), ordered=True),
        "category of numbers": lambda: pd.Categorical(rng.integers(0, 3, size)),
        "intervals": lambda: pd.cut(rng.normal(size=size), [-9, 0, 9]),
        "unique": lambda: np.arange(size),
        "float32": lambda: rng.normal(size=size).astype(np.float32),
        "float16": lambda: rng.normal(size=size).astype(np.float16),
        "unsigned": lambda: rng.integers(0, 3, size).astype(np.uint8),
        "sparse": lambda: pd.arrays.SparseArray(rng.integers(0, 2, size)),
        "arrow": lambda: pd.array(rng.choice(list("ab"), size), dtype="string[pyarrow]"),
        "one level": lambda: ["only"] * size,
    }[kind]()


KINDS = (
    "constant", "zero", "missing", "all missing", "infinite", "huge", "large", "tiny", "small",
    "far", "negative", "integers", "text", "empty text", "markup", "unicode", "boolean",
    "nullable", "nullable boolean", "dates", "time zones", "periods", "durations", "complex",
    "objects", "mixed", "category", "ordered", "category of numbers", "intervals", "unique",
    "float32", "float16", "unsigned", "sparse", "arrow", "one level",
)  # fmt: skip


# values that a column of each role may well have
SOUND = {
    "numbers": ("float32", "float16", "far", "large", "small", "integers", "negative", "unique"),
    "factors": (
        "text", "empty text", "markup", "unicode", "boolean", "dates", "time zones", "periods",
        "category", "ordered", "category of numbers", "unsigned", "arrow", "integers",
    ),
}  # fmt: skip
SOUND_SHAPES = ("text index", "reversed", "repeated rows", "two indexes", "repeated index")


def replaced(frame: pd.DataFrame, column: str, kind: str, seed: int) -> pd.DataFrame:
    """``frame`` with one column of other values."""
    values = _values(kind, np.random.default_rng(seed), len(frame))
    return frame.assign(**{column: pd.Series(values, index=frame.index)})


def _index(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    labels = {
        "repeated index": np.zeros(len(frame), dtype=int),
        "text index": [f"r{i}" for i in range(len(frame))],
        "missing index": [None] * len(frame),
    }
    return frame.set_axis(labels[kind])


SHAPES: dict[str, Mutation] = {
    "no rows": lambda frame: frame.iloc[:0],
    "one row": lambda frame: frame.iloc[:1],
    "two rows": lambda frame: frame.iloc[:2],
    "repeated index": lambda frame: _index(frame, "repeated index"),
    "text index": lambda frame: _index(frame, "text index"),
    "missing index": lambda frame: _index(frame, "missing index"),
    "two indexes": lambda frame: frame.set_index("n", append=True, drop=False),
    "repeated column": lambda frame: pd.concat([frame, frame[["x"]]], axis=1),
    "no column x": lambda frame: frame.drop(columns="x"),
    "columns of two levels": lambda frame: pd.concat({"a": frame}, axis=1),
    "reversed": lambda frame: frame.iloc[::-1],
    "repeated rows": lambda frame: pd.concat([frame, frame]),
    "all alike": lambda frame: pd.concat([frame.iloc[:1]] * 8),
    "other dtypes": lambda frame: frame.convert_dtypes(),
    "numpy": lambda frame: frame.to_numpy(),
    "dictionary": lambda frame: frame.to_dict("list"),
}
