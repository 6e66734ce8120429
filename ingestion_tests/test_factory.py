"""A type name becomes a plugin, whoever provides it."""

from pathlib import Path
from typing import Any

import pytest

import ingestion
from ingestion.errors import ConfigError
from ingestion.factory import Factory
from ingestion.plugins import Connector
from ingestion_tests.stub_plugins import StubConnector

GROUP = "ingestion_tests.connectors"


def factory(**builtins: str) -> Factory[Connector]:
    return Factory("source", GROUP, Connector, builtins)  # type: ignore[type-abstract]  # it hands out subclasses


def provide(folder: Path, package: str, *entries: str) -> None:
    """Install a package that consists of entry points alone."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n" + "\n".join(entries) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


HOME = "ingestion_tests.stub_plugins:StubConnector"


def test_a_builtin_is_imported_on_first_use() -> None:
    found = factory(stub=HOME, broken="no.such.module:X")
    assert found.names() == ["broken", "stub"]
    assert found.get("stub") is StubConnector
    assert found.create({"type": "stub", "source_path": "x"}) == StubConnector(source_path="x")


def test_several_names_share_a_class_and_its_canonical_type() -> None:
    created = factory(stub=HOME, stubby=HOME).create({"type": "stubby", "source_path": "x"})
    assert created.type == "stub"


def test_another_package_provides_by_entry_point(site: Path) -> None:
    provide(site, "more_sources", f"theirs = {HOME}")
    assert factory().names() == ["theirs"]
    assert factory().get("theirs") is StubConnector


def test_a_name_that_two_provide_is_refused_with_both(site: Path) -> None:
    provide(site, "first", f"stub = {HOME}")
    with pytest.raises(
        ConfigError, match=r"source type 'stub' is provided twice \(.*:StubConnector, .*:StubConnector\); uninstall"
    ):
        factory(stub=HOME).get("stub")


def test_a_registered_class_is_known_until_it_is_taken_back() -> None:
    found = factory()
    found.register("mine", StubConnector)
    assert found.get("mine") is StubConnector
    with pytest.raises(ConfigError, match="source type 'mine' exists already; choose another name"):
        found.register("mine", StubConnector)
    found.unregister("mine")
    assert found.names() == []


@pytest.mark.parametrize(("home", "message"), [
    ("no.such.module:X", "cannot import no.such.module:X"),
    ("ingestion_tests.stub_plugins:Missing", "cannot import ingestion_tests.stub_plugins:Missing"),
    ("ingestion_tests.stub_plugins:StubLoader", "is not a Connector"),
    ("ingestion_tests.stub_plugins:SOMETHING", "cannot import"),
])  # fmt: skip
def test_a_provider_that_is_broken_is_told(home: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        factory(stub=home).get("stub")


@pytest.mark.parametrize(("name", "message"), [
    ("stup", "unknown source type 'stup'; did you mean 'stub'? known types: csvx, stub"),
    ("zzz", "unknown source type 'zzz'; known types: csvx, stub"),
])  # fmt: skip
def test_an_unknown_name_is_told_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        factory(stub=HOME, csvx=HOME).get(name)
    assert str(caught.value) == message


def test_the_public_surface_is_sorted_and_whole() -> None:
    assert list(ingestion.__all__) == sorted(ingestion.__all__)
    for name in ingestion.__all__:
        thing: Any = getattr(ingestion, name)
        assert thing.__doc__
    assert dir(ingestion) == sorted(ingestion.__all__)
    with pytest.raises(AttributeError, match="module 'ingestion' has no attribute 'nothing'"):
        _ = ingestion.nothing
