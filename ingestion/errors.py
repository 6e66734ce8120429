"""What went wrong, named by its remedy.

IngestionError
  ConfigError        fix the job file, a setting or the call; never retried
  DataError          look at the data; never retried
    BudgetSpent      more bad rows than the job allows; nothing was committed
    RuleBroken       a rule that allows no bad row is broken; nothing was committed
  TransientError     run again; retried with backoff
    Superseded       another run of the same job committed first
    OutcomeUnknown   the commit may or may not have landed; the next run finds out
"""

from typing_extensions import Self

__all__ = [
    "BudgetSpent",
    "ConfigError",
    "DataError",
    "IngestionError",
    "OutcomeUnknown",
    "RuleBroken",
    "Superseded",
    "TransientError",
]


class IngestionError(Exception):
    """Every error that this package raises on purpose; its text says what, where, and what now.

    *veiled* is the same text without any value of the data; None = nobody has looked whether it shows one.
    """

    def __init__(self, text: str = "", *, veiled: str | None = None) -> None:
        super().__init__(text)
        self.veiled = veiled

    @classmethod
    def without_values(cls, text: str) -> Self:
        """An error whose text shows no value of the data, whatever the data is."""
        return cls(text, veiled=text)


class ConfigError(IngestionError):
    """The job file, a setting or the call is wrong; running again changes nothing."""


class DataError(IngestionError):
    """The data is not what the job says it is; running again changes nothing."""


class BudgetSpent(DataError):
    """More rows were rejected than max_bad_rows or max_bad_ratio allow; nothing was committed."""


class RuleBroken(DataError):
    """Rows break a validation rule with on_fail: fail; nothing was committed."""

    def __init__(
        self, message: str, label: str = "", count: int = 0, looked_at: int = 0, *, veiled: str | None = None
    ) -> None:
        super().__init__(message, veiled=veiled)
        self.label = label  # of the rule, as rows are counted by it
        self.count = count  # rows found so far that break it
        self.looked_at = looked_at  # rows so far


class TransientError(IngestionError):
    """Nothing was committed, and the same run may well succeed later."""


class Superseded(TransientError):
    """Another run of the same job committed since this one read its cursor."""


class OutcomeUnknown(TransientError):
    """The catalog did not say whether the commit landed; the next run looks its load id up."""
