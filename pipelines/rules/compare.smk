"""compare: the systems of a comparison, each trained and measured by a job of its own, then the table of all.

    seqdiff compare --only SYSTEM, each -> OUT/systems/SYSTEM.tsv -> seqdiff compare -> OUT/table.{tsv,md,json,png}

What it reads: schemas/compare.yaml. Run directories are in OUT/runs, of which no file is an output of a rule: what is
trained stays, and a training that was killed goes on from its last save when the workflow is started again.
"""

OUT = config["out"]
RUNS = config.get("runs", f"{OUT}/runs")
SYSTEMS = systems_of(config)
ONLY = " ".join(f"--only {name}" for name in SYSTEMS)
COMPARISON_FILE = own_file(config["comparison"])
RESULTS = multiext(f"{OUT}/table", ".tsv", ".md", ".json", ".png")


rule system:
    input:
        COMPARISON_FILE,
    output:
        f"{OUT}/systems/{{system}}.tsv",
    params:
        comparison=config["comparison"],
        settings=changes(config["settings"]),
        runs=RUNS,
        options=options("device"),
        processes=PROCESSES,
    log:
        f"{OUT}/logs/systems/{{system}}.log",
    benchmark:
        f"{OUT}/benchmarks/systems/{{system}}.tsv"
    threads: config["threads"]
    resources:
        mem_mb=memory,
        runtime=config["runtime"],
        **ON_GPUS,
    shell:
        "seqdiff compare {params.comparison:q} --only {wildcards.system} {params.settings} {params.options}"
        " {params.processes} -@ {threads} --out {params.runs:q} -o {output:q} > {log:q} 2>&1"


rule table:
    input:
        expand("{out}/systems/{system}.tsv", out=OUT, system=SYSTEMS),
    output:
        multiext(f"{OUT}/table", ".tsv", ".md", ".json", ".png"),
    params:
        comparison=config["comparison"],
        only=ONLY,
        settings=changes(config["settings"]),
        runs=RUNS,
        table=lambda wildcards, output: output[0].removesuffix(".tsv"),
        options=options("device"),
        processes=PROCESSES,
    log:
        f"{OUT}/logs/table.log",
    benchmark:
        f"{OUT}/benchmarks/table.tsv"
    threads: config["threads"]
    resources:
        mem_mb=memory,
        runtime=config["runtime"],
        **ON_GPUS,
    shell:
        "seqdiff compare {params.comparison:q} {params.only} {params.settings} {params.options} {params.processes}"
        " -@ {threads} --out {params.runs:q} -o {params.table:q} > {log:q} 2>&1"
