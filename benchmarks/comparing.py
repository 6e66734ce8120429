"""Several ways of doing the same: run in turn, held to the same result, and set beside each other."""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from measuring import apart

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Timing:
    """One measured process."""

    case: str
    inner_seconds: float  # the work itself, as the process says
    seconds: float  # the whole process
    cpu_seconds: float
    peak_mb: float


OneTiming = TypeVar("OneTiming", bound=Timing)


def parser(text: str | None, rows: int = 5_000_000) -> argparse.ArgumentParser:
    """The arguments that every benchmark takes."""
    found = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--rows", type=int, default=rows)
    found.add_argument("--repeat", type=int, default=3)
    found.add_argument("--data", type=Path, default=HERE / "data", help="where files are written; needs 3 x the input")
    found.add_argument("--json", type=Path, help="write every measurement to this file, too")
    return found


def made(path: Path, write: Callable[[Path, int], object], rows: int) -> None:
    """Have *path* written with so many rows unless it is there; then read it, for it to be in the page cache."""
    if not path.exists():
        print(f"writing {path} ...", flush=True)
        apart(write, path, rows)
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def hold(case: str, stored: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    """End the benchmark where *case* stored other data than it should have."""
    if stored != wanted:
        pairs = {name: (wanted.get(name), stored.get(name)) for name in [*wanted, *(stored.keys() - wanted.keys())]}
        wrong = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        raise SystemExit(f"{case} stored other data (expected, found): {wrong}")


def in_turn(measures: Mapping[str, Callable[[], OneTiming]], repeat: int) -> list[OneTiming]:
    """Each of *measures* once, and so *repeat* times, telling of each as it ends."""
    found = []
    for number in range(1, repeat + 1):
        for name, measure in measures.items():
            found.append(measure())
            print(f"{number}/{repeat} {name:<36}{found[-1].seconds:8.2f} s", flush=True)
    return found


def best(results: Iterable[OneTiming], case: str, by: str = "inner_seconds") -> OneTiming:
    """The fastest run of *case*."""
    return min((one for one in results if one.case == case), key=attrgetter(by))


def aligned(lines: Sequence[Sequence[str]], first: int) -> str:
    """A table for people, the first column *first* characters wide."""
    return "\n".join(f"{line[0]:<{first}}" + "".join(f"{cell:>12}" for cell in line[1:]) for line in lines)


def save(results: Sequence[Timing], path: Path | None) -> None:
    """Write every measurement to *path*, where there is one."""
    if path:
        path.write_text(json.dumps([asdict(one) for one in results], indent=1))
