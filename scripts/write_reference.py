"""Write docs/reference.md from the options themselves; `--check` only says whether it is up to date."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import AliasChoices

from ingestion.config import JobConfig, SourceConfig
from ingestion.connectors import ConnectorFactory
from ingestion.factory import Factory
from ingestion.loaders import LoaderFactory
from ingestion.model import Model
from ingestion.transformers import TransformerFactory

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"
HEAD = """# Reference

Every option of job and source files. This page is written by `make docs` from the options themselves; editors get the
same from the JSON Schema in [config/schema](../config/schema).

A job file may also say `inherits: NAME` (or `template: NAME`) to take over `config/templates/NAME.yaml`, and
`source: {ref: ID, ...}` to take over a source file; what stands in the job file wins. Any value may be a placeholder,
`${NAME}` or `${NAME:-default}`, which is looked up in the environment when a run uses it; but not what is read when the
job is loaded: `enabled`, `cron_expression`, `timezone`, `on_overlap`, and all of `metadata` and `retry_policy`.
"""


def page() -> str:
    """The whole page."""
    described: set[str] = {"Connector", "Transformer", "Loader"}
    parts = [HEAD, *_section("Job", JobConfig, {"id"}, 2, described)]
    for title, factory in (
        ("Source", ConnectorFactory),
        ("Transformer", TransformerFactory),
        ("Loader", LoaderFactory),
    ):
        parts += _plugins(title, factory, described)
    parts += _section("Source file", SourceConfig, set(), 2, described)
    return "\n".join(parts).rstrip() + "\n"


def _plugins(title: str, factory: Factory[Any], described: set[str]) -> Iterator[str]:
    yield f"## {title}\n"
    classes = {factory.get(name) for name in factory.names()}
    for cls in sorted(classes, key=lambda one: one.model_fields["type"].default):
        yield from _section(f"`type: {cls.model_fields['type'].default}`", cls, {"type"}, 3, described)


def _section(title: str, cls: type[Model], skip: set[str], level: int, described: set[str]) -> Iterator[str]:
    schema = cls.model_json_schema(by_alias=False)
    parts = schema.get("$defs", {})
    yield f"{'#' * level} {title}\n"
    if cls.__doc__:
        yield cls.__doc__.strip().splitlines()[0] + "\n"
    yield from _table(schema, parts, skip, _aliases(cls))
    for name, part in parts.items():
        if "properties" in part and name not in described:
            described.add(name)
            yield f"{'#' * (level + 1)} {name}\n"
            yield from _table(part, parts, set(), {})


def _aliases(cls: type[Model]) -> dict[str, list[str]]:
    found = {}
    for name, field in cls.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices):
            found[name] = [str(alias) for alias in field.validation_alias.choices if alias != name]
    return found


def _table(
    schema: dict[str, Any], parts: dict[str, Any], skip: set[str], aliases: dict[str, list[str]]
) -> Iterator[str]:
    yield "| option | values | default | meaning |"
    yield "|---|---|---|---|"
    for name, option in schema.get("properties", {}).items():
        if name in skip:
            continue
        default = "required" if name in schema.get("required", ()) else _default(option)
        also = f" Also written {', '.join(f'`{alias}`' for alias in aliases[name])}." if aliases.get(name) else ""
        cells = [f"`{name}`", _values(option, parts), default, option.get("description", "") + also]
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
    yield ""


def _default(option: dict[str, Any]) -> str:
    value = option.get("default")
    if value is None or isinstance(value, dict) or "$ref" in option:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value != "" else '`""`'


def _values(option: dict[str, Any], parts: dict[str, Any]) -> str:
    """What may stand there, in words."""
    if "$ref" in option:
        name = option["$ref"].rpartition("/")[2]
        part = parts.get(name, {})
        return name if "properties" in part else _values(part, parts)
    choices = option.get("anyOf") or option.get("oneOf")
    if choices:
        words = [_values(one, parts) for one in choices if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(words))
    fixed = option.get("enum") or ([option["const"]] if "const" in option else [])
    return " or ".join(f"`{value}`" for value in fixed) if fixed else _type(option, parts)


def _type(option: dict[str, Any], parts: dict[str, Any]) -> str:
    kind = option.get("type", "any")
    if kind == "array":
        return f"list of {_grouped(option.get('items', {}), parts)}"
    extra = option.get("additionalProperties")
    if kind == "object" and isinstance(extra, dict) and extra:
        return f"map to {_grouped(extra, parts)}"
    return str({"string": "text", "integer": "whole number", "object": "map"}.get(kind, kind))


def _grouped(option: dict[str, Any], parts: dict[str, Any]) -> str:
    words = _values(option, parts)
    return f"({words})" if " or " in words else words


def main() -> int:
    """Write the page, or check it."""
    text = page()
    if "--check" in sys.argv:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
