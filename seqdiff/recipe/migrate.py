"""Recipes of older seqdiffs as today's: one function a step from a schema to the next.

A step renames or takes out what has since been called otherwise; where a setting did something that is done no more, it
refuses with the reason, since a run must not go on as another one.
"""

import copy
from collections.abc import Callable
from typing import Any

from seqdiff.errors import ConfigError
from seqdiff.recipe.recipe import SCHEMA


def migrated(values: dict[str, Any], source: str) -> dict[str, Any]:
    """The settings in the present schema. ConfigError for a newer schema, none at all, or what cannot be carried over.

    >>> migrated({"schema": 1, "denoiser": {"kind": "bytenet", "learned_positions": False}}, "old.yaml")
    {'schema': 2, 'denoiser': {'kind': 'bytenet'}}
    """
    schema = values.get("schema", SCHEMA)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise ConfigError(f"{source}: schema {schema!r} is none: it is a number from 1 to {SCHEMA}")
    if schema > SCHEMA:
        by = f" (written by {values['written_by']})" if values.get("written_by") else ""
        raise ConfigError(
            f"{source}: schema {schema}{by} is newer than this seqdiff understands ({SCHEMA}); upgrade seqdiff"
        )
    if schema == SCHEMA:
        return values
    values = copy.deepcopy(values)
    for number in range(schema, SCHEMA):
        try:
            STEPS[number](values)
        except ConfigError as error:
            raise ConfigError(f"{source}: schema {schema} cannot be carried over to {SCHEMA}: {error}") from error
        values["schema"] = number + 1
    return values


def _from_1(values: dict[str, Any]) -> None:
    """Schema 2: a ByteNet has no `learned_positions` any more, a setting that it once took over from `convolution`."""
    denoiser = values.get("denoiser")
    if isinstance(denoiser, dict) and denoiser.get("kind") == "bytenet" and denoiser.pop("learned_positions", False):
        raise ConfigError(
            "denoiser.learned_positions: a bytenet with positions of its own, which a development version offered, "
            "is no longer built; train denoiser.kind convolution or transformer, which have them"
        )


STEPS: dict[int, Callable[[dict[str, Any]], None]] = {1: _from_1}
"""By the schema that a step begins from."""
