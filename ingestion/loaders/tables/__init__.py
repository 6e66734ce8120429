"""What every target that is a table of rows asks and does in the same way."""

from ingestion.loaders.tables.options import SchemaContract, TableLoader

__all__ = ["SchemaContract", "TableLoader"]
