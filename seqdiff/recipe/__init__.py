"""The whole run as one frozen value, read from one complete YAML file."""

from seqdiff.recipe.read import anywhere, apply, explain, find, load, names, parse, read_values
from seqdiff.recipe.recipe import SCHEMA, Recipe, Training

__all__ = [
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
