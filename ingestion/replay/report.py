"""What a replay did: the report of a run, and which rows stay where they are."""

from dataclasses import dataclass, field

from ingestion.report import RunReport

__all__ = ["ReplayReport"]


@dataclass
class ReplayReport(RunReport):
    """Counts balance as those of a run; rows_read are the rows as they were read, however many were made of each."""

    replayed: int = 0  # quarantined rows that were brought anew, those included that are in quarantine again
    left: dict[str, int] = field(default_factory=dict)  # quarantined rows that stay as they are, by reason

    def begin_anew(self, reason: str) -> "ReplayReport":
        """A report of the same load whose reading starts over."""
        return ReplayReport(self.job, self.run_id, self.load_id, self.start_time, restarts=[*self.restarts, reason])

    def warn_of_replaced(self) -> None:
        """Say in a warning how many rows of the table gave way to rows that nothing says are newer."""
        replaced = sum(self.changes.get(name, 0) for name in ("updated", "deleted"))
        if replaced:
            were = "was" if replaced == 1 else "were"
            self.warnings.append(
                f"{_rows(replaced)} of the table with the same merge_keys {were} replaced or deleted by replayed ones, "
                f"which may be older; set loader.order_by to the column that says which row is newer, and look at "
                f"those rows"
            )

    def sentence(self) -> str:
        """The outcome in one line for people."""
        if self.status == "failed":
            return super().sentence()
        stays = "".join(f"; {_rows(count)} cannot be replayed: {reason}" for reason, count in self.left.items())
        if not self.replayed:
            return f"{self.job}: nothing to replay{stays}"
        outcome = super().sentence().removeprefix(f"{self.job}: ").replace(" quarantined", " quarantined again", 1)
        return f"{self.job}: {_rows(self.replayed)} replayed: {outcome}{stays}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
