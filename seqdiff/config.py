"""The one base of every setting: frozen, and an unknown key is an error."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen value read from YAML. Unknown keys are refused, so a misspelt setting is never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
