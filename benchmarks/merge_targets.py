"""The tables that are merged into: built once, put back before each case, and read by other means afterwards."""

import os
import shutil
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import merge_cases
import merge_data
from measuring import apart, environment_of


class Target(ABC):
    """A table of *rows* rows, below *folder*."""

    kind = ""

    def __init__(self, folder: Path, rows: int) -> None:
        self.project = folder / self.kind
        self.rows = rows
        self.settings: dict[str, Any] = {"loader": {"type": self.kind, **self.options()}}

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Where the loader finds the table."""

    @abstractmethod
    def keep(self) -> None:
        """Remember the table as it is now."""

    @abstractmethod
    def restore(self) -> None:
        """Put back what was remembered."""

    @abstractmethod
    def stored(self) -> dict[str, int]:
        """The checksums of the table."""

    def build(self) -> None:
        """Make the table, through the loader."""
        shutil.rmtree(self.project, ignore_errors=True)
        self.project.mkdir(parents=True)
        self.settings["location"] = apart(_build, self.settings["loader"], self.rows, environment_of(self.project))
        self.keep()


class OfFiles(Target):
    """Files are never changed in place, so a copy by links is enough; but a catalog is."""

    def keep(self) -> None:
        _copy(self.project, self._kept)

    def restore(self) -> None:
        _copy(self._kept, self.project)

    @property
    def _kept(self) -> Path:
        return self.project.with_name(f"{self.kind}.kept")


class Iceberg(OfFiles):
    kind = "iceberg"

    def options(self) -> dict[str, Any]:
        return {}

    def build(self) -> None:
        self.settings["metadata"] = str(self.project / "metadata")
        super().build()

    def stored(self) -> dict[str, int]:
        totals: dict[str, int] = apart(_iceberg_sums, self.settings)
        return totals


class Delta(OfFiles):
    kind = "delta"

    def options(self) -> dict[str, Any]:
        return {"location": str(self.project / "delta")}

    def stored(self) -> dict[str, int]:
        totals: dict[str, int] = apart(_delta_sums, self.settings["location"])
        return totals


class Postgres(Target):
    kind = "postgres"

    def __init__(self, folder: Path, rows: int, server: Any) -> None:
        self._server = server
        server.execute("CREATE DATABASE events")
        super().__init__(folder, rows)
        self.settings["url"] = server.url("events")

    def options(self) -> dict[str, Any]:
        server = self._server
        found = {"host": server.host, "port": server.port, "username": server.user, "password": server.password}
        return found | {"dbname": "events"}

    def keep(self) -> None:
        self._server.execute("CREATE UNIQUE INDEX ON bench.events (id)", self.settings["url"])
        self._server.execute("VACUUM (ANALYZE) bench.events", self.settings["url"])
        self._server.execute("CREATE DATABASE kept TEMPLATE events")

    def restore(self) -> None:
        self._server.execute("DROP DATABASE events")
        self._server.execute("CREATE DATABASE events TEMPLATE kept")
        self._server.execute("CHECKPOINT")

    def stored(self) -> dict[str, int]:
        hundredths = "round(amount * 100)::bigint"
        sums = f"count(*), sum(id), sum({hundredths}), sum((id & 65535) * {hundredths})"
        (found,) = self._server.execute(f"SELECT {sums} FROM bench.events", self.settings["url"])
        return dict(zip(("rows", "id", "amount", "amount_of_id"), map(int, found), strict=True))


@contextmanager
def opened(kind: str, folder: Path, rows: int) -> Iterator[Target]:
    """The target of this kind, built; its server runs as long."""
    if kind == "postgres":
        sys.path.append(str(Path(__file__).parent.parent))
        from ingestion_tests.servers import running_postgres

        with running_postgres() as server:
            target = Postgres(folder, rows, server)
            target.build()
            yield target
        return
    target = {"iceberg": Iceberg, "delta": Delta}[kind](folder, rows)
    target.build()
    yield target
    for path in folder.glob(f"{kind}*"):
        shutil.rmtree(path)


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=_linked)


def _linked(source: str, target: str) -> None:
    if source.endswith(".parquet"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _build(options: dict[str, Any], rows: int, environment: dict[str, str]) -> str | None:
    os.environ.update(environment)
    from ingestion.loaders import LoaderFactory
    from ingestion.plugins import Batch, Load, Origin, State

    loader = LoaderFactory.create({**merge_cases.TABLE, **options})
    batches = (Batch(records, Origin("generated")) for records in merge_data.base(rows))
    return loader.load(Load("base", "run", uuid.uuid4().hex, State()), batches).location


def _iceberg_sums(settings: dict[str, Any]) -> dict[str, int]:
    scan = merge_cases.iceberg_table(settings).scan(selected_fields=("id", "amount"))
    return merge_data.sums(scan.to_arrow_batch_reader())


def _delta_sums(location: str) -> dict[str, int]:
    from deltalake import DeltaTable

    return merge_data.sums(DeltaTable(location).to_pyarrow_dataset().to_batches(columns=["id", "amount"]))
