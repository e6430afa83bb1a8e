"""The one base of every setting: frozen, and an unknown key is an error."""

import types
import typing
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen value read from YAML. Unknown keys are refused, so a misspelt setting is never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def members(union: Any, tag: str = "kind") -> dict[str, type[Config]]:
    """The classes of a union by the value of their tag: the registry of what there is.

    >>> from typing import Literal
    >>> class Early(Config):
    ...     kind: Literal["early"] = "early"
    >>> class Late(Config):
    ...     kind: Literal["late"] = "late"
    >>> list(members(Early | Late))
    ['early', 'late']
    """
    return {cls.model_fields[tag].default: cls for cls in classes(union) if tag in cls.model_fields}


def classes(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic classes an annotation may hold: itself, or the members of a union."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, Annotated):
        return [cls for part in typing.get_args(annotation) for cls in classes(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
