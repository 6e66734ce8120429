"""JSON Schemas of job and source files, for editors and generators."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from ingestion.config.job import JobConfig
from ingestion.config.merging import PLUGINS
from ingestion.config.source import SourceConfig
from ingestion.model import SPELLED_OUT, Model

__all__ = ["job_schema", "source_schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLACEHOLDER = {"type": "string", "pattern": r"\$\{[A-Za-z_]", "description": "A ${NAME} from the environment."}
_DEFINITIONS = "#/$defs/"
_REF = {"type": "string", "description": "The id of a file in config/sources, whose options stand below these."}
_TEMPLATE = {"type": "string", "description": "A file in config/templates, whose options stand below these."}
_PLAIN = ("boolean", "integer", "number", "string")
_PARENTS = [{"required": ["inherits"]}, {"required": ["template"]}]


def job_schema() -> dict[str, Any]:
    """The schema of a file in config/jobs, with every plugin that is installed here."""
    schema = _schema(JobConfig)
    properties = schema["properties"]
    del properties["id"]
    properties |= {"inherits": _TEMPLATE, "template": _TEMPLATE}
    source = properties["source"]
    source["anyOf"].append({"type": "object", "properties": {"ref": _REF}, "required": ["ref"]})
    from_template = {"type": "object", "not": {"anyOf": [{"required": ["type"]}, {"required": ["ref"]}]}}
    source["anyOf"].append(from_template | {"description": "The type comes from a template."})
    complete = {"required": ["source"], "properties": {"source": {"anyOf": _complete()}}}
    schema |= {"title": "Job", "if": {"anyOf": _PARENTS}, "else": complete}
    schema.pop("required", None)
    return schema


def source_schema() -> dict[str, Any]:
    """The schema of a file in config/sources, with every plugin that is installed here."""
    schema = _schema(SourceConfig)
    properties = schema["properties"]
    untyped = {"type": "object", "not": {"required": ["type"]}, "description": "The type comes from elsewhere."}
    properties["source"]["anyOf"].append(untyped)
    properties["version"]["anyOf"].append({"type": "number"})
    return schema | {"title": "Source"}


def _schema(model: type[Model]) -> dict[str, Any]:
    """The schema of *model* with its plugin sections spelled out."""
    branches = list(_branches())
    plugins = {cls: "" for _, cls, _ in branches}
    inputs: Any = [(cls, "validation") for cls in (model, *plugins)]
    references, shared = models_json_schema(inputs, ref_template=f"{_DEFINITIONS}{{model}}")
    definitions = shared["$defs"]
    names = {cls: reference["$ref"].removeprefix(_DEFINITIONS) for (cls, _), reference in references.items()}
    for definition in definitions.values():
        _allow_placeholders(definition)
    top = definitions.pop(names[model])
    for section in PLUGINS:
        spelled = [_branch(definitions[names[cls]], kind, types) for kind, cls, types in branches if kind == section]
        top["properties"][section] = {
            "description": top["properties"][section].get("description", ""),
            "anyOf": spelled,
        }
    for cls in plugins:
        definitions.pop(names[cls])
    for base in ("Connector", "Transformer", "Loader"):
        definitions.pop(base, None)
    return {"$schema": _DIALECT, **top, "$defs": definitions}


def _branches() -> Iterable[tuple[str, type[Model], list[str]]]:
    """Every plugin class: the section that it belongs to, and the type names that it goes by."""
    for section, (factory, _) in PLUGINS.items():
        names: dict[type[Model], list[str]] = {}
        for name in factory.names():
            names.setdefault(factory.get(name), []).append(name)
        yield from ((section, cls, found) for cls, found in names.items())


def _branch(definition: Mapping[str, Any], section: str, types: list[str]) -> dict[str, Any]:
    """The options of one plugin; what it requires may come from a template, so `_complete` asks for it."""
    properties = {
        "type": {"enum": types, "description": f"The type of the {section}."},
        **{key: value for key, value in definition["properties"].items() if key != "type"},
    }
    if section == "source":
        properties["ref"] = _REF
    required = [] if PLUGINS[section][1] in types else ["type"]
    return {**definition, "title": " or ".join(types), "properties": properties, "required": required}


def _complete() -> list[dict[str, Any]]:
    """What a source must hold that no template completes."""
    found: list[dict[str, Any]] = [{"required": ["ref"]}]
    for section, cls, names in _branches():
        if section == "source":
            required = [name for name, field in cls.model_fields.items() if field.is_required() and name != "type"]
            others = {alias: name for alias, name in cls.aliases().items() if name in required}
            alternatives = [
                {"anyOf": [{"required": [name]}, *({"required": [alias]} for alias in others if others[alias] == name)]}
                for name in required
            ]
            found.append({"properties": {"type": {"enum": names}}, "required": ["type"], "allOf": alternatives or [{}]})
    return found


def _allow_placeholders(definition: dict[str, Any]) -> None:
    """Most options may be a ${NAME}; those that take any text say so already."""
    properties = definition.get("properties", {})
    for name, value in properties.items():
        if value.pop(SPELLED_OUT, False) or name == "type" or not _restricts(value):
            continue
        outer = {key: value[key] for key in ("description", "default", "title") if key in value}
        inner = {key: item for key, item in value.items() if key not in outer}
        properties[name] = outer | {"anyOf": [*inner.pop("anyOf", [inner]), _PLACEHOLDER]}


def _restricts(value: Mapping[str, Any]) -> bool:
    """Whether *value* is a plain value, but not just any text."""
    options = value.get("anyOf", [value])
    free = {"description", "default", "title", "type"}
    if any(option.get("type") == "string" and set(option) <= free for option in options):
        return False
    return any(option.get("type") in _PLAIN or {"enum", "const"} & set(option) for option in options)
