"""``--set path=value``: options for one run."""

from collections.abc import Sequence
from typing import Any

from ingestion.config import yaml_scalar
from ingestion.errors import ConfigError

__all__ = ["parse_overrides"]


def parse_overrides(settings: Sequence[str]) -> dict[str, Any]:
    """The overrides that ``a.b=value`` texts describe, values read as YAML; raises ConfigError for anything else."""
    overrides: dict[str, Any] = {}
    for text in settings:
        path, equals, value = text.partition("=")
        steps = [step.strip() for step in path.split(".")]
        if not equals or not all(steps):
            raise ConfigError(f"--set {text}: should be PATH=VALUE, such as source.file_pattern='2024-*.csv'")
        place = overrides
        for step in steps[:-1]:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {text}: {step} was set to a value before; set it once")
        if isinstance(place.get(steps[-1]), dict):
            raise ConfigError(f"--set {text}: options below {path} were set before; set it once")
        place[steps[-1]] = yaml_scalar(value)
    return overrides
