"""What it means that rows cannot wait on disk."""

from collections.abc import Iterator
from contextlib import contextmanager

from ingestion.errors import TransientError

__all__ = ["waiting_on_disk"]


@contextmanager
def waiting_on_disk(what: str) -> Iterator[None]:
    """Raise TransientError, beginning with *what* needs the space, in place of OSError.

    Nothing but the writing and reading of temporary files belongs inside: what a source or a target raises is theirs.
    """
    try:
        yield
    except OSError as error:
        raise TransientError(
            f"{what}: rows wait in the temporary folder, and it takes no more ({error}); free space there, or name a "
            f"larger folder in TMPDIR, and run again; nothing was loaded"
        ) from error
