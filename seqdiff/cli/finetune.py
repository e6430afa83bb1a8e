"""seqdiff finetune"""

import json
from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import evaluate, options


def command(
    train: Annotated[Path, typer.Option("--train", help="Rows to learn from: CSV or TSV with sequence and label.")],
    out: Annotated[Path, typer.Option("--out", help="The run directory to make.")],
    model: options.ModelRun = None,
    valid: Annotated[
        Path | None, typer.Option("--valid", help="Rows that say when to stop; default: a tenth of --train.")
    ] = None,
    test: Annotated[Path | None, typer.Option("--test", help="Rows to be judged on at the end.")] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="How: a recipe that ships (probe) or a YAML file.")] = "probe",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: --set training.epochs=5. Repeatable.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="classification or regression; default: told from the labels.")
    ] = None,
    sequence_column: Annotated[str, typer.Option("--sequence-column", help="Where sequences are.")] = "sequence",
    label_column: Annotated[str, typer.Option("--label-column", help="Where labels are.")] = "label",
    scratch: Annotated[
        bool, typer.Option("--from-scratch", help="A control: the same network with fresh weights, nothing learned.")
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Instead of the recipe's seed.")] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Fine-tune a whole network to predict labels of sequences; use the result with seqdiff predict.

    Words and up to 20 different whole numbers are classes, other numbers a quantity. The weights that do best on
    --valid are kept. The run has finetune.yaml, metrics.jsonl and, with --test, test.json: accuracy, MCC, F1 and AUROC
    (or correlations) with 95 % intervals. Ctrl-C keeps the best so far.

    Example: seqdiff finetune --model runs/demo --train train.csv --test test.csv --out runs/tuned
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    if task is not None:
        options.one_of("--task", task, ("classification", "regression"))
    from seqdiff import files, resources
    from seqdiff import model as models
    from seqdiff.checkpoint import RunFolder
    from seqdiff.data.labelled import read_labelled
    from seqdiff.evaluate.tuned import CHOSEN, judged, warn_of_known
    from seqdiff.train import finetuning
    from seqdiff.train.finetune import finetune

    resolved = finetuning.load(recipe, [*(settings or []), *([] if seed is None else [f"seed={seed}"])])
    files.require_vacant(out)
    run = resources.run_folder(model or models.SHIPPED)
    alphabet = RunFolder(run).read_recipe().data.alphabet
    rows = {
        name: read_labelled(path, alphabet, sequence=sequence_column, label=label_column)
        for name, path in (("train", train), ("valid", valid), ("test", test)) if path is not None
    }  # fmt: skip
    for name in [name for name in rows if name != "train"]:
        warn_of_known(rows[name], rows["train"], alphabet)
    if "valid" in rows and "test" in rows:
        warn_of_known(rows["test"], rows["valid"], alphabet, CHOSEN)
    with files.appearing(out) as hidden:
        with options.progress("finetune", "%", quiet, total=100) as advance:
            tuned = finetune(
                resolved, run, rows["train"], RunFolder(hidden), valid=rows.get("valid"), task=task, fresh=scratch,
                device=device, progress=options.difference(advance, scale=100),
            )  # fmt: skip
        if "test" in rows:
            found = tuned.predictor.predict(rows["test"].records())
            answer = judged(found, rows["test"], tuned.predictor.target, alphabet, seed=resolved.seed)
            (hidden / "test.json").write_text(json.dumps(answer.summary, indent=2) + "\n")
            evaluate.show(answer.table())
    models.logger.info("the predictor is in %s", out)
    if tuned.signal:
        raise typer.Exit(128 + tuned.signal)
