"""What becomes of rows for which an expression has no result."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion import quarantine
from ingestion.plugins import Batch
from ingestion.secrets import redact
from ingestion.transformers.expressions import Expression, Results
from ingestion.transformers.steps import BatchStep, failure, kept, spot
from ingestion.transformers.transformations.shape import Place

__all__ = ["Filtering", "settled"]

_LONGEST = 200
_SHOWN = 100


class Filtering(BatchStep):
    """Keeps the rows for which a condition is true; one that is null is not."""

    def __init__(self, condition: str, place: Place) -> None:
        self._expression = Expression.parse(condition, place.zone)
        self._place = place
        shown = redact(condition)
        self._reason = f"filter: {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}"

    def change(self, batch: Batch) -> Batch:
        """The batch with the rows that pass; raises ConfigError where the expression is no condition."""
        results = self._expression.decide(batch.records, self._place, batch.origin, self._place.hidden)
        batch, values = settled(batch, results, self._place)
        return kept(batch, values, self._reason)


def settled(batch: Batch, results: Results, place: Place, column: str | None = None) -> tuple[Batch, pa.Array]:
    """The batch and the values without the rows that have no result: rejected, or null, or the end of the run."""
    if not len(results.faulty):
        return batch, results.values
    if place.on_error == "fail":
        position = batch.origin.at(results.faulty[:1])[0].as_py()
        where = f"{spot(batch.origin.source, position)}: {place}"
        raise failure(where, results.reasons[0].as_py())  # which shows no value of a hidden column
    if place.on_error == "null":
        emptied = Counter(batch.emptied)
        emptied[f"{column}: {place.rule}" if column else place.rule] += len(results.faulty)
        return batch._replace(emptied=emptied), results.values
    rejected = quarantine.reject(
        batch.records,
        results.faulty,
        batch.origin,
        stage="transform",
        rule=place.rule,
        reasons=results.reasons,
        columns=column,
        values=pc.utf8_slice_codeunits(results.operands, 0, _LONGEST),
    )
    good = pa.array(np.delete(np.arange(batch.records.num_rows), results.faulty.to_numpy()))
    batch = batch._replace(
        records=batch.records.take(good),
        origin=batch.origin.take(good),
        rejected=quarantine.concat([batch.rejected, rejected]),
    )
    return batch, results.values.take(good)
