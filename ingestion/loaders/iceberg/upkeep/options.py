"""What upkeep may throw away."""

from pydantic import Field

from ingestion.model import Model

__all__ = ["UpkeepOptions"]


class UpkeepOptions(Model):
    """How much of a table's past is kept."""

    enabled: bool = True
    """Whether the table is looked after; off where another tool does that."""
    compact: bool = True
    """Whether small files, and files many of whose rows are marked as deleted, are written anew."""
    keep_snapshots: int = Field(100, ge=1)
    """The newest snapshots that stay: as far back can the table be read as it was, and runs be taken back."""
    min_age_hours: float = Field(24, ge=0)
    """Younger snapshots stay, too. It must be longer than the longest run takes."""
    orphans_older_than_hours: float = Field(72, ge=1)
    """Files that nothing refers to are deleted once they are older. It must be longer than the longest run takes."""

    def careful(self, other: "UpkeepOptions") -> "UpkeepOptions":
        """What throws away, and does, only what both would."""
        both = {name: getattr(self, name) and getattr(other, name) for name in ("enabled", "compact")}
        longest = ("keep_snapshots", "min_age_hours", "orphans_older_than_hours")
        most = {name: max(getattr(self, name), getattr(other, name)) for name in longest}
        return self.model_copy(update={**both, **most})
