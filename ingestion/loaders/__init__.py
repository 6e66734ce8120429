"""Targets: each commits rows and cursor together, or neither."""

from ingestion.factory import Factory
from ingestion.plugins import Loader

__all__ = ["LoaderFactory"]

LoaderFactory: Factory[Loader] = Factory(
    "loader",
    "ingestion.loaders",
    Loader,  # type: ignore[type-abstract]  # the factory only hands out concrete subclasses
    {
        "iceberg": "ingestion.loaders.iceberg:IcebergLoader",
        "delta": "ingestion.loaders.delta:DeltaLoader",
        "delta_lake": "ingestion.loaders.delta:DeltaLoader",
        "postgres": "ingestion.loaders.postgres:PostgresLoader",
        "postgresql": "ingestion.loaders.postgres:PostgresLoader",
    },
)
