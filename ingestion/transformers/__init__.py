"""What happens to rows between source and target."""

from ingestion.factory import Factory
from ingestion.plugins import Transformer

__all__ = ["TransformerFactory"]

TransformerFactory: Factory[Transformer] = Factory(
    "transformer",
    "ingestion.transformers",
    Transformer,  # type: ignore[type-abstract]  # the factory only hands out concrete subclasses
    {"base": "ingestion.transformers.base:BaseTransformer"},
)
