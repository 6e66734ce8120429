"""Which columns are masked, and how."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from ingestion.plugins import Batch, Model
from ingestion.secrets import has_placeholder
from ingestion.transformers.masking.curtain import Curtain
from ingestion.transformers.masking.methods import Hash, Hmac, Masker, Partial, Redact
from ingestion.transformers.masking.sources import Sources, hidden
from ingestion.transformers.masking.step import MaskColumns
from ingestion.transformers.steps import Step

__all__ = ["MaskRule", "Masking"]

_SHORTEST_KEY = 16
_Change: TypeAlias = Callable[[Iterator[Batch]], Iterator[Batch]]
Method: TypeAlias = Literal["hash", "hmac", "redact", "partial"]


class MaskRule(Model):
    """How one column is masked."""

    method: Method
    """hash: SHA-256; hmac: HMAC-SHA-256 with mask_key; redact: ***; partial: asterisks but for the last characters."""
    keep: int = Field(4, ge=0)
    """How many characters partial shows at the end; of texts that have no more it shows none."""


Rule: TypeAlias = Annotated[
    Annotated[Method, Tag("method")] | Annotated[MaskRule, Tag("rule")],
    Discriminator(lambda value: "rule" if isinstance(value, Mapping | MaskRule) else "method"),
]


class Masking(Model):
    """Masks columns; no other form of their values leaves the transformer, in rows, rejected rows or errors."""

    mask: dict[str, Rule] = {}
    """Columns whose values are replaced by text that hides them: {column: hash | hmac | redact | partial}, or
    {column: {method: partial, keep: 2}}; null stays null. The same value gives the same text in every run."""
    mask_key: str | None = Field(default=None, min_length=_SHORTEST_KEY)
    """The key of hmac, at least 16 characters: a placeholder such as ${MASK_KEY}."""

    def masking_steps(self) -> Iterator[Step]:
        """The masking, where there is any."""
        if self.mask:
            yield MaskColumns(self._maskers())

    def curtained(
        self,
        batches: Iterator[Batch],
        change: _Change,
        renamed: Callable[[list[str]], list[str]],
        made: frozenset[str] | None,
    ) -> Iterator[Batch]:
        """What *change* makes of *batches*, with all that its rejected rows and errors tell of masked columns hidden.

        *renamed* gives the names that columns of the source get at first, *made* names those that other steps create
        or change; None = any.
        """
        if not self.mask:
            return change(batches)
        maskers = self._maskers()
        return Curtain(maskers, Sources(maskers, renamed, made)).apply(batches, change)

    def hidden(self, made: frozenset[str] | None) -> frozenset[str]:
        """The columns whose values nothing may show before they are masked, *made* naming those that steps make."""
        return hidden(self.mask, made)

    def masking_contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        rules = {column: _rule(rule) for column, rule in self.mask.items()}
        keyed = [column for column, rule in rules.items() if rule.method == "hmac"]
        if keyed and self.mask_key is None:
            yield f"mask: column {keyed[0]!r} needs a key for hmac; set mask_key to a placeholder such as ${{MASK_KEY}}"
        if self.mask_key is not None and not keyed:
            yield "mask_key: no column is masked by hmac; take it out"
        for column, rule in rules.items():
            if rule.method != "partial" and "keep" in rule.model_fields_set:
                yield f"mask: column {column!r}: keep belongs to partial, not to {rule.method}; take it out"

    def _maskers(self) -> dict[str, Masker]:
        return {column: self._masker(_rule(rule)) for column, rule in self.mask.items()}

    def _masker(self, rule: MaskRule) -> Masker:
        match rule.method:
            case "hash":
                return Hash()
            case "hmac":
                return Hmac(self._key)
            case "partial":
                return Partial(rule.keep)
            case "redact":
                return Redact()

    def _key(self) -> str:
        key = self.mask_key
        assert key is not None and not has_placeholder(key)  # noqa: S101, PT018 - a job is resolved before it runs
        return key


def _rule(rule: Method | MaskRule) -> MaskRule:
    return rule if isinstance(rule, MaskRule) else MaskRule(method=rule)
