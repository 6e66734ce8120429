"""What systems and drivers raise, told by its remedy in every target alike."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ingestion.errors import ConfigError, IngestionError, TransientError
from ingestion.secrets import redact

__all__ = ["first_line", "translating"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def translating(
    what: str,
    extra: str,
    of_storage: Callable[[str, OSError], IngestionError],
    of_driver: Callable[[str, Exception], IngestionError | None],
) -> Iterator[None]:
    """Raise ConfigError, DataError or TransientError, without secrets, for what goes wrong with *what*.

    *of_storage* tells of what no disk says, *of_driver* of the rest; an error that it does not know passes, as a bug.
    """
    try:
        yield
    except IngestionError:
        raise
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "ingestion":
            raise  # a bug of ours, and no driver
        raise ConfigError(f"{what} needs a driver that is not installed ({error}); {extra}") from error
    except OSError as error:
        raise (_of_disk(what, error) or of_storage(what, error)) from error
    except Exception as error:
        known = of_driver(what, error)
        if known is None:
            raise
        raise known from error


def _of_disk(what: str, error: OSError) -> IngestionError | None:
    said = first_line(error)
    if isinstance(error, PermissionError):
        return ConfigError(f"{what}: no permission ({said}); grant it or choose another place")
    if error.errno in _FULL:
        return TransientError(f"{what}: no space left ({said}); free some and run again, nothing was loaded")
    return None


def first_line(error: BaseException) -> str:
    """What *error* says, without secrets; drivers add pages to it."""
    lines = redact(str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__
