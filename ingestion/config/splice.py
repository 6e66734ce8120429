"""A configuration as YAML text, and one job put into a file of many whose other lines stay as they are."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from ingestion.config.yaml_text import Document, looks_like_number, parse_yaml
from ingestion.errors import ConfigError

__all__ = ["dumped", "edited", "jobs_of"]


class _Dumper(yaml.SafeDumper):
    """Quotes every text that a reader of YAML 1.1 or 1.2 might take for something else; writes no aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    lines = text.split("\n")
    style = "'" if looks_like_number(text) else None
    if not all(line.isprintable() and line == line.strip() for line in lines):
        style = '"'
    elif len(lines) > 1:
        style = "|" if lines[0] else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dumped(config: Mapping[str, Any]) -> str:
    """*config* as YAML that reads back as the same values; raises ConfigError for values that YAML cannot hold."""
    text = str(yaml.dump(dict(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096))
    if parse_yaml(text, "the configuration").value != config:
        raise ConfigError("the configuration holds values that YAML cannot hold; write text, numbers, true or false")
    return text


def jobs_of(content: bytes | None, path: Path) -> Mapping[str, Any]:
    """The jobs in *content*; empty where there are none."""
    value = _document(content, path).value if content else {}
    jobs = value.get("jobs") if isinstance(value, dict) else None
    return jobs if isinstance(jobs, dict) else {}


def edited(content: bytes, path: Path, job_id: str, config: Mapping[str, Any] | None) -> bytes:
    """*content* with this one job set, or taken out where *config* is None; all other lines stay as they are."""
    jobs = jobs_of(content, path)
    lines = content.decode("utf-8-sig").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    node = _document(content, path).node
    start, end, margin = _place(node, lines, job_id)
    block = "" if config is None else indent(dumped({job_id: dict(config)}), " " * margin)
    result = "".join([*lines[:start], block, *lines[end:]]).encode()
    expected = {key: value for key, value in {**jobs, job_id: config}.items() if value is not None}
    if jobs_of(result, path) != expected:
        raise ConfigError(
            f"{path} cannot be edited without changing other jobs; put the job {job_id!r} into it by hand"
        )
    return result


def _document(content: bytes, path: Path) -> Document:
    return parse_yaml(content.decode("utf-8-sig"), str(path))


def _place(root: Any, lines: list[str], job_id: str) -> tuple[int, int, int]:
    """The lines that the job takes up or will be put between, and the indentation of jobs; may empty a ``{}``."""
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    here = next((index for index, pair in enumerate(pairs) if pair[0].value == "jobs"), None)
    if here is None:
        if root is not None and not pairs:  # the whole document is a {}
            line = lines[root.start_mark.line]
            lines[root.start_mark.line] = line[: root.start_mark.column] + line[root.end_mark.column :].lstrip()
        lines.append("jobs:\n")
        return len(lines), len(lines), 2
    below = pairs[here + 1][0].start_mark.line if here + 1 < len(pairs) else len(lines)
    key, jobs = pairs[here]
    if not jobs.value:
        line = lines[key.start_mark.line]
        lines[key.start_mark.line] = line[: key.end_mark.column] + ":" + line[jobs.end_mark.column :].lstrip("}")
        return key.start_mark.line + 1, key.start_mark.line + 1, key.start_mark.column + 2
    starts = [pair[0].start_mark.line for pair in jobs.value]
    ends = [*starts[1:], below]
    margin = jobs.value[0][0].start_mark.column
    at = next((index for index, pair in enumerate(jobs.value) if pair[0].value == job_id), None)
    last = _last_line(lines, starts[-1 if at is None else at], ends[-1 if at is None else at], margin)
    return (last if at is None else starts[at]), last, margin


def _last_line(lines: list[str], start: int, end: int, margin: int) -> int:
    """The line after the last one of the job from *start*; comments before the next job are not its own."""
    while end > start + 1:
        line = lines[end - 1]
        text = line.lstrip()
        outside = len(line) - len(text) <= margin
        if text and not (outside and text.startswith("#")) and text.rstrip() not in ("---", "..."):
            break
        end -= 1
    return end
