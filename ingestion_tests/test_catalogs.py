"""Tables behind every kind of catalog and object store that a server can be had for, and what goes wrong with them."""

import json
import os
import uuid
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.sql import SqlCatalog

from ingestion.errors import ConfigError, OutcomeUnknown, Superseded, TransientError
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.loaders.iceberg import commit as commits
from ingestion.loaders.iceberg.catalog import catalog_properties
from ingestion.testing import check_loader
from ingestion_tests.iceberg_support import batch, land, numbers
from ingestion_tests.proxies import FAULTS, proxied

LEDGER = pa.table({"path": ["a", "b"], "size": pa.array([1, None], pa.int64())})


def catalog_options(request, kind, place):
    """A catalog of this kind with its warehouse in this place, as a job file would name it."""
    tmp_path, fixture = request.getfixturevalue("tmp_path"), request.getfixturevalue
    options = {}
    if kind == "rest":
        return fixture("rest_catalog" if place == "local" else "rest_catalog_on_s3").properties
    options["warehouse"] = str(tmp_path / "wh") if place == "local" else f"s3://{fixture('s3_bucket')}/wh"
    if place == "s3":
        options |= fixture("s3_server").properties
    if kind == "sqlite":
        return {**options, "type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db"}
    if kind == "postgres":
        return {**options, "type": "sql", "uri": fixture("postgres_url")}
    aws = fixture("s3_server")
    own = {"endpoint": fixture("glue_endpoint"), "access-key-id": "k", "secret-access-key": "s", "region": aws.region}
    return {**options, "type": "glue", **{f"glue.{name}": value for name, value in own.items()}}


def namespace():
    """Servers are shared by tests, namespaces are not."""
    return f"n{uuid.uuid4().hex[:10]}"


def read(catalog, name):
    """A table's rows by pyiceberg alone."""
    options = dict(catalog)
    if options.get("uri", "").startswith("postgresql://"):
        options["uri"] = options["uri"].replace("postgresql://", "postgresql+psycopg://")
    with load_catalog("default", **options) as opened:
        return opened.load_table(name).scan().to_arrow()


# every catalog with every warehouse; the pairs of `make test` hold each of both once

PAIRS = [("postgres", "local"), ("rest", "local"), ("sqlite", "s3")]
REST = [("sqlite", "local"), ("postgres", "s3"), ("rest", "s3"), ("glue", "local"), ("glue", "s3")]


@pytest.mark.parametrize(("kind", "place"), [*PAIRS, *(pytest.param(*pair, marks=pytest.mark.soak) for pair in REST)])
def test_the_contract_of_loaders_holds_on_every_catalog(project, request, kind, place):
    loader = IcebergLoader(table="t", database=namespace(), catalog=catalog_options(request, kind, place))
    check_loader(loader, lambda: read(loader._catalog_options(), f"{loader.database}.t"))


def test_a_glue_catalog_with_its_warehouse_in_a_bucket_takes_rows_and_cursor(project, request):
    loader = IcebergLoader(table="t", database=namespace(), catalog=catalog_options(request, "glue", "s3"))
    land(loader, [batch({"n": [1]}, cursor=LEDGER, bad=1)])
    land(loader, [batch({"n": [2], "x": ["new"]})])
    assert loader.state("a").cursor == LEDGER
    assert sorted(loader.scan().collect()["n"]) == [1, 2]
    assert read(loader._catalog_options(), f"{loader.database}.t")["x"].drop_null().to_pylist() == ["new"]


# S3


def test_a_ledger_lives_in_the_bucket_beside_its_table(project, request, s3_server, s3_bucket):
    loader = IcebergLoader(table="t", catalog=catalog_options(request, "sqlite", "s3"))
    land(loader, [batch({"n": [1]}, cursor=LEDGER)], load_id="l1")
    assert "wh/default/_cursors/default.t/l1.parquet" in s3_server.keys(s3_bucket)
    assert loader.state("a").cursor == LEDGER
    with pytest.raises(Superseded):
        land(loader, [batch({"n": [1]}, cursor=LEDGER)], since=loader.state("b"), load_id="l2")
    assert [key for key in s3_server.keys(s3_bucket) if "l2" in key] == []


def test_a_large_file_reaches_the_bucket_in_parts(project, request, s3_server, s3_bucket):
    loader = IcebergLoader(table="t", catalog=catalog_options(request, "sqlite", "s3"))
    noise = pa.array([os.urandom(1 << 16) for _ in range(400)], pa.binary())
    land(loader, [batch(pa.RecordBatch.from_pydict({"noise": noise}))])
    [key] = [key for key in s3_server.keys(s3_bucket) if key.endswith(".parquet")]
    found = s3_server.client().head_object(Bucket=s3_bucket, Key=key)
    assert int(found["ETag"].strip('"').rpartition("-")[2]) > 1
    assert loader.to_table()["noise"].combine_chunks() == noise


def test_a_table_in_a_bucket_is_read_lazily_and_by_batches(project, request):
    loader = IcebergLoader(table="t", catalog=catalog_options(request, "sqlite", "s3"))
    land(loader, numbers(0, 300))
    assert loader.scan().collect()["n"].sort().to_list() == list(range(300))
    assert sum(found.num_rows for found in loader.reader()) == 300
    assert loader.first_rows(2).num_rows == 2


def test_a_bucket_that_does_not_exist_is_named(project, request):
    catalog = {**catalog_options(request, "sqlite", "s3"), "warehouse": "s3://no-such-bucket/wh"}
    with pytest.raises(ConfigError, match=r"the bucket does not exist .*'no-such-bucket'.*; create it, or correct"):
        land(IcebergLoader(table="t", catalog=catalog), [batch({"n": [1]})])


def test_a_bucket_that_refuses_names_the_keys_to_check(project, request, s3_server, s3_bucket):
    refuse = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{s3_bucket}/*"}
    s3_server.client().put_bucket_policy(Bucket=s3_bucket, Policy=json.dumps({"Statement": [refuse]}))
    loader = IcebergLoader(table="t", catalog=catalog_options(request, "sqlite", "s3"))
    with pytest.raises(
        ConfigError, match=r"the object store refuses .*ACCESS_DENIED.*; check s3\.access-key-id"
    ) as error:
        land(loader, [batch({"n": [1]})])
    assert s3_server.secret_key not in str(error.value)


def test_an_object_store_that_does_not_answer_is_transient(project, request):
    catalog = {**catalog_options(request, "sqlite", "s3"), "s3.endpoint": "http://127.0.0.1:1"}
    with pytest.raises(TransientError, match="check that the storage is reachable, then run again"):
        land(IcebergLoader(table="t", catalog=catalog), [batch({"n": [1]})])


def test_an_endpoint_of_ones_own_needs_no_region(project, request, monkeypatch):
    catalog = {key: value for key, value in catalog_options(request, "sqlite", "s3").items() if key != "s3.region"}
    assert catalog_properties(catalog)[1]["s3.region"] == "us-east-1"
    assert catalog_properties({**catalog, "s3.region": "eu-north-1"})[1]["s3.region"] == "eu-north-1"
    loader = IcebergLoader(table="t", catalog=catalog)
    land(loader, [batch({"n": [1]})])
    assert loader.to_table()["n"].to_pylist() == [1]


# what a catalog may refuse


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "hunter2"}, 'password authentication failed for user "tester"'),
        ({"user": "nobody-here"}, "authentication failed"),
        ({"database": "nosuchdb"}, 'database "nosuchdb" does not exist'),
    ],
)
def test_a_postgres_catalog_that_refuses_is_a_config_error(project, postgres_server, wrong, said):
    uri = postgres_server.url(**{"database": "postgres", **wrong})
    with pytest.raises(ConfigError, match=f"catalog 'default'.*{said}.*; check loader.catalog") as error:
        IcebergLoader(table="t", catalog={"type": "sql", "uri": uri}).state("a")
    assert "hunter2" not in str(error.value)


def test_a_postgres_catalog_that_is_down_is_transient(project, postgres_server):
    catalog = {"type": "sql", "uri": postgres_server.url(port=1)}
    with pytest.raises(TransientError, match="Connection refused; check that the catalog is up and reachable"):
        IcebergLoader(table="t", catalog=catalog).state("a")


def test_a_postgres_catalog_whose_tables_are_not_ours_to_read_is_a_config_error(project, postgres_server, postgres_url):
    SqlCatalog("default", uri=postgres_url.replace("postgresql", "postgresql+psycopg")).close()  # makes its tables
    role = f"r{uuid.uuid4().hex[:8]}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'weak'")
    uri = postgres_server.url(postgres_url.rpartition("/")[2], user=role, password="weak")
    with pytest.raises(ConfigError, match="InsufficientPrivilege: permission denied for table iceberg_tables"):
        IcebergLoader(table="t", catalog={"uri": uri}).state("a")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_a_postgres_catalog_may_be_written_in_any_of_the_usual_ways(project, postgres_url, scheme):
    uri = postgres_url.replace("postgresql://", f"{scheme}://")
    loader = IcebergLoader(table="t", catalog={"uri": uri})
    land(loader, [batch({"n": [1]}, cursor=1)])
    assert loader.state("a").cursor == 1


@pytest.mark.parametrize("fault", ["denied_401", "denied_403"])
def test_a_rest_catalog_that_refuses_is_a_config_error(project, rest_catalog, fault):
    with proxied(rest_catalog.uri, fault, at=-1) as proxy:
        with pytest.raises(ConfigError, match=r"(Forbidden|NotAuthorized)Exception.*; check loader\.catalog"):
            IcebergLoader(table="t", catalog={"type": "rest", "uri": proxy.url}).state("a")
        assert proxy.requests == ["GET /v1/config"]


@pytest.mark.parametrize("at", [0, 1], ids=["quarantine", "data"])
def test_a_commit_that_the_rest_catalog_refuses_is_not_sent_again_and_leaves_nothing(project, rest_catalog, at):
    space = namespace()
    with proxied(rest_catalog.uri, "denied_403", at) as proxy:
        loader = IcebergLoader(table="t", database=space, catalog={"type": "rest", "uri": proxy.url})
        with pytest.raises(ConfigError, match=rf"table {space}\.t: ForbiddenError: .*; check loader\.catalog"):
            land(loader, [batch({"n": [1]}, cursor=LEDGER, bad=1)])
        assert proxy.commits == at + 1 + at  # taking the quarantined rows back is a commit, too
        assert loader.state("a").load_id is None
    folder = Path(rest_catalog.warehouse) / space
    assert list(folder.rglob("t/data/*")) == list(folder.rglob("_cursors/*/*")) == []


def test_a_rest_catalog_gets_the_token_it_wants(project, rest_catalog):
    with proxied(rest_catalog.uri) as proxy:
        catalog = {"type": "rest", "uri": proxy.url, "token": "t0ken", "header.X-Team": "data"}
        assert IcebergLoader(table="t", catalog=catalog).state("a").load_id is None
        assert {(seen.get("authorization"), seen.get("x-team")) for seen in proxy.seen} == {("Bearer t0ken", "data")}


def test_a_rest_catalog_exchanges_credentials_for_a_token(project, rest_catalog):
    with proxied(rest_catalog.uri) as proxy:
        uri = f"{proxy.url}/v1/oauth/tokens"
        catalog = {"type": "rest", "uri": proxy.url, "credential": "id:s3cret", "oauth2-server-uri": uri, "scope": "x"}
        assert IcebergLoader(table="t", catalog=catalog).state("a").load_id is None
        assert proxy.requests[0] == "POST /v1/oauth/tokens"
        asked = [seen for line, seen in zip(proxy.requests, proxy.seen, strict=True) if "oauth" not in line]
        assert asked
        assert all(seen["authorization"].startswith("Bearer ") for seen in asked)


def test_what_is_no_rest_catalog_is_a_config_error(project, s3_server):
    with pytest.raises(ConfigError, match=r"catalog 'default': RESTError.*; check loader\.catalog"):
        IcebergLoader(table="t", catalog={"type": "rest", "uri": s3_server.endpoint}).state("a")


def test_a_glue_catalog_that_does_not_answer_is_transient(project):
    catalog = {"type": "glue", "glue.endpoint": "http://127.0.0.1:1", "glue.region": "us-east-1", "glue.max-retries": 1}
    keys = {"glue.access-key-id": "k", "glue.secret-access-key": "s"}
    with pytest.raises(TransientError, match="Could not connect to the endpoint URL"):
        IcebergLoader(table="t", catalog=catalog | keys).state("a")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"glue.region": "us-east-1"}, "Unable to locate credentials"),
        ({}, "You must specify a region"),
        ({"glue.max-retries": "many"}, "invalid literal"),
    ],
)
def test_a_glue_catalog_without_what_aws_needs_is_a_config_error(project, s3_server, monkeypatch, given, said):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(ConfigError, match=f"{said}.*; check loader.catalog"):
        IcebergLoader(table="t", catalog={"type": "glue", "glue.endpoint": s3_server.endpoint, **given}).state("a")


def test_a_hive_catalog_without_its_driver_says_what_to_install(project):
    with pytest.raises(ConfigError, match=r"Hive support not installed: pip install 'pyiceberg\[hive\]'"):
        IcebergLoader(table="t", catalog={"type": "hive", "uri": "thrift://127.0.0.1:1"}).state("a")


# a commit whose answer is lost


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", [pytest.param(0, marks=pytest.mark.soak), 1], ids=["quarantine", "data"])
def test_rows_land_once_whatever_a_rest_catalog_answers(project, rest_catalog, fault, at):
    space = namespace()
    loader = IcebergLoader(table="t", database=space, catalog=rest_catalog.properties)
    for start in (0, 500):
        with proxied(rest_catalog.uri, fault, at) as proxy:
            faulty = IcebergLoader(table="t", database=space, catalog={"type": "rest", "uri": proxy.url})
            result = land(faulty, numbers(start, start + 500))
            assert proxy.commits > at
        table = loader._opened_table()
        assert str(table.current_snapshot().snapshot_id) == result.snapshot
        assert sorted(loader.to_table()["n"].to_pylist()) == list(range(start + 500))
    assert len(table.snapshots()) == 2
    assert loader.state("a").cursor == 1000
    assert read(rest_catalog.properties, f"{space}.t__quarantine").num_rows == 10


@pytest.mark.parametrize("fault", ["lost_reply", "late"])
def test_rows_land_once_whatever_glue_answers(project, request, fault, s3_server):
    space, catalog = namespace(), catalog_options(request, "glue", "local")
    with proxied(s3_server.endpoint, fault) as proxy:
        faulty = IcebergLoader(
            table="t", database=space, catalog={**catalog, "glue.endpoint": proxy.url, "glue.max-retries": 1}
        )
        land(faulty, [batch({"n": [1]}, cursor=1)])
    loader = IcebergLoader(table="t", database=space, catalog=catalog)
    assert loader.to_table()["n"].to_pylist() == [1]
    assert len(loader._opened_table().snapshots()) == 1


def test_a_rest_catalog_that_stays_silent_after_a_commit_leaves_the_outcome_open(project, rest_catalog, monkeypatch):
    monkeypatch.setattr(commits, "_TRIES", 3)  # sixty take a quarter of a minute
    space = namespace()
    with proxied(rest_catalog.uri, "lost_reply") as proxy:

        def silent():
            proxy.target = "http://127.0.0.1:1"

        proxy.afterwards = lambda send: (send(), silent())
        proxy.fault = "late"
        faulty = IcebergLoader(table="t", database=space, catalog={"type": "rest", "uri": proxy.url})
        with pytest.raises(OutcomeUnknown, match="unknown whether load l1 landed"):
            land(faulty, [batch({"n": [1]}, cursor=1)], load_id="l1")
    loader = IcebergLoader(table="t", database=space, catalog=rest_catalog.properties)
    assert loader.state("a").load_id == "l1"
    assert loader.to_table()["n"].to_pylist() == [1]
