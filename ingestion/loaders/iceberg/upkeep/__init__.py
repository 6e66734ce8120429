"""What keeps a table fast and small as loads go by; no row changes, and loads are never held up."""

from ingestion.loaders.iceberg.upkeep.options import UpkeepOptions

__all__ = ["UpkeepOptions"]
