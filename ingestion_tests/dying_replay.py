"""A process that replays the job orders and is killed: `python -m ingestion_tests.dying_replay type moment`.

The moment is reading (before the first row is transformed), or one of `ingestion_tests.dying`'s commits.
"""

import sys
from collections.abc import Iterator

from ingestion.config import JobConfig, load_job
from ingestion.plugins import Batch
from ingestion.replay import Replay
from ingestion_tests.dying import arm, die


class Dying(Replay):
    def _changed(self, job: JobConfig, batches: Iterator[Batch]) -> Iterator[Batch]:
        die()
        return super()._changed(job, batches)


if __name__ == "__main__":
    kind, moment = sys.argv[1:]
    if moment == "reading":
        Dying(load_job("orders"), "killed").load()
    arm(kind, moment)
    Replay(load_job("orders"), "killed").load()
