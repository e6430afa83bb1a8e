"""The config: checked before any job starts, and turned into words of commands."""

import difflib
import shlex
from pathlib import Path

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError

from seqdiff import resources as shipped

HERE = Path(workflow.basedir)
"""The folder of the Snakefile."""


def checked(config):
    """Fills in the defaults of the workflow's schema. WorkflowError for whatever else is wrong, a line each."""
    names = sorted(path.stem for path in (HERE / "schemas").glob("*.yaml"))
    name = config.get("workflow")
    if name not in names:
        wrong = "the config does not say which workflow" if name is None else f"workflow: there is no {name!r}"
        raise WorkflowError(f"{wrong}; say workflow: NAME in it (make pipeline NAME=...): {', '.join(names)}")
    schema = yaml.safe_load((HERE / "schemas" / f"{name}.yaml").read_text(encoding="utf-8"))
    known = schema["properties"]
    lines = []
    for key in config.keys() - known.keys():
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        lines.append(f"{key}: no such setting of the workflow {name}; {hint}")
        del config[key]
    for key in [key for key, value in config.items() if value is None]:
        del config[key]  # as if it were not there: YAML's `bed:` and `--config bed=`
    for key, field in known.items():
        if "default" in field:
            config.setdefault(key, field["default"])
    for error in jsonschema.Draft202012Validator(schema).iter_errors(config):
        if error.validator == "required":
            missing = next(key for key in error.validator_value if key not in config)
            lines.append(f"{missing}: the workflow {name} needs it: {known[missing]['description']}")
        elif error.validator == "anyOf":
            lines.append(f"{schema['$comment']}")
        else:
            lines.append(f"{'.'.join(map(str, error.absolute_path))}: {error.message}; {_about(known, error)}")
    for key, field in known.items():
        if isinstance(config.get(key), str) and field.get("format") in CHECKS:
            lines += [f"{key}: {config[key]}: {wrong}" for wrong in CHECKS[field["format"]](config[key])]
    if lines:
        raise WorkflowError("the config cannot be used:\n  " + "\n  ".join(sorted(lines)))


def _about(known, error):
    return f"it is {known[error.absolute_path[0]]['description']}"


def _no_file(path):
    """What is wrong with a file that is read; nothing is said where files are not on this machine."""
    elsewhere = workflow.storage_settings.default_storage_provider is not None
    return [] if elsewhere or Path(path).is_file() else ["no such file"]


def _no_model(model):
    """What is wrong with a run directory, or the name of a model that ships."""
    names = shipped.shipped_runs()
    if model in names or not _no_file(f"{model}/model.safetensors"):
        return []
    return [f"no such run directory (no model.safetensors in it), and no model that ships ({', '.join(names)})"]


def _no_recipe(folder):
    """A check of something that comes with seqdiff by name, or is a YAML file."""

    def check(recipe):
        if Path(recipe).suffix in (".yaml", ".yml") or len(Path(recipe).parts) > 1:
            return _no_file(recipe)
        names = sorted(path.stem for path in (shipped.folder("configs") / folder).glob("*.yaml"))
        return [] if recipe in names else [f"none of this name ships; there are {', '.join(names)}"]

    return check


CHECKS = {"file": _no_file, "model": _no_model, "recipe": _no_recipe("."), "comparison": _no_recipe("compare")}
"""What the `format` of a setting asks for, before any job starts."""


def options(*names):
    """The settings of these names, where they are given, as words of a command: `--steps 64`."""
    given = [(name, config[name]) for name in names if config.get(name) is not None]
    return " ".join(f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given)


def changes(values, **more):
    """`--set` for each of some settings, as words of a command."""
    words = [f"{key}={_as_yaml(value)}" for key, value in (values | more).items()]
    return " ".join(f"--set {shlex.quote(word)}" for word in words)


def _as_yaml(value):
    """On one line, and read back as what it is: 1.0e-05 as a number, 'yes' as text."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


def own_file(name):
    """The YAML file that a recipe or a comparison is in, where it does not come with seqdiff."""
    return [local(name)] if Path(name).suffix in (".yaml", ".yml") else []


def weights(model):
    """The file that says whether a model has changed; none for one that ships."""
    return [] if model in shipped.shipped_runs() else [local(f"{model}/model.safetensors")]


def folder_of(files):
    """The folder of some files: of shards, or the run directory of RUN/trained."""
    return str(Path(files[0]).parent)
