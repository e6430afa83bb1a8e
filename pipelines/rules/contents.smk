"""What is in the files that a config names: families of a table, systems of a comparison, FASTA or FASTQ."""

import csv
import gzip


def kind_of(fasta):
    """What shards of a file of sequences are called: fq for FASTQ, else fa. By the name where the file is not here."""
    if not Path(fasta).is_file():
        name = Path(fasta).name.removesuffix(".gz").lower()
        return "fq" if name.endswith((".fq", ".fastq")) else "fa"
    with open(fasta, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(fasta) if packed else open(fasta, "rb") as file:
        return "fq" if file.read(1) == b"@" else "fa"


def families_of(config):
    """The rows of the table of families by name. WorkflowError for every wrong one, with its line."""
    path = config["families"]
    schema = yaml.safe_load((HERE / "schemas" / "rows" / "families.yaml").read_text(encoding="utf-8"))
    known = schema["properties"]
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", restkey="more")
        columns = rows.fieldnames or []
        if wrong := [name for name in columns if name not in known] + [n for n in schema["required"] if n not in columns]:
            verb = "no column of this name is known" if wrong[0] in columns else "there is no such column"
            raise WorkflowError(f"families: {path}: {wrong[0]}: {verb}; it is a TSV of {', '.join(known)}")
        found, lines = {}, []
        for row in rows:
            where = f"families: {path}, line {rows.line_num}"
            given = {key: value for key, value in row.items() if value}
            for error in jsonschema.Draft202012Validator(schema).iter_errors(given):
                missing = [key for key in schema["required"] if key not in given]
                lines.append(f"{where}: " + (f"no {missing[0]}" if missing else error.message))
            for key, field in known.items():
                if field.get("format") == "file" and key in given:
                    lines += [f"{where}: {key}: {given[key]}: {wrong}" for wrong in CHECKS["file"](given[key])]
            if row["name"] in found:
                lines.append(f"{where}: a second family is called {row['name']}")
            found[row["name"]] = given
    if lines or not found:
        raise WorkflowError("\n  ".join(dict.fromkeys(lines)) or f"families: {path}: it has no family")
    return found


def data_of(family):
    """Settings of a recipe that say what a family's model is trained on, as words of a command."""
    return changes({"data.alignment": family["alignment"]} | ({"data.query": q} if (q := family.get("query")) else {}))


def residues_of(family):
    """How the residues of a family's wild type are numbered, as words of a command."""
    return f"--first-residue {family['first_residue']}" if "first_residue" in family else ""


def systems_of(config):
    """The systems of a comparison that are asked for, by name. WorkflowError for one that there is not."""
    name = config["comparison"]
    path = Path(name) if Path(name).suffix else shipped.folder("configs") / "compare" / f"{name}.yaml"
    try:
        systems = [system["name"] for system in yaml.safe_load(path.read_text(encoding="utf-8"))["systems"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise WorkflowError(f"comparison: {name}: not a comparison with systems, each with a name") from error
    for system in config.get("systems", []):
        if system not in systems:
            raise WorkflowError(f"systems: {name} has no system {system}; it has {', '.join(systems)}")
    return config.get("systems", systems)
