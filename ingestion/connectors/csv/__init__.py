"""CSV files."""

from ingestion.connectors.csv.connector import CsvConnector

__all__ = ["CsvConnector"]
