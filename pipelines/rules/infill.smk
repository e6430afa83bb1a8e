"""infill: fill the unknown letters of a FASTA, a shard a job; the result is that of one command on the whole.

    FASTA -> seqdiff scatter -> OUT/shards-8/1-of-8.fa ... -> seqdiff infill, each -> seqdiff gather -> OUT/filled.fa.gz

What it reads: schemas/infill.yaml. Shards go when all of them are filled.
"""

N = config["shards"]
OUT = config["out"]
FORMS = {"fasta": "fa", "fastq": "fq", "table": "tsv"}
FILLED = FORMS[config["form"]]
READ = kind_of(config["fasta"])
SPANS = "bed" in config
RESULTS = [f"{OUT}/filled.{FILLED}.gz"]


rule scatter:
    input:
        fasta=config["fasta"],
        bed=config.get("bed", []),
    output:
        fasta=temp(expand("{out}/shards-{n}/{k}-of-{n}.{kind}", out=OUT, n=N, k=range(1, N + 1), kind=READ)),
        bed=temp(expand("{out}/shards-{n}/{k}-of-{n}.bed", out=OUT, n=N, k=range(1, N + 1) if SPANS else [])),
    params:
        folder=lambda wildcards, output: folder_of(output.fasta),
        number=N,
        spans=lambda wildcards, input: f"--bed {shlex.quote(input.bed)}" if SPANS else "--by unknown",
    log:
        f"{OUT}/logs/scatter.log",
    benchmark:
        f"{OUT}/benchmarks/scatter.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=config["runtime"],
    shell:
        "seqdiff scatter --fasta {input.fasta:q} {params.spans} -n {params.number} --out {params.folder:q} 2> {log:q}"


rule infill:
    input:
        fasta=f"{OUT}/shards-{N}/{{k}}-of-{N}.{READ}",
        bed=f"{OUT}/shards-{N}/{{k}}-of-{N}.bed" if SPANS else [],
        model=weights(config["model"]),
    output:
        temp(f"{OUT}/filled-{N}/{{k}}-of-{N}.{FILLED}"),
    params:
        model=config["model"],
        spans=lambda wildcards, input: f"--bed {shlex.quote(input.bed)}" if SPANS else "",
        options=options("sampler", "steps", "samples", "temperature", "top_p", "seed", "device"),
        form=config["form"],
        processes=PROCESSES,
    log:
        f"{OUT}/logs/infill/{{k}}-of-{N}.log",
    benchmark:
        f"{OUT}/benchmarks/infill/{{k}}-of-{N}.tsv"
    threads: config["threads"]
    resources:
        mem_mb=memory,
        runtime=config["runtime"],
        **ON_GPUS,
    shell:
        "seqdiff infill --fasta {input.fasta:q} {params.spans} --model {params.model:q} {params.options}"
        " --format {params.form} {params.processes} -@ {threads} -o {output:q} 2> {log:q}"


rule gather:
    input:
        expand("{out}/filled-{n}/{k}-of-{n}.{form}", out=OUT, n=N, k=range(1, N + 1), form=FILLED),
    output:
        f"{OUT}/filled.{FILLED}.gz",
    log:
        f"{OUT}/logs/gather.log",
    benchmark:
        f"{OUT}/benchmarks/gather.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=config["runtime"],
    shell:
        "seqdiff gather {input:q} -o {output:q} 2> {log:q}"
