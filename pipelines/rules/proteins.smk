"""proteins: a model for each family of a table, its scores of the mutants of an assay, and how well they rank them.

    seqdiff train --resume -> seqdiff variants -> OUT/scored/NAME.tsv
                           -> seqdiff evaluate -> OUT/evaluations/NAME.json, all -> seqdiff gather -> OUT/metrics.tsv, .png

What it reads: schemas/proteins.yaml, and a row of the table: schemas/rows/families.yaml. Run directories
are OUT/runs/NAME, with RUN/trained, as in pretrain.smk.
"""

OUT = config["out"]
RUNS = config.get("runs", f"{OUT}/runs")
FAMILIES = families_of(config)
RECIPE_FILE = own_file(config["recipe"])
RESULTS = [*expand("{out}/scored/{family}.tsv", out=OUT, family=FAMILIES), f"{OUT}/metrics.tsv", f"{OUT}/metrics.png"]


rule train:
    input:
        alignment=lambda wildcards: local(FAMILIES[wildcards.family]["alignment"]),
        recipe=RECIPE_FILE,
    output:
        trained=touch(local(f"{RUNS}/{{family}}/trained")),
    params:
        recipe=config["recipe"],
        data=lambda wildcards: data_of(FAMILIES[wildcards.family]),
        settings=changes(config["settings"]),
        run=lambda wildcards, output: folder_of(output),
        options=options("seed", "device"),
        processes=PROCESSES,
    log:
        f"{OUT}/logs/train/{{family}}.log",
    benchmark:
        f"{OUT}/benchmarks/train/{{family}}.tsv"
    threads: config["threads"]
    resources:
        mem_mb=memory,
        runtime=config["runtime"],
        **ON_GPUS,
    shell:
        "seqdiff train {params.recipe:q} {params.data} {params.settings} {params.options} {params.processes}"
        " -@ {threads} --out {params.run:q} --resume 2> {log:q}"


rule variants:
    input:
        trained=local(f"{RUNS}/{{family}}/trained"),
        assay=lambda wildcards: FAMILIES[wildcards.family]["assay"],
        wild_type=lambda wildcards: FAMILIES[wildcards.family]["wild_type"],
    output:
        f"{OUT}/scored/{{family}}.tsv",
    params:
        run=lambda wildcards, input: folder_of([input.trained]),
        residues=lambda wildcards: residues_of(FAMILIES[wildcards.family]),
        options=options("method", "device"),
    log:
        f"{OUT}/logs/variants/{{family}}.log",
    benchmark:
        f"{OUT}/benchmarks/variants/{{family}}.tsv"
    threads: config["threads"]
    resources:
        mem_mb=memory,
        runtime=config["runtime"],
        **ON_ONE_GPU,
    shell:
        "seqdiff variants --mutations {input.assay:q} --fasta {input.wild_type:q} --model {params.run:q}"
        " {params.residues} {params.options} -@ {threads} -o {output:q} 2> {log:q}"


rule evaluate:
    input:
        trained=local(f"{RUNS}/{{family}}/trained"),
        assay=lambda wildcards: FAMILIES[wildcards.family]["assay"],
        wild_type=lambda wildcards: FAMILIES[wildcards.family]["wild_type"],
    output:
        f"{OUT}/evaluations/{{family}}.json",
    params:
        run=lambda wildcards, input: folder_of([input.trained]),
        residues=lambda wildcards: residues_of(FAMILIES[wildcards.family]),
        options=options("method", "score_column", "device"),
    log:
        f"{OUT}/logs/evaluate/{{family}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/{{family}}.tsv"
    threads: config["threads"]
    resources:
        mem_mb=memory,
        runtime=config["runtime"],
        **ON_ONE_GPU,
    shell:
        "seqdiff evaluate {params.run:q} variants --mutations {input.assay:q} --fasta {input.wild_type:q}"
        " {params.residues} {params.options} -@ {threads} -o {output:q} > {log:q} 2>&1"


rule metrics:
    input:
        expand("{out}/evaluations/{family}.json", out=OUT, family=FAMILIES),
    output:
        table=f"{OUT}/metrics.tsv",
        figure=f"{OUT}/metrics.png",
    log:
        f"{OUT}/logs/metrics.log",
    benchmark:
        f"{OUT}/benchmarks/metrics.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=config["runtime"],
    shell:
        "seqdiff gather {input:q} -o {output.table:q} --figure {output.figure:q} 2> {log:q}"
