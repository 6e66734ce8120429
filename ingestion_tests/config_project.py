"""What the tests of configuration share: stub plugins by name, and short ways to write and ask."""

from collections.abc import Iterator

import pytest

from ingestion.config import load_all, load_job
from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError
from ingestion.loaders import LoaderFactory
from ingestion.transformers import TransformerFactory
from ingestion_tests.conftest import Project
from ingestion_tests.stub_plugins import StubConnector, StubLoader, StubTransformer

SOURCE = "source: {type: stub, source_path: data}\n"
_PLUGINS = ((ConnectorFactory, StubConnector), (TransformerFactory, StubTransformer), (LoaderFactory, StubLoader))


@pytest.fixture
def stubs(project: Project) -> Iterator[Project]:
    """A project in which `type: stub` names a plugin of each kind."""
    for factory, cls in _PLUGINS:
        factory.register("stub", cls)  # type: ignore[attr-defined]  # mypy joins the factories to object
    yield project
    for factory, _ in _PLUGINS:
        factory.unregister("stub")  # type: ignore[attr-defined]  # mypy joins the factories to object


def refusal(job_id: str = "orders") -> str:
    """Why *job_id* does not load; both ways of loading must say the same."""
    with pytest.raises(ConfigError) as caught:
        load_job(job_id)
    listed = {item.id: item.error for item in load_all()}
    assert str(listed[job_id]) == str(caught.value)
    return str(caught.value)
