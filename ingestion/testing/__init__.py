"""The contract of plugins as code: a test of your own plugin calls its check, which raises AssertionError.

The checks run what they are given for real, several times over: give them little data, and a source at rest.
"""

from ingestion.testing.connectors import check_connector
from ingestion.testing.loaders import check_loader
from ingestion.testing.transformers import check_transformer

__all__ = ["check_connector", "check_loader", "check_transformer"]
