"""Functions that jobs call: which they may, in what form they get the rows, and what becomes of their mistakes."""

import sys

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from ingestion.config import parse_job
from ingestion.errors import ConfigError, DataError, TransientError
from ingestion.plugins import Batch, Origin
from ingestion.secrets import resolve
from ingestion.testing import check_transformer
from ingestion.transformers import functions
from ingestion.transformers.base import BaseTransformer
from ingestion.transformers.transformations.python import Python
from ingestion_tests.through_steps import PLACE, batch, removed, rows, through

ORDERS = {"id": [1, 2, 3, 4], "shop": ["a", "b", "a", None]}


@pytest.fixture
def registered():
    """Registers functions for one test."""
    names = []

    def register(function, name=None):
        functions.register(name or function.__name__, function)
        names.append(name or function.__name__)

    yield register
    for name in names:
        functions.unregister(name)


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """A package of functions that the operator has not allowed; it remembers that it was imported."""
    package = tmp_path / "acme_functions"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "cleaning.py").write_text(
        "import os\nfrom os import system\nimport functools\nimport pyarrow as pa\n"
        "def tidy(rows: pa.RecordBatch) -> pa.RecordBatch:\n    return rows.select(['id'])\n"
        "def _logged(function):\n    @functools.wraps(function)\n    def call(*args, **options):\n"
        "        return function(*args, **options)\n    return call\n"
        "logged = _logged(tidy)\n"
        "text = 'no function'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "acme_functions"
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_functions"]:
        del sys.modules[name]


def apply(name, *batches, place=PLACE, **options):
    return through(Python.model_validate({"callable": name, **options}).steps(place), batches)


# in what form the rows come and go


def as_batch(rows: pa.RecordBatch) -> pa.RecordBatch:
    assert type(rows) is pa.RecordBatch
    return rows.append_column("n", pc.add(rows["id"], 1))


def as_table(rows: pa.Table) -> pa.Table:
    assert type(rows) is pa.Table
    return rows.append_column("n", pc.add(rows["id"], 1))


def as_frame(rows: pl.DataFrame) -> pl.DataFrame:
    assert type(rows) is pl.DataFrame
    return rows.with_columns(n=pl.col("id") + 1)


def as_lazy(rows: pl.LazyFrame) -> pl.LazyFrame:
    assert type(rows) is pl.LazyFrame
    return rows.with_columns(n=pl.col("id") + 1)


def mixed(rows: "pl.DataFrame"):
    return as_frame(rows).to_arrow()


@pytest.mark.parametrize("function", [as_batch, as_table, as_frame, as_lazy, mixed])
def test_rows_come_as_the_annotation_says_and_keep_their_places(function, registered):
    registered(function)
    done = apply(function.__name__, batch(ORDERS, first=10, cursor=7, bytes_read=5), batch({"id": [9], "shop": ["x"]}))
    assert [row["n"] for row in rows(done)] == [2, 3, 4, 5, 10]
    assert done[0].origin.at(pa.array([3])).to_pylist() == [13]
    assert (done[0].cursor, done[0].bytes_read, removed(done)) == (7, 5, {})


@pytest.mark.parametrize("function", [as_batch, as_table, as_frame, as_lazy])
def test_a_function_in_a_job_keeps_the_contract_of_transformers(function, registered):
    registered(function)
    config = {"transformations": [{"python": function.__name__}]}
    assert check_transformer(BaseTransformer.model_validate(config), [batch(ORDERS), batch(ORDERS, first=9)])


def test_types_survive_a_function_of_polars(registered):
    registered(as_frame)
    schema = pa.schema([("id", pa.int64()), ("t", pa.timestamp("s")), ("b", pa.binary(2)), ("s", pa.large_string())])
    records = pa.RecordBatch.from_pylist([{"id": 1, "b": b"ab", "s": "x"}], schema=schema)
    (done,) = apply("as_frame", Batch(records, Origin("f")))
    assert done.records.schema == schema.append(pa.field("n", pa.int64()))


def test_options_are_keyword_arguments(registered):
    def scaled(rows: pl.DataFrame, *, by: int, name: str = "scaled") -> pl.DataFrame:
        return rows.with_columns((pl.col("id") * by).alias(name))

    registered(scaled)
    assert [row["scaled"] for row in rows(apply("scaled", batch(ORDERS), options={"by": 3}))] == [3, 6, 9, 12]
    with pytest.raises(
        ConfigError, match=r"do not fit function 'scaled': missing a required argument: 'by'; it takes: by, name"
    ):
        apply("scaled", options={})
    with pytest.raises(ConfigError, match="unexpected keyword argument 'buy'"):
        apply("scaled", options={"by": 1, "buy": 2})


def test_rows_more_or_less_are_counted_where_they_were_announced(registered):
    def odd(rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows.filter(pc.equal(pc.bit_wise_and(rows["id"], 1), 1))

    def twice(rows: pa.Table) -> pa.Table:
        return pa.concat_tables([rows, rows])

    for function in (odd, twice):
        registered(function)
    done = apply("odd", batch(ORDERS, removed={"blank": 1}), changes_rows=True)
    assert removed(done) == {"blank": 1, "python: odd": 2}
    assert done[0].origin.at(pa.array([0, 1])).to_pylist() == [None, None]
    assert removed(apply("twice", batch(ORDERS), changes_rows=True)) == {"python: twice": -4}
    with pytest.raises(
        ConfigError,
        match=r"\w+: 2 rows came back of 4 \(in a batch that begins at f.csv:3\); if it may, say changes_rows: true",
    ):
        apply("odd", batch(ORDERS, first=3))


def test_a_function_over_the_load_gets_all_rows_and_their_news_pass(registered):
    def per_shop(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.group_by("shop").agg(pl.len().alias("n")).sort("shop", nulls_last=True)

    registered(per_shop)
    done = apply("per_shop", batch(ORDERS, cursor=1), batch(ORDERS, cursor=2), over="load", changes_rows=True)
    assert rows(done) == [{"shop": "a", "n": 4}, {"shop": "b", "n": 2}, {"shop": None, "n": 2}]
    assert removed(done) == {"python: per_shop": 5}
    assert [one.cursor for one in done if one.cursor is not None] == [2]
    assert rows(apply("per_shop", batch({"shop": pa.array([], pa.string())}), over="load", changes_rows=True)) == []


# which functions a job may call


@pytest.mark.parametrize(("name", "sentence"), [
    ("os:system", "module os is not allowed; the operator lists modules in PYTHON_TRANSFORM_MODULES, which holds nothing now"),
    ("acme_functions.cleaning:tidy", "module acme_functions.cleaning is not allowed"),
    ("tidy", "there is no function 'tidy'"),
    ("acme_functions.cleaning:os.system", "is not module:function, as in acme.cleaning:tidy"),
    ("acme_functions.cleaning:", "is not module:function"),
    (":system", "is not module:function"),
    ("../acme:tidy", "is not module:function"),
    ("acme_functions:cleaning:tidy", "is not module:function"),
    ("", "there is no function ''"),
])  # fmt: skip
def test_a_function_that_is_not_allowed_is_refused_when_the_job_is_loaded(name, sentence, acme):
    with pytest.raises(ValidationError) as refused:
        Python.model_validate({"callable": name})
    assert sentence in str(refused.value)
    assert acme not in sys.modules


def test_a_job_over_rest_is_refused_likewise():
    config = {
        "source": {"type": "csv", "source_path": "in"},
        "transformer": {"transformations": [{"python": {"callable": "subprocess:run", "options": {"args": "id"}}}]},
    }
    with pytest.raises(ValidationError, match="module subprocess is not allowed"):
        parse_job("posted", config)


def test_the_operator_allows_a_module_and_what_is_within(acme, monkeypatch):
    for allowed in ("acme_functions", "other, acme_functions.cleaning", "acme_functions.cleaning,"):
        monkeypatch.setenv("PYTHON_TRANSFORM_MODULES", allowed)
        assert rows(apply("acme_functions.cleaning:tidy", batch(ORDERS)))[0] == {"id": 1}
        assert rows(apply("acme_functions.cleaning:logged", batch(ORDERS)))[0] == {"id": 1}
    monkeypatch.setenv("PYTHON_TRANSFORM_MODULES", "acme_func,acme_functions.clean")
    with pytest.raises(ValidationError, match=r"which holds acme_func, acme_functions.clean now"):
        Python.model_validate({"callable": "acme_functions.cleaning:tidy"})


def test_a_module_is_not_imported_before_the_job_runs(acme, monkeypatch):
    monkeypatch.setenv("PYTHON_TRANSFORM_MODULES", acme)
    found = Python.model_validate({"callable": "acme_functions.cleaning:tidy"})
    assert acme not in sys.modules
    assert list(found.steps(PLACE))
    assert acme in sys.modules


@pytest.mark.parametrize(("name", "sentence"), [
    ("acme_functions.cleaning:system", "function 'acme_functions.cleaning:system' comes from module posix, which PYTHON_TRANSFORM_MODULES does not list"),
    ("acme_functions.cleaning:text", "cannot be called"),
    ("acme_functions.cleaning:tidi", "module acme_functions.cleaning has none of that name; did you mean 'tidy'?"),
    ("acme_functions.nix:tidy", "cannot import acme_functions.nix:tidy"),
])  # fmt: skip
def test_what_an_allowed_module_does_not_have_of_its_own_is_refused_when_the_run_starts(
    name, sentence, acme, monkeypatch
):
    monkeypatch.setenv("PYTHON_TRANSFORM_MODULES", acme)
    with pytest.raises(ConfigError, match=r"^transformer.transformations\[0\]: ") as refused:
        apply(name)
    assert sentence in str(refused.value)


def test_a_module_that_is_allowed_no_more_is_refused_when_the_run_starts(acme, monkeypatch):
    monkeypatch.setenv("PYTHON_TRANSFORM_MODULES", acme)
    found = Python.model_validate({"callable": "acme_functions.cleaning:tidy"})
    monkeypatch.delenv("PYTHON_TRANSFORM_MODULES")
    with pytest.raises(ConfigError, match="is not allowed"):
        list(found.steps(PLACE))
    assert acme not in sys.modules


def test_names_are_registered_once(registered):
    registered(as_batch)
    with pytest.raises(ConfigError, match="function 'as_batch' exists already"):
        registered(as_table, "as_batch")
    with pytest.raises(ConfigError, match="a name has letters, digits and _ only"):
        registered(as_table, "os:system")
    with pytest.raises(ValidationError, match="there is no function 'as_bach'; did you mean 'as_batch'"):
        Python.model_validate({"callable": "as_bach"})


def test_placeholders_wait(monkeypatch, registered):
    written = {"type": "python", "callable": "${CALLABLE}", "options": {"by": "${BY}"}}
    found = Python.model_validate(written)
    assert found.as_written() == written
    monkeypatch.setenv("CALLABLE", "os:system")
    monkeypatch.setenv("BY", "2")
    with pytest.raises(ValidationError, match="module os is not allowed"):
        found.resolved()


def test_a_job_that_masks_columns_keeps_no_rows_on_disk(registered):
    registered(as_lazy)
    steps = [
        {"python": {"callable": "as_lazy", "over": "load", "changes_rows": True}},
        {"sql": {"query": "SELECT * FROM input ORDER BY id", "over": "load"}},
    ]
    for index, step in enumerate(steps):
        config = {"transformations": [{"drop_columns": ["x"]}] * index + [step], "mask": {"shop": "redact"}}
        with pytest.raises(ValidationError) as refused:
            BaseTransformer.model_validate(config)
        assert f"transformations[{index}]: over: load has all rows wait on disk before mask" in str(refused.value)


def test_a_function_over_the_load_is_known_to_change_rows(registered):
    registered(as_lazy)
    with pytest.raises(ValidationError, match="say changes_rows: true"):
        Python.model_validate({"callable": "as_lazy", "over": "load"})


# mistakes


def no_annotation(rows):
    return rows


def other_annotation(rows: dict) -> dict:
    return rows


def lost_annotation(rows: "NoSuchClass") -> None:  # noqa: F821 - on purpose
    return rows


def no_parameter() -> None:
    return None


@pytest.mark.parametrize(("function", "sentence"), [
    (no_annotation, "annotate the first parameter of function 'no_annotation': pa.RecordBatch, pa.Table, pl.DataFrame or pl.LazyFrame"),
    (other_annotation, "annotate the first parameter of function 'other_annotation'"),
    (lost_annotation, "the annotations of function 'lost_annotation' cannot be read: name 'NoSuchClass' is not defined"),
    (no_parameter, "annotate the first parameter"),
])  # fmt: skip
def test_a_function_that_cannot_be_called_with_rows_is_refused_when_the_run_starts(function, sentence, registered):
    registered(function)
    with pytest.raises(ConfigError) as refused:
        apply(function.__name__)
    assert str(refused.value).startswith("transformer.transformations[0]: ")
    assert sentence in str(refused.value)


def test_a_function_that_raises_is_named_with_its_place(registered, monkeypatch):
    def failing(rows: pa.Table) -> pa.Table:
        raise KeyError(f"secret-{rows['shop'][0]}")

    registered(failing)
    monkeypatch.setenv("A_PASSWORD", "secret-a")
    resolve({"password": "${A_PASSWORD}"})
    with pytest.raises(DataError) as failed:
        apply("failing", batch(ORDERS, first=10))
    assert (
        str(failed.value)
        == "transformer.transformations[0]: failing raised KeyError: '********' (in a batch that begins at f.csv:10)"
    )
    assert isinstance(failed.value.__cause__, KeyError)


@pytest.mark.parametrize("raised", [ZeroDivisionError("of 4711"), pl.exceptions.PanicException("of 4711")])
def test_what_a_function_says_is_hidden_where_the_job_masks_columns(raised, registered):
    def failing(rows: pl.DataFrame) -> pl.DataFrame:
        raise raised

    registered(failing)
    with pytest.raises(DataError) as failed:
        apply("failing", batch(ORDERS), place=PLACE._replace(hidden=frozenset(["shop"])))
    assert type(raised).__name__ in str(failed.value)
    assert "4711" not in str(failed.value)
    assert failed.value.__suppress_context__


def test_a_function_may_ask_for_another_run(registered):
    def waiting(rows: pa.Table) -> pa.Table:
        raise TransientError("the rates of today are not there yet")

    registered(waiting)
    with pytest.raises(TransientError, match="not there yet"):
        apply("waiting", batch(ORDERS))


def test_a_plan_that_fails_only_when_it_runs_is_told_alike(registered):
    def lazily(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(pl.col("shop").cast(pl.Int64))

    registered(lazily)
    for options in ({}, {"over": "load", "changes_rows": True}):
        with pytest.raises(DataError, match=r"transformations\[0\]: lazily raised InvalidOperationError: .*f.csv"):
            apply("lazily", batch(ORDERS), **options)


@pytest.mark.parametrize(("made", "sentence"), [
    (lambda rows: None, "gave nothing; it has to give pa.RecordBatch, pa.Table, pl.DataFrame or pl.LazyFrame"),
    (lambda rows: rows.to_pylist(), "gave a list"),
    (lambda rows: pa.Table.from_arrays([rows["id"], rows["id"]], names=["id", "id"]), "gave 2 columns 'id'; each may stand once"),
])  # fmt: skip
def test_a_result_that_is_no_table_is_refused(made, sentence, registered):
    def making(rows: pa.Table) -> pa.Table:
        return made(rows)

    registered(making)
    with pytest.raises(ConfigError) as refused:
        apply("making", batch(ORDERS))
    assert sentence in str(refused.value)


def test_a_result_over_the_load_that_is_not_lazy_is_refused(registered):
    def collected(rows: pl.LazyFrame) -> pl.DataFrame:
        return rows.collect()

    registered(collected)
    with pytest.raises(ConfigError, match=r"gave a DataFrame; with over: load it gives a pl.LazyFrame"):
        apply("collected", batch(ORDERS), over="load", changes_rows=True)
    registered(as_table)
    with pytest.raises(ConfigError, match=r"as_table takes a Table, but with over: load it gets a pl.LazyFrame"):
        apply("as_table", batch(ORDERS), over="load", changes_rows=True)


def test_a_result_whose_columns_change_from_batch_to_batch_is_refused(registered):
    def typed(rows: pa.Table) -> pa.Table:
        whole = all(value == int(value) for value in rows["x"].to_pylist())
        return rows.set_column(0, "x", rows["x"].cast(pa.int64() if whole else pa.float64()))

    def named(rows: pa.Table) -> pa.Table:
        return rows.rename_columns([f"x{rows['x'][0]}"])

    for function in (typed, named):
        registered(function)
    files = batch({"x": [1.0]}), batch({"x": [1.5]}, "g.csv")
    with pytest.raises(
        ConfigError, match=r"column 'x' was int64 and is double now \(in a batch that begins at g.csv:1\)"
    ):
        apply("typed", *files)
    with pytest.raises(ConfigError, match=r"the columns were x1.0 and are x1.5 now"):
        apply("named", *files)


@pytest.mark.parametrize("made", [
    pl.Series("x", [object()] * 4, pl.Object),
    pl.Series("x", [2**100] * 4, pl.Int128),
    pl.Series("x", [[2**100]] * 4, pl.List(pl.Int128)),
    pl.Series("x", [{"n": 2**100}] * 4, pl.Struct({"n": pl.UInt128})),
], ids=["objects", "wide", "lists", "structs"])  # fmt: skip
def test_columns_that_no_table_holds_are_refused(made, registered):
    def adding(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(made)

    def lazily(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(pl.lit(None).cast(made.dtype).alias("x"))

    registered(adding)
    registered(lazily)
    with pytest.raises(ConfigError, match=r"transformations\[0\]: column 'x' came back as .*, which no table holds"):
        apply("adding", batch(ORDERS))
    if made.dtype != pl.Object:  # to which nothing casts
        with pytest.raises(ConfigError, match="column 'x' came back as"):
            apply("lazily", batch(ORDERS), over="load", changes_rows=True)
