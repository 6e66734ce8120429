"""The option that keeps values from readers: they are masked before anything of them is stored or told."""

from ingestion.transformers.masking.options import Masking

__all__ = ["Masking"]
