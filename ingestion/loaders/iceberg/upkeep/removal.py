"""Files that nothing needs any more, deleted."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.io import FileIO

__all__ = ["delete"]


def delete(io: "FileIO", paths: Iterable[str]) -> int:
    """How many were deleted; one that is gone already does not count, one that resists is left to the next time."""
    count = 0
    for path in paths:
        try:
            io.delete(path)
        except OSError:  # gone, or not ours to delete
            continue
        count += 1
    return count
