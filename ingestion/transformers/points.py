"""What the points in a column's numbers stand for, as far as its values show it."""

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["LONE_GROUP", "Points"]

LONE_GROUP = r"^[+-]?[1-9]\d{0,2}[.,]\d{3}$"
"""A number whose separator may stand for decimals or for thousands."""


class Points:
    """Remembers values such as 1.234, and whether another value shows that a point stands for decimals."""

    def __init__(self) -> None:
        self.lone: str | None = None  # the first value such as 1.234
        self._count = 0
        self._clear = False

    @property
    def doubtful(self) -> int:
        """How many values may mean a thousand times what was read, where no other value speaks against it."""
        return 0 if self._clear else self._count

    def note(self, text: pa.Array, typed: pa.Array) -> None:
        """Look at numbers of which *typed* are what a decimal point makes of *text*, null for those that are none."""
        if self._clear and self.lone is not None:
            return
        text = pc.utf8_trim_whitespace(text)
        point = pc.find_substring(text, ".")
        pointed = pc.and_(pc.greater_equal(point, 0), pc.is_valid(typed))
        near = pc.and_(pc.greater(point, 0), pc.equal(pc.add(point, 4), pc.binary_length(text)))
        found = text.filter(pc.and_(near, pointed))
        found = found.filter(pc.match_substring_regex(found, LONE_GROUP))
        self._count += len(found)
        self._clear = self._clear or (pc.sum(pointed).as_py() or 0) > len(found)
        if self.lone is None and len(found):
            self.lone = found[0].as_py()

    def note_clear(self, text: pa.Array, seen: pa.BooleanArray) -> None:
        """Look at numbers that only a decimal point explains, those that were *seen*, as 1,234.56 and 12.5 %."""
        if not self._clear:
            self._clear = bool(pc.any(pc.and_(seen, pc.match_substring(text, "."))).as_py())
