"""What all file formats share: options, listing, the ledger of loaded files, opening."""

from ingestion.connectors.files.connector import Chosen, FileConnector
from ingestion.connectors.files.encodings import wrong_encoding
from ingestion.connectors.files.ledger import LEDGER
from ingestion.connectors.files.listing import Found
from ingestion.connectors.files.opening import Opening, Text

__all__ = ["LEDGER", "Chosen", "FileConnector", "Found", "Opening", "Text", "wrong_encoding"]
