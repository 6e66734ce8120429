"""Which columns of a source hold what is to be masked."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Generic, TypeVar

__all__ = ["Sources", "hidden"]

M = TypeVar("M")


class _Every(frozenset[str]):
    """All columns that there are."""

    def __contains__(self, column: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True


def hidden(masked: Collection[str], made: frozenset[str] | None) -> frozenset[str]:
    """The columns that may hold values of *masked* ones before these are masked; *made* by steps, None = any may be."""
    if not masked:
        return frozenset()
    return _Every() if made is None or made.intersection(masked) else made.union(masked)


class Sources(Generic[M]):
    """Follows masked columns back to the source: by name, or not at all where steps make them of others."""

    def __init__(
        self,
        maskers: Mapping[str, M],
        renamed: Callable[[list[str]], list[str]],
        written: frozenset[str] | None,
    ) -> None:
        self._maskers = maskers
        self._renamed = renamed
        self._written = written
        self._traced = written is not None and not written.intersection(maskers)
        self._found: dict[tuple[str, ...], dict[str, M] | None] = {}

    def of(self, names: Sequence[str]) -> Mapping[str, M] | None:
        """Those of the source's columns *names* that are masked; None where each of them may be what is masked."""
        key = tuple(names)
        if key not in self._found:
            self._found[key] = self._follow(key)
        return self._found[key]

    def lacking(self, names: Sequence[str]) -> list[str]:
        """The masked columns that nothing can make of the source's columns *names*."""
        if not self._traced or not names:
            return []
        new = set(self._renamed(list(names)))
        return [column for column in self._maskers if column not in new]

    def shows(self, columns: str | None) -> bool:
        """Whether values of *columns*, one or several with commas between, have nothing to do with masked ones.

        A column that no step makes or changes has not; None = any columns.
        """
        if not self._traced:
            return False
        if columns is None:
            return not self._written
        named = {columns, *columns.split(", ")}
        return named.isdisjoint(self._maskers) and named.isdisjoint(self._written or ())

    def _follow(self, names: tuple[str, ...]) -> dict[str, M] | None:
        if not self._traced:
            return None
        new = self._renamed(list(names))
        found = {old: self._maskers[name] for old, name in zip(names, new, strict=True) if name in self._maskers}
        return found if len(found) == len(self._maskers) else None
