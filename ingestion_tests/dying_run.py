"""A process that runs the job orders and is killed: `python -m ingestion_tests.dying_run type moment`.

The moment is reading (after the first batch), or one of `ingestion_tests.dying`'s commits.
"""

import sys
from collections.abc import Iterator

from ingestion.config import JobConfig, load_job
from ingestion.pipeline import Stream
from ingestion.plugins import Batch
from ingestion_tests.dying import arm, die


class Dying(Stream):
    def _changed(self, job: JobConfig, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in super()._changed(job, batches):
            yield batch
            die()


if __name__ == "__main__":
    kind, moment = sys.argv[1:]
    if moment == "reading":
        Dying(load_job("orders"), "killed").load()
    arm(kind, moment)
    Stream(load_job("orders"), "killed").load()
