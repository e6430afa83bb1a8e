"""variants: score a VCF, a shard a job; the result is that of one command on the whole.

    VCF -> seqdiff scatter -> OUT/shards-8/1-of-8.vcf.gz ... -> seqdiff variants, each -> seqdiff gather -> OUT/scored.vcf.gz

What it reads: schemas/variants.yaml. Shards go when all of them are scored. A VCF of which there
can be no .tbi (not sorted, positions past 2^29) is refused by the first job, before anything is scored.
"""

N = config["shards"]
OUT = config["out"]
RESULTS = [f"{OUT}/scored.vcf.gz", f"{OUT}/scored.vcf.gz.tbi"]


rule scatter:
    input:
        config["vcf"],
    output:
        temp(expand("{out}/shards-{n}/{k}-of-{n}.vcf.gz", out=OUT, n=N, k=range(1, N + 1))),
    params:
        folder=lambda wildcards, output: folder_of(output),
        number=N,
    log:
        f"{OUT}/logs/scatter.log",
    benchmark:
        f"{OUT}/benchmarks/scatter.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=config["runtime"],
    shell:
        "seqdiff scatter --vcf {input:q} --tabix -n {params.number} --out {params.folder:q} 2> {log:q}"


rule index:
    input:
        local(config["fasta"]),
    output:
        f"{OUT}/contigs.tsv",
    log:
        f"{OUT}/logs/index.log",
    benchmark:
        f"{OUT}/benchmarks/index.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=config["runtime"],
    shell:
        "seqdiff genomes index {input:q} > {output:q} 2> {log:q}"


rule variants:
    input:
        vcf=f"{OUT}/shards-{N}/{{k}}-of-{N}.vcf.gz",
        fasta=local(config["fasta"]),
        indexed=f"{OUT}/contigs.tsv",
        model=weights(config["model"]),
    output:
        vcf=temp(f"{OUT}/scored-{N}/{{k}}-of-{N}.vcf.gz"),
        index=temp(f"{OUT}/scored-{N}/{{k}}-of-{N}.vcf.gz.tbi"),
    params:
        model=config["model"],
        options=options("method", "check_ref", "seed", "device"),
        processes=PROCESSES,
    log:
        f"{OUT}/logs/variants/{{k}}-of-{N}.log",
    benchmark:
        f"{OUT}/benchmarks/variants/{{k}}-of-{N}.tsv"
    threads: config["threads"]
    resources:
        mem_mb=memory,
        runtime=config["runtime"],
        **ON_GPUS,
    shell:
        "seqdiff variants --vcf {input.vcf:q} --fasta {input.fasta:q} --model {params.model:q} {params.options}"
        " {params.processes} -@ {threads} -o {output.vcf:q} 2> {log:q}"


rule gather:
    input:
        expand("{out}/scored-{n}/{k}-of-{n}.vcf.gz", out=OUT, n=N, k=range(1, N + 1)),
    output:
        vcf=f"{OUT}/scored.vcf.gz",
        index=f"{OUT}/scored.vcf.gz.tbi",
    log:
        f"{OUT}/logs/gather.log",
    benchmark:
        f"{OUT}/benchmarks/gather.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=config["runtime"],
    shell:
        "seqdiff gather {input:q} -o {output.vcf:q} 2> {log:q}"
