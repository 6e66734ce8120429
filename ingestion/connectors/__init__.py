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
        "database": "ingestion.connectors.databases.generic:AnyDatabaseConnector",
        "db": "ingestion.connectors.databases.generic:AnyDatabaseConnector",
        "mariadb": "ingestion.connectors.databases.mysql:MysqlConnector",
        "mssql": "ingestion.connectors.databases.mssql:MssqlConnector",
        "mysql": "ingestion.connectors.databases.mysql:MysqlConnector",
        "oracle": "ingestion.connectors.databases.oracle:OracleConnector",
        "postgres": "ingestion.connectors.databases.postgresql:PostgresqlConnector",
        "postgresql": "ingestion.connectors.databases.postgresql:PostgresqlConnector",
        "sqlite": "ingestion.connectors.databases.sqlite:SqliteConnector",
        "sqlserver": "ingestion.connectors.databases.mssql:MssqlConnector",
    },
)
