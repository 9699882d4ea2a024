"""`python -m tests.fuzz FIRST LAST`: the failures among these inputs, each once, and made small."""

from __future__ import annotations

import sys

from tests.fuzz.cases import make
from tests.fuzz.outcome import AREAS, run, smallest


def main(first: int, last: int) -> None:
    """Print the first input of each kind of failure."""
    seen: dict[str, list[int]] = {}
    kinds: dict[str, int] = {}
    for seed in range(first, last):
        case = make(seed)
        outcome = run(case)
        kinds[outcome.kind] = kinds.get(outcome.kind, 0) + 1
        if outcome.failed:
            if outcome.key not in seen:
                area = AREAS.get(outcome.stage, "results")
                print(f"[{area}] {outcome.kind}: {outcome.what}", flush=True)
                print(f"    {smallest(case, outcome)}", flush=True)
            seen.setdefault(outcome.key, []).append(seed)
    print(kinds)
    for key, seeds in seen.items():
        print(f"{len(seeds):5d}  {key}  (seeds {seeds[:5]})")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
