"""pretrain: get a genome, encode it, train on it, evaluate what came out, and put it on a page.

    seqdiff genomes fetch -> seqdiff genomes index -> seqdiff train --resume -> seqdiff evaluate -> seqdiff report

What it reads: schemas/pretrain.yaml. The run directory is no output of a rule: Snakemake removes the outputs of a job
that is killed, and the run is to go on from its last save. RUN/trained marks a training that came to its end; start
the workflow again after whatever stopped it, and it goes on to the same weights.
"""

OUT = config["out"]
RUN = config.get("run", f"{OUT}/run")
GENOME = config.get("genome")
OWN = config.get("fasta")
DATA = ({"data.genome": GENOME} if GENOME else {"data.genome": None}) | ({"data.fasta": OWN} if OWN else {})
RECIPE_FILE = own_file(config["recipe"])
RESULTS = [f"{OUT}/evaluation.json", f"{OUT}/report.html"]


rule fetch:
    output:
        f"{OUT}/genome.path",
    params:
        genome=GENOME,
    log:
        f"{OUT}/logs/fetch.log",
    benchmark:
        f"{OUT}/benchmarks/fetch.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=config["runtime"],
    shell:
        "seqdiff genomes fetch {params.genome:q} > {output:q} 2> {log:q}"


rule index:
    input:
        local(OWN) if OWN else f"{OUT}/genome.path",
    output:
        f"{OUT}/contigs.tsv",
    params:
        genome=OWN or GENOME,
    log:
        f"{OUT}/logs/index.log",
    benchmark:
        f"{OUT}/benchmarks/index.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=config["runtime"],
    shell:
        "seqdiff genomes index {params.genome:q} > {output:q} 2> {log:q}"


rule train:
    input:
        indexed=f"{OUT}/contigs.tsv",
        recipe=RECIPE_FILE,
    output:
        trained=touch(local(f"{RUN}/trained")),
    params:
        recipe=config["recipe"],
        data=changes(DATA),
        settings=changes(config["settings"]),
        run=lambda wildcards, output: folder_of(output),
        options=options("seed", "device"),
        processes=PROCESSES,
    log:
        f"{OUT}/logs/train.log",
    benchmark:
        f"{OUT}/benchmarks/train.tsv"
    threads: config["threads"]
    resources:
        mem_mb=memory,
        runtime=config["runtime"],
        **ON_GPUS,
    shell:
        "seqdiff train {params.recipe:q} {params.data} {params.settings} {params.options} {params.processes}"
        " -@ {threads} --out {params.run:q} --resume 2> {log:q}"


rule evaluate:
    input:
        trained=local(f"{RUN}/trained"),
    output:
        f"{OUT}/evaluation.json",
    params:
        run=lambda wildcards, input: folder_of([input.trained]),
        questions=" ".join(config["questions"]),
        settings=changes(config["evaluation"]),
        options=options("device"),
    log:
        f"{OUT}/logs/evaluate.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate.tsv"
    threads: config["threads"]
    resources:
        mem_mb=memory,
        runtime=config["runtime"],
        **ON_ONE_GPU,
    shell:
        "seqdiff evaluate {params.run:q} {params.questions} {params.settings} {params.options} -@ {threads}"
        " -o {output:q} > {log:q} 2>&1"


rule report:
    input:
        trained=local(f"{RUN}/trained"),
        evaluation=f"{OUT}/evaluation.json",
    output:
        f"{OUT}/report.html",
    params:
        run=lambda wildcards, input: folder_of([input.trained]),
    log:
        f"{OUT}/logs/report.log",
    benchmark:
        f"{OUT}/benchmarks/report.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=config["runtime"],
    shell:
        "seqdiff report {params.run:q} --evaluation {input.evaluation:q} --quick --device cpu -@ {threads}"
        " -o {output:q} 2> {log:q}"
