"""The options that say what rows must be like to be loaded."""

from collections import Counter
from collections.abc import Iterator

from ingestion.plugins import Check, Model
from ingestion.transformers.converting import ColumnType
from ingestion.transformers.steps import Step
from ingestion.transformers.validation.kinds import AnyRule
from ingestion.transformers.validation.naming import as_checks, posed
from ingestion.transformers.validation.schema import SchemaValidation
from ingestion.transformers.validation.shape import Rule
from ingestion.transformers.validation.step import Validation

__all__ = ["Validating"]


class Validating(Model):
    """Holds rows to rules, and columns to their types, after everything else."""

    validation: list[AnyRule] = []
    """Rules that every row is held to after all other steps, each {column: ..., rule: ..., on_fail: ...}; a row that
    breaks several is rejected under the first. A null breaks no rule but not_null."""
    validate_schema: dict[str, ColumnType] = {}
    """Types that columns must have at the end, as {column: type}, in the words of types; else the run fails."""

    def validation_steps(self, zone: str | None) -> Iterator[Step]:
        """The rules and the types, where there are any; *zone* is that of times written without an offset."""
        if self.validation:
            yield Validation(list(posed(self.validation)), "transformer.validation", zone or "UTC")
        if self.validate_schema:
            yield SchemaValidation(self.validate_schema)

    def validation_checks(self) -> tuple[Check, ...]:
        """The rules as checks; none before placeholders are known that stand for rules."""
        rules = self.validation if isinstance(self.validation, list) else []
        return as_checks(rules) if all(isinstance(rule, Rule) for rule in rules) else ()

    def validation_contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        named = Counter((column, rule.name) for rule in self.validation for column in rule.subjects() if rule.name)
        for (columns, name), count in named.items():
            if count > 1:
                subject = f" of {', '.join(columns)}" if columns else ""
                yield f"validation: {count} rules{subject} have the name {name!r}; give each its own"
