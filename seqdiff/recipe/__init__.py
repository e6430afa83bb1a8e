"""The whole run as one frozen value, read from one complete YAML file."""

from seqdiff.recipe.read import anywhere, apply, explain, find, load, names, parse, read_values
from seqdiff.recipe.recipe import KEPT_AT_MOST, SCHEMA, Recipe, Training

__all__ = [
    "KEPT_AT_MOST",
    "SCHEMA",
    "Recipe",
    "Training",
    "anywhere",
    "apply",
    "explain",
    "find",
    "load",
    "names",
    "parse",
    "read_values",
]
