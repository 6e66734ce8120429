"""The layers of a job: its template chain, the source that it refers to, its own file; later wins."""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ingestion.config.job import JobConfig, build
from ingestion.config.merging import canonical, deep_merge
from ingestion.config.problems import InvalidConfig, Problem, explain, yaml_path
from ingestion.config.source import SourceConfig
from ingestion.config.yaml_text import Document, read_yaml
from ingestion.errors import ConfigError
from ingestion.model import nearest
from ingestion.secrets import clear_secrets
from ingestion.settings import Settings

__all__ = ["Workspace", "yaml_files"]

_PARENT_KEYS = ("inherits", "template")
_logger = logging.getLogger(__name__)
_BY_COLUMN = ("column_mapping", "types", "date_columns", "mask", "validate_schema")  # options of the transformer


def yaml_files(folder: Path) -> list[Path]:
    """Every YAML file below *folder* in a stable order; hidden files and folders are left out."""
    found = [path for pattern in ("*.yaml", "*.yml") for path in folder.rglob(pattern)]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


class Workspace:
    """Everything that lies below config/, as it is now; each file is read once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._read: dict[Path, Document | ConfigError] = {}
        self._shared: dict[str, list[Document]] = {}

    def name_of(self, path: Path) -> str:
        """*path* as messages name it."""
        base = self.settings.base_path
        return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)

    def document(self, path: Path) -> Document:
        """The mapping in the file at *path*; raises ConfigError."""
        found = self._read.get(path)
        if found is None:
            try:
                found = self._checked(read_yaml(path, self.name_of(path)))
            except ConfigError as error:
                found = error
            self._read[path] = found
        if isinstance(found, ConfigError):
            raise found
        return found

    @staticmethod
    def _checked(document: Document) -> Document:
        if document.value is None:
            raise ConfigError(f"{document.name}: is empty; write its options, or delete it")
        if not isinstance(document.value, dict):
            raise ConfigError(
                f"{document.where(())}: should be a mapping, such as 'source: ...'; see config/jobs for examples"
            )
        for path in clear_secrets(document.value):
            if any(path[:2] == ("transformer", option) for option in _BY_COLUMN):
                continue  # mask: {password: hash} names a column, and what becomes of it
            _logger.warning(
                "%s: %s: a secret stands here in clear; put it into an environment variable and write ${NAME}",
                document.where(path),
                yaml_path(path),
            )
        return document

    @cached_property
    def sources(self) -> Mapping[str, list[Path]]:
        """The files of config/sources by source id."""
        found: dict[str, list[Path]] = {}
        for path in yaml_files(self.settings.config_path / "sources"):
            found.setdefault(self._source_id(path), []).append(path)
        return found

    def _source_id(self, path: Path) -> str:
        try:
            given = self.document(path).value.get("source_id")
        except ConfigError:
            given = None  # found by its name, its own error is raised on use
        return given if isinstance(given, str) else path.stem

    @cached_property
    def templates(self) -> Mapping[str, list[Path]]:
        """The files of config/templates by name, and by path without suffix."""
        folder = self.settings.config_path / "templates"
        found: dict[str, list[Path]] = {}
        for path in yaml_files(folder):
            names = {path.stem, path.name, str(path.relative_to(folder).with_suffix("")), str(path.relative_to(folder))}
            for name in names:
                found.setdefault(name, []).append(path)
        return found

    def job(self, job_id: str, document: Document) -> JobConfig:
        """The job that *document* describes; raises InvalidConfig that names file, line and column of each problem."""
        layers = self._job_layers(document)
        config = _merged(layers)
        try:
            return build(JobConfig, job_id, config)
        except ValidationError as error:
            raise _located(explain(error, config), layers) from None  # pydantic's own text says it in worse words

    def job_mapping(self, document: Document) -> dict[str, Any]:
        """The options of the job that *document* describes, all layers merged, not validated."""
        return _merged(self._job_layers(document))

    def source(self, path: Path) -> SourceConfig:
        """The source in the file at *path*, its templates merged in; raises InvalidConfig like `job`."""
        return self._validated_source(self._chain(self.document(path)))

    @staticmethod
    def _validated_source(layers: Sequence[Document]) -> SourceConfig:
        config = _merged(layers)
        try:
            return SourceConfig.model_validate(config)
        except ValidationError as error:
            raise _located(explain(error, config), layers) from None  # pydantic's own text says it in worse words

    def _job_layers(self, document: Document) -> list[Document]:
        chain = self._chain(document)
        source = _merged(chain, keep_ref=True).get("source")
        ref = source.get("ref") if isinstance(source, Mapping) else None
        if ref is None:
            return chain
        return [*chain[:-1], *self._source_layers(ref, _holder(chain, ("source", "ref"))), chain[-1]]

    def _source_layers(self, ref: Any, asked_by: Document) -> list[Document]:
        """What the source called *ref* brings into a job: its own layers, cut to the sections that jobs take over."""
        place = f"{asked_by.where(('source', 'ref'))}: source.ref"
        paths = self.sources.get(ref, []) if isinstance(ref, str) else []
        folder = self.name_of(self.settings.config_path / "sources")
        if not paths:
            hint = nearest(str(ref), self.sources, "known sources") if self.sources else "that folder has no files"
            raise ConfigError(f"{place}: no source {ref!r} in {folder}; {hint}")
        if len(paths) > 1:
            names = " and ".join(self.name_of(path) for path in paths)
            raise ConfigError(f"{place}: {names} are both called {ref!r}; rename one of them")
        if ref not in self._shared:
            layers = self._chain(self.document(paths[0]))
            self._validated_source(layers)
            self._shared[ref] = [_for_jobs(layer) for layer in layers]
        return self._shared[ref]

    def check_template(self, path: Path) -> None:
        """Raises ConfigError if the template at *path* cannot be read, or one that it inherits."""
        self._chain(self.document(path))

    def _chain(self, document: Document) -> list[Document]:
        """*document* and the templates below it, the last ancestor first."""
        chain = [document]
        names: list[str] = []
        while (parent := self._parent_name(chain[0])) is not None:
            key, name = parent
            place = f"{chain[0].where((key,))}: {key}"
            paths = self.templates.get(name, [])
            trail = " -> ".join([*names, name])
            if len(paths) != 1:
                askers = ", inherited by ".join(layer.name for layer in chain)
                raise ConfigError(f"{place}: {self._no_template(name, paths)} (asked for by {askers})")
            chain.insert(0, self.document(paths[0]))
            if any(chain[0] is layer for layer in chain[1:]):
                raise ConfigError(f"{place}: templates go round in a circle: {trail}; remove one {key}")
            names.append(name)
        return chain

    @staticmethod
    def _parent_name(document: Document) -> tuple[str, str] | None:
        given = [key for key in _PARENT_KEYS if document.value.get(key) is not None]
        if len(given) > 1:
            raise ConfigError(f"{document.where((given[1],))}: inherits and template mean the same; keep one of them")
        if not given:
            return None
        name = document.value[given[0]]
        if not isinstance(name, str):
            raise ConfigError(f"{document.where((given[0],))}: {given[0]}: should be the name of one template")
        return given[0], name

    def _no_template(self, name: str, paths: Sequence[Path]) -> str:
        folder = self.name_of(self.settings.config_path / "templates")
        if paths:
            names = " and ".join(self.name_of(path) for path in paths)
            return f"{names} are both called {name!r}; write the path below {folder}"
        known = sorted({path.stem for found in self.templates.values() for path in found})
        hint = nearest(name, known, "known templates") if known else "that folder has no files"
        return f"no template {name!r} in {folder}; {hint}"


def _merged(layers: Sequence[Document], *, keep_ref: bool = False) -> dict[str, Any]:
    values = [layer.value for layer in layers]
    if len(values) > 1:
        values = [canonical(value, *reversed(values)) for value in values]
    merged: dict[str, Any] = {}
    for value in values:
        merged = deep_merge(merged, value)
    for key in _PARENT_KEYS:
        merged.pop(key, None)
    source = merged.get("source")
    if isinstance(source, Mapping) and "ref" in source and not keep_ref:
        merged["source"] = {key: value for key, value in source.items() if key != "ref"}
    return merged


def _for_jobs(layer: Document) -> Document:
    taken = ("source", "transformer", "loader", "monitoring", "metadata")
    value = {key: value for key, value in layer.value.items() if key in taken}
    if "scraper" in layer.value:
        value["source"] = layer.value["scraper"]
    return Document(layer.name, value, layer.node)


def _holder(layers: Sequence[Document], path: tuple[str | int, ...]) -> Document:
    """The topmost layer that says something at *path*, or else nearest above it."""
    for length in range(len(path), 0, -1):
        for layer in reversed(layers):
            if layer.holds(path[:length]):
                return layer
    return layers[-1]


def _located(problems: Sequence[Problem], layers: Sequence[Document]) -> InvalidConfig:
    """One error for all *problems*, those of the topmost file first, each file's in the order of its lines."""
    depth = {id(layer): -index for index, layer in enumerate(layers)}
    placed = [(_holder(layers, problem.path), problem) for problem in problems]
    placed.sort(key=lambda item: (depth[id(item[0])], item[0].position(item[1].path)))
    text = "\n".join(f"{layer.where(problem.path)}: {problem}" for layer, problem in placed)
    return InvalidConfig(text, [problem for _, problem in placed])
