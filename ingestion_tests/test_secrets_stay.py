"""Secrets reach the source and the target of a run, and nothing that the run leaves behind."""

import gzip
import io
import logging
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap  # what the code server sends
from dagster_shared.serdes import serialize_value
from pyiceberg.avro.file import AvroFile
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from ingestion import quarantine
from ingestion.config import load_job
from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError, DataError, TransientError
from ingestion.orchestration.build import build_definitions
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.names import INGEST_JOB, JOB_TAG, run_config
from ingestion.orchestration.resources import source_resource, with_source
from ingestion.plugins import Batch, Connector, Origin
from ingestion.secrets import MASK
from ingestion_tests.conftest import Project

CANARY = "c4n4ry/p@ss:w0rd+1"
SPELLINGS = ["c4n4ry", "w0rd+1", "w0rd%2B1", "YzRuNHJ5"]  # the last is base64


class Vault(Connector):
    """Needs secrets to be read, and tells them to whoever listens, as drivers do."""

    type: Literal["vault"] = "vault"
    url: str = "https://localhost"
    password: str = ""
    headers: dict[str, str] = {}
    hosts: list[str] = []
    fails: Literal["no", "data", "transient", "bug"] = "no"

    def read(self, cursor: Any, known: pa.Schema | None) -> Iterator[Batch]:
        assert CANARY in (self.password, self.headers["Authorization"].removeprefix("Bearer ")), "it was not resolved"
        said = f"refused: {self.url} with {self.password!r} and {self.headers}"
        if self.fails != "no":
            kind = {"data": DataError, "transient": TransientError, "bug": RuntimeError}[self.fails]
            raise kind(said) from OSError(f"login as u:{CANARY} failed")
        logging.getLogger("ingestion.vault").warning("connected to %s", self.url)
        records, origin = pa.record_batch({"id": [1, 2]}), Origin(self.url)
        bad = quarantine.reject(records, pa.array([1]), Origin("vault"), stage="read", rule="odd", reasons="is even")
        yield Batch(records.slice(0, 1), origin, bad, cursor={"n": 1})


@pytest.fixture
def vault(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    ConnectorFactory.register("vault", Vault)
    monkeypatch.setenv("VAULT_PASSWORD", CANARY)
    yield project
    ConnectorFactory.unregister("vault")


def vault_job(project: Project, **source: Any) -> None:
    secret = "${VAULT_PASSWORD}"
    source = {
        "type": "vault",
        "url": f"https://u:{secret}@localhost/x",
        "password": secret,
        "headers": {"Authorization": f"Bearer {secret}"},
        **source,
    }
    catalog = {
        "type": "sql",
        "uri": f"sqlite:///{project.path}/metadata/catalog.db",
        "warehouse": f"{project.path}/metadata/warehouse",
        "s3.secret-access-key": secret,
        "adls.connection-string": f"AccountName=a;AccountKey={secret}",
    }
    retry = {"max_retries": 1, "delay_seconds": 0.1, "backoff": "constant"}
    project.job("orders", {"source": source, "loader": {"catalog": catalog}, "retry_policy": retry})


def run(**arguments: Any) -> dg.ExecuteInProcessResult:
    """Run the job and record it, as the command line does."""
    with open_instance() as instance:
        job = build_definitions().resolve_job_def(INGEST_JOB)
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey("orders")],
            raise_on_error=False,
            tags={JOB_TAG: "orders"},
            **arguments,
        )
        for event in instance.all_logs(result.run_id):
            print(serialize_value(event))  # noqa: T201 - becomes part of what is searched
        return result


def unpacked(path: Path) -> Iterator[bytes]:
    """All that a file says, compressed or not."""
    raw = path.read_bytes()
    yield raw
    if raw.startswith(b"\x1f\x8b"):
        yield gzip.decompress(raw)
    if raw.startswith(b"SQLite format 3"):
        yield from cells(path)
    if raw.startswith(b"PAR1"):
        yield str(pq.read_table(io.BytesIO(raw)).to_pydict()).encode()
        yield str(pq.read_metadata(io.BytesIO(raw)).metadata).encode()
    if raw.startswith(b"Obj\x01"):
        with AvroFile(PyArrowFile(str(path), str(path), PyArrowFileIO()._initialize_fs("file"))) as entries:
            yield " ".join(map(repr, entries)).encode()


def cells(path: Path) -> Iterator[bytes]:
    """Every value of a database; Dagster keeps its snapshots compressed."""
    with sqlite3.connect(path) as database:
        database.text_factory = bytes
        for (table,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in database.execute(f'select * from "{table.decode()}"'):
                for cell in row:
                    yield str(cell).encode() if not isinstance(cell, bytes) else cell
                    if isinstance(cell, bytes) and cell[:1] == b"\x78":
                        yield zlib.decompress(cell)


def assert_nowhere(folder: Path, *texts: str) -> None:
    """No spelling of the canary is in any file below *folder*, nor in *texts*; what refers to it is."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    parts = [(str(path.relative_to(folder)), part) for path in files for part in unpacked(path)]
    parts += [(f"output {number}", text.encode()) for number, text in enumerate(texts)]
    places = {name.rpartition("/")[2] for name, part in parts if b"VAULT_PASSWORD" in part}
    assert {"orders.yaml", "runs.db"} <= places  # in the latter within a compressed snapshot: the search sees it
    found = [
        (name, part[max(0, part.find(word) - 200) :][:400])
        for name, part in parts
        for word in map(str.encode, SPELLINGS)
        if word in part
    ]
    assert found == []


@pytest.mark.parametrize("fails", ["no", "data", "transient", "bug"])
def test_a_run_leaves_no_secret_behind(vault, capfd, caplog, fails):
    caplog.set_level(logging.DEBUG)
    vault_job(vault, fails=fails)
    result = run()
    assert result.success == (fails == "no")
    if fails == "no":
        assert vault.table("default.orders")["id"].to_pylist() == [1]
        assert vault.table("default.orders__quarantine").num_rows == 1
    events = "\n".join(map(repr, result.all_events))
    assert "orders" in events
    assert_nowhere(vault.path, events, caplog.text, *capfd.readouterr())


def test_a_run_whose_catalog_refuses_leaves_no_secret_behind(vault, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    vault_job(vault)
    catalog = {"type": "rest", "uri": "http://u:${VAULT_PASSWORD}@127.0.0.1:9", "token": "${VAULT_PASSWORD}"}
    result = run(run_config=run_config("orders", {"loader": {"catalog": catalog}}))
    assert not result.success
    assert_nowhere(vault.path, "\n".join(map(repr, result.all_events)), caplog.text, *capfd.readouterr())


def test_definitions_show_no_secret_of_a_file_and_runs_still_get_it(vault, capfd):
    clear = {"password": "${NOT_SET_HERE:-c4n4ry}", "hosts": ["pg://u:c4n4ry@a", "pg://u:${VAULT_PASSWORD}@b"]}
    vault_job(vault, **clear)
    vault.job("broken", "source: {type: vault}\npg://u:c4n4ry@db: 1\n")
    shown = serialize_value(RepositorySnap.from_def(build_definitions().get_repository_def()))
    assert "pg://u:********@a" in shown
    assert "pg://u:${VAULT_PASSWORD}@b" in shown
    assert "pg://u:********@db" in shown
    assert "c4n4ry" not in shown
    job = load_job("orders")
    assert with_source(job, source_resource(job).options) is job


def edited(project: Project, **options: Any) -> dict[str, Any]:
    """The source of a job with secrets in clear, after an edit of what the launchpad shows."""
    clear = {"password": "c4n4ry", "hosts": ["pg://u:c4n4ry@a", "pg://u:c4n4ry2@b"]}
    vault_job(project, **clear)
    job = load_job("orders")
    return with_source(job, {**source_resource(job).options, **options}).source.as_written()


def test_an_edit_in_the_launchpad_leaves_masked_options_as_the_file_has_them(vault):
    found = edited(vault, fails="data", hosts=[f"pg://u:{MASK}@a", "pg://c"])
    assert (found["password"], found["fails"]) == ("c4n4ry", "data")
    assert found["hosts"] == ["pg://u:c4n4ry@a", "pg://c"]
    assert found["headers"] == {"Authorization": "Bearer ${VAULT_PASSWORD}"}


@pytest.mark.parametrize(
    "options",
    [
        {"hosts": [f"pg://u:{MASK}@elsewhere", "pg://c"]},
        {"hosts": [f"pg://u:{MASK}@b"]},
        {"url": f"https://u:{MASK}@localhost/x"},
        {"headers": {"X-Token": MASK}},
    ],
)
def test_an_edit_around_a_masked_secret_is_refused(vault, options):
    with pytest.raises(ConfigError, match=r"source\.\S+: \*+ stands for a secret of the file"):
        edited(vault, **options)
