"""Frozen pydantic models whose placeholders wait and whose unknown keys are named with the nearest known one."""

import ast
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from inspect import cleandoc, getsource
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError
from typing_extensions import Self

from ingestion.secrets import has_placeholder, resolve

__all__ = ["SPELLED_OUT", "Model", "Names", "nearest"]

SPELLED_OUT = "x-spelled-out"
"""Marks, in a JSON Schema, an option that takes no placeholder."""

Names: TypeAlias = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value, json_schema_input_type=str | list[str]),
]
"""A list of names; one alone needs no list."""

_MANY_KEYS = 30  # a longer list is no help
_SHORTEST_START = 3  # letters that tell which longer name was meant


def nearest(word: str, known: Iterable[str], label: str) -> str:
    """A hint for a *word* that is not *known*: the nearest one or the one that it starts, or all after *label*."""
    names = sorted(known)
    near = get_close_matches(word, names, n=1) or get_close_matches(word.lower(), names, n=1)
    longer = [name for name in names if len(word) >= _SHORTEST_START and name.startswith(word.lower())]
    if near or len(longer) == 1:
        return f"did you mean {[*near, *longer][0]!r}?"
    return f"{label}: {', '.join(names[:_MANY_KEYS])}{', ...' if len(names) > _MANY_KEYS else ''}"


@cache
def _docstrings(cls: type) -> dict[str, str]:
    """What stands below the fields of a class and of those that it extends.

    Pydantic would read it whenever a class is made, which is an eighth of the time that a run takes to start.
    """
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            for field, text in pairwise(_body(base)):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    found.pop(field.target.id, None)  # a field that is declared anew has what stands there alone
                    if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                        found[field.target.id] = cleandoc(str(text.value.value))
    return found


def _body(cls: type) -> list[ast.stmt]:
    """The statements of a class as its file has them; none where there is no such file."""
    try:
        (made,) = ast.parse(dedent(getsource(cls))).body
    except (OSError, TypeError, SyntaxError):
        return []
    return made.body if isinstance(made, ast.ClassDef) else []


class Model(BaseModel):
    """Frozen configuration: unknown keys are refused, and placeholders stay as written until `resolved`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
    )

    spelled_out: ClassVar[frozenset[str]] = frozenset()
    """Options that are needed before any run, and so before the environment of a run: they take no placeholder."""
    listed: ClassVar[frozenset[str]] = frozenset()
    """Options that are lists, of which a placeholder can be a member and not the whole."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Placeholders wait in front of the field validators of every class, which wrap those of its bases."""
        super().__init_subclass__(**options)
        waits = field_validator("*", mode="wrap", check_fields=False)(classmethod(_placeholders_wait))
        setattr(cls, f"_placeholders_wait_{len(cls.__mro__)}", waits)

    @model_validator(mode="wrap")
    @classmethod
    def _name_unknown_keys(cls, value: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """An unknown key is refused in words that name the nearest known one."""
        try:
            return validate(value)
        except ValidationError as error:
            lines = error.errors(include_url=False)
            if not any(line["type"] == "extra_forbidden" and len(line["loc"]) == 1 for line in lines):
                raise
            raise ValidationError.from_exception_data(cls.__name__, [cls._reworded(line) for line in lines]) from None

    @classmethod
    def _reworded(cls, line: Mapping[str, Any]) -> InitErrorDetails:
        text = line["msg"]
        if line["type"] == "extra_forbidden" and len(line["loc"]) == 1:
            text = cls._about_unknown(str(line["loc"][0]))
        error = PydanticCustomError(line["type"], text)
        return InitErrorDetails(type=error, loc=line["loc"], input=line["input"])

    @classmethod
    def _about_unknown(cls, key: str) -> str:
        canonical = cls.aliases().get(key)
        if canonical:
            return f"{key!r} is another name of {canonical!r}, which is given too; keep one of them"
        known = [name for name, field in cls.model_fields.items() if not field.exclude]
        return f"unknown key {key!r}; {nearest(key, known, 'known keys')}"

    @classmethod
    def aliases(cls) -> dict[str, str]:
        """Other names that users may write, and the field that each stands for."""
        found = {}
        for name, field in cls.model_fields.items():
            alias = field.validation_alias
            choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
            found.update({choice: name for choice in choices if isinstance(choice, str) and choice != name})
        return found

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of the fields, with their docstrings, and their other names as options of their own."""
        result = handler(schema)
        properties = handler.resolve_ref_schema(result).get("properties", {})
        for name, text in _docstrings(cls).items():
            if name in properties:
                properties[name] = {"description": text, **properties[name]}
        for alias, name in cls.aliases().items():
            if name in properties:
                properties[alias] = {**properties[name], "description": f"Another name of {name}."}
        for name in cls.spelled_out & set(properties):
            properties[name] = {**properties[name], SPELLED_OUT: True}
        return result

    def resolved(self, where: str = "") -> Self:
        """The same configuration with every placeholder replaced and validated; raises ConfigError if one is unset."""
        return type(self).model_validate(resolve(self.as_written(), where))

    def as_written(self) -> dict[str, Any]:
        """The options that were given, under their canonical names, placeholders untouched."""
        return self.model_dump(mode="json", exclude_unset=True, warnings=False, serialize_as_any=True)

    def with_defaults(self, **values: Any) -> Self:
        """The same configuration with *values* where its file gives none; they do not count as written."""
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        missing = {name: value for name, value in values.items() if name not in given}
        if not missing:
            return self
        copy = self.model_copy(update=missing)
        copy.model_fields_set.difference_update(set(missing) - self.model_fields_set)
        return copy

    def settled(self, option: str) -> Any:
        """The value of *option*; None while that is a placeholder, of which nothing can be said yet."""
        value = getattr(self, option)
        return None if has_placeholder(value) else value


def _placeholders_wait(
    cls: type[Model], value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
) -> Any:
    """A field of any type may hold ``${NAME}``; it is validated once the value is known."""
    if info.field_name in cls.spelled_out:
        if has_placeholder(value):
            text = "cannot be a placeholder, as it is read when the job is loaded; write the value itself"
            raise PydanticCustomError("placeholder", text)
        return validate(value)
    if isinstance(value, str) and has_placeholder(value):
        if info.field_name in cls.listed:
            text = "should be a list; a placeholder can stand for one of its members"
            raise PydanticCustomError("placeholder", text)
        return value
    try:
        return validate(value)
    except ValidationError as error:
        waiting = isinstance(value, list | dict) and all(
            line["type"] != "placeholder" and isinstance(line["input"], str) and has_placeholder(line["input"])
            for line in error.errors()
        )
        if waiting:
            return value
        raise
