"""Sources: one module per family, found by the type name that a job file gives."""

from ingestion.factory import Factory
from ingestion.plugins import Connector

__all__ = ["ConnectorFactory"]

ConnectorFactory: Factory[Connector] = Factory(
    "source",
    "ingestion.connectors",
    Connector,  # type: ignore[type-abstract]  # the factory only hands out concrete subclasses
    {
        "csv": "ingestion.connectors.csv:CsvConnector",
        "mariadb": "ingestion.connectors.databases.mysql:MysqlConnector",
        "mysql": "ingestion.connectors.databases.mysql:MysqlConnector",
        "postgres": "ingestion.connectors.databases.postgresql:PostgresqlConnector",
        "postgresql": "ingestion.connectors.databases.postgresql:PostgresqlConnector",
        "sqlite": "ingestion.connectors.databases.sqlite:SqliteConnector",
    },
)
