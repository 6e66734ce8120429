"""The step that holds every row to the rules, in their order."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestion import quarantine
from ingestion.errors import RuleBroken
from ingestion.plugins import BAD_ROW, Batch
from ingestion.transformers.steps import Seen, Step, spot
from ingestion.transformers.validation.naming import Posed
from ingestion.transformers.validation.shape import Judge, Site, shown

__all__ = ["Validation"]


class Validation(Step):
    """Takes the rows that break a rule out, each by the first that it breaks, or tells of them."""

    def __init__(self, rules: Sequence[Posed], key: str, zone: str) -> None:
        self._rules = rules
        self._sites = [Site(f"{key}[{item.number}]", zone) for item in rules]
        self._judges: list[Judge] = []
        self._seen = Seen()
        self._looked_at = 0

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches with the rows that stay; raises RuleBroken where a rule with on_fail: fail is broken."""
        try:
            for batch in batches:
                yield self._judged(batch) if batch.records.num_columns else batch
            for item, site in zip(self._rules, self._sites, strict=True):
                self._seen.require(item.columns, site.key.removeprefix("transformer."))
        finally:
            for judge in self._judges:
                judge.close()

    def _judged(self, batch: Batch) -> Batch:
        self._seen.note(batch.records.schema.names)
        for item, site in zip(self._rules[len(self._judges) :], self._sites[len(self._judges) :], strict=True):
            self._judges.append(item.rule.judge(item.columns, site))  # one by one: each is closed, whatever follows
        verdict = _Verdict(batch)
        for item, site, judge in zip(self._rules, self._sites, self._judges, strict=True):
            verdict.hold(item, judge, site, self._looked_at)
        self._looked_at += batch.records.num_rows
        return verdict.settled()


class _Verdict:
    """What becomes of the rows of one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._standing: pa.Array | None = None  # indices of the rows that broke no rule so far; None = all
        self._rejected = [batch.rejected]
        self._removed = Counter(batch.removed)
        self._examples = dict(batch.examples)
        self._warned: list[tuple[Posed, pa.Array]] = []

    def hold(self, item: Posed, judge: Judge, site: Site, looked_at: int) -> None:
        """Hold the rows that stand to one rule."""
        rows = self._subject(item, self._standing)
        judge.stand(self._batch.origin if self._standing is None else self._batch.origin.take(self._standing))
        mask = judge.broken(rows)
        broken = pc.indices_nonzero(mask)
        if not len(broken):
            return
        at = broken if self._standing is None else self._standing.take(broken)
        on_fail = item.rule.on_fail
        if on_fail == "warn":
            self._warned.append((item, at))
        if on_fail != "quarantine":
            first = self._told(item, judge, rows, at[:1], broken[:1]).to_pylist()[0]
            place = spot(first["source"], first["position"])
            self._examples.setdefault(item.label, f"{place}: {first['reason']}")
        if on_fail == "fail":
            raise _failure(item, site, first, len(at), looked_at + self._batch.records.num_rows)
        if on_fail == "quarantine":
            self._rejected.append(self._told(item, judge, rows, at, broken))
        if on_fail == "drop":
            self._removed[f"{BAD_ROW}: {item.label}"] += len(at)
        if on_fail in {"quarantine", "drop"}:
            kept = pc.indices_nonzero(pc.invert(mask))
            self._standing = kept if self._standing is None else self._standing.take(kept)

    def settled(self) -> Batch:
        """The batch with the rows that stand; those that were warned of count where they are among them."""
        batch, noted = self._batch, Counter(self._batch.noted)
        for item, at in self._warned:
            stay = len(at) if self._standing is None else pc.sum(pc.is_in(at, value_set=self._standing)).as_py()
            if stay:
                noted[item.label] += stay
        news = batch._replace(noted=noted, examples=self._examples) if self._warned or self._examples else batch
        if self._standing is None:
            return news
        return news._replace(
            records=batch.records.take(self._standing),
            origin=batch.origin.take(self._standing),
            rejected=quarantine.concat(self._rejected),
            removed=self._removed,
        )

    def _subject(self, item: Posed, rows: pa.Array | None) -> pa.RecordBatch:
        """What the rule is about, of these rows; columns that are not there have the type null."""
        records = self._batch.records
        if not item.rule.whole:
            count, names = records.num_rows, set(records.schema.names)
            columns = [records.column(name) if name in names else pa.nulls(count) for name in item.columns]
            records = pa.RecordBatch.from_arrays(columns, list(item.columns))
        return records if rows is None else records.take(rows)

    def _told(self, item: Posed, judge: Judge, rows: pa.RecordBatch, at: pa.Array, broken: pa.Array) -> pa.RecordBatch:
        """The rows with these indices as rejected ones; *broken* are their indices in *rows*."""
        bad = rows.take(broken)
        return quarantine.reject(
            self._batch.records,
            at,
            self._batch.origin,
            stage="validate",
            rule=item.told,
            columns=item.subject,
            values=_values(bad.select([name for name in item.columns if name in bad.schema.names])),
            reasons=judge.reasons(bad),
        )


def _values(rows: pa.RecordBatch) -> pa.Array | None:
    if not rows.num_columns:
        return None
    if rows.num_columns == 1:
        return shown(rows.column(0))
    return shown(pc.binary_join_element_wise(*map(shown, rows.columns), ", ", null_handling="replace"))


def _failure(item: Posed, site: Site, first: dict[str, Any], count: int, looked_at: int) -> RuleBroken:
    subject = f"column {item.subject!r}" if item.columns else "the row"
    value = "" if first["value"] is None else f" (value: {first['value']})"
    told = f"the rule {item.told}, on_fail: fail, is broken by {count:,} of {looked_at:,} rows so far"
    place = f"{site.key}: {told}; the first is {spot(first['source'], first['position'])}: {subject}"
    advice = "nothing was loaded. Mend the data, or set on_fail: quarantine"
    text = f"{place} {first['reason']}{value}; {advice}"
    return RuleBroken(text, item.label, count, looked_at, veiled=f"{place}; {advice}")
