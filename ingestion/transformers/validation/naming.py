"""What each rule of a job is called: in counts, in rejected rows and as a check."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ingestion.plugins import Check
from ingestion.transformers.validation.shape import Rule

__all__ = ["Posed", "as_checks", "posed"]

_OTHER = re.compile(r"[^A-Za-z0-9]+")


class Posed(NamedTuple):
    """A rule as it is posed to one column, or to one combination of columns."""

    number: int  # in the list of the job file
    rule: Rule
    columns: tuple[str, ...]  # none where the rule is about whole rows
    told: str  # what the rule is called in rejected rows; no two of one subject have the same

    @property
    def subject(self) -> str | None:
        """The column, or columns, as people are told of them."""
        return ", ".join(self.columns) or None

    @property
    def label(self) -> str:
        """What its rows are counted by."""
        return f"{self.subject}: {self.told}" if self.columns else self.told


def posed(rules: Sequence[Rule]) -> Iterator[Posed]:
    """Every rule for each thing that it checks, in the order of the list."""
    taken: set[str] = set()
    for index, rule in enumerate(rules):
        for columns in rule.subjects():
            name = rule.name or rule.rule
            found = (Posed(index, rule, columns, told) for told in _numbered(name))
            one = next(item for item in found if item.label not in taken)
            taken.add(one.label)
            yield one


def as_checks(rules: Sequence[Rule]) -> tuple[Check, ...]:
    """The rules as checks."""
    names: set[str] = set()
    checks = []
    for item in posed(rules):
        base = _OTHER.sub("_", item.label).strip("_") or item.rule.rule
        name = next(name for name in _numbered(base, "_") if name not in names)
        names.add(name)
        subject = f"{item.subject} " if item.columns and not item.rule.whole else "every row "
        told = f"{subject}{item.rule.demand}"
        checks.append(Check(name, item.label, item.rule.on_fail, told, item.rule.among_rows))
    return tuple(checks)


def _numbered(name: str, separator: str = " ") -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}{separator}{number}"
        number += 1
