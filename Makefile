# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/demo
# Twice the cores' worth of threads helps nobody: the suite runs one process a core, one thread each.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# Of `make pipeline`: which workflow (pipelines/rules), its config, and where its jobs run (pipelines/profiles).
CONFIG ?= pipelines/configs/$(NAME).yaml
PROFILE ?= default
SNAKEMAKE = PATH="$(abspath $(BIN)):$$PATH" snakemake --snakefile pipelines/Snakefile \
  --workflow-profile pipelines/profiles/$(PROFILE) $(if $(CORES),--cores $(CORES)) $(if $(DRY),--dry-run)

.PHONY: help setup demo test bench soak compare pipeline hg38 pictures lint format clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## create .venv and install seqdiff with everything its tests need

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "seqdiff needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/.pipelines: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,pipelines]'
	@touch $@

demo: setup ## train, evaluate, infill and score on the embedded human sequence, into runs/demo
	$(BIN)/seqdiff train demo --out $(RUN) --resume
	$(BIN)/seqdiff evaluate $(RUN) -o $(RUN)/evaluation.json --figures $(RUN)/figures
	$(BIN)/seqdiff infill --model $(RUN) --fasta genomes/examples/gaps.fa -o $(RUN)/filled.fa --logo $(RUN)/figures/infill.png
	$(BIN)/seqdiff score --model $(RUN) --fasta genomes/examples/sequences.fa -o $(RUN)/scores.tsv
	$(BIN)/seqdiff variants --model $(RUN) --vcf genomes/examples/variants.vcf --fasta genomes/human-chr20.fa.gz -o $(RUN)/variants.vcf.gz
	$(BIN)/seqdiff report $(RUN) -o $(RUN)/report.html
	@echo; grep -v '^#' $(RUN)/scores.tsv | column -t 2>/dev/null || cat $(RUN)/scores.tsv
	@echo; echo "Everything is in $(RUN): model.safetensors, evaluation.json, figures/, filled.fa, scores.tsv,"; echo "variants.vcf.gz, and report.html to look at"

test: setup $(VENV)/.pipelines ## run the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

bench: setup ## measure speed against named rivals; prints ratios
	$(BIN)/python tests/benchmarks/bench_genome.py windows
	$(BIN)/python tests/benchmarks/bench_genome.py encode
	$(BIN)/python tests/benchmarks/bench_training.py
	$(BIN)/python tests/benchmarks/bench_scan.py
	$(BIN)/python tests/benchmarks/bench_scan.py --keep-freed
	$(BIN)/python tests/benchmarks/bench_caduceus.py step
	$(BIN)/python tests/benchmarks/bench_caduceus.py step --keep-freed
	$(BIN)/python tests/benchmarks/bench_caduceus.py bound
	$(BIN)/python tests/benchmarks/bench_length.py
	$(BIN)/python tests/benchmarks/bench_likelihood.py oracle
	$(BIN)/python tests/benchmarks/bench_likelihood.py model
	$(BIN)/python tests/benchmarks/bench_samplers.py all
	$(BIN)/python tests/benchmarks/bench_variants.py rate
	$(BIN)/python tests/benchmarks/bench_variants.py growth
	$(BIN)/python tests/benchmarks/bench_protein.py padding
	$(BIN)/python tests/benchmarks/bench_protein.py speed
	$(BIN)/python tests/benchmarks/bench_family.py pairs
	$(BIN)/python tests/benchmarks/bench_family.py step
	$(BIN)/python tests/benchmarks/bench_mutations.py rate
	$(BIN)/python tests/benchmarks/bench_mutations.py growth
	$(BIN)/python tests/benchmarks/bench_mutations.py masks
	$(BIN)/python tests/benchmarks/bench_inserts.py
	$(BIN)/python tests/benchmarks/bench_embed.py
	$(BIN)/python tests/benchmarks/bench_hyena.py
	$(BIN)/python tests/benchmarks/bench_hyena.py convolution
	$(BIN)/python tests/benchmarks/bench_reader.py
	$(BIN)/python tests/benchmarks/bench_processes.py step
	$(BIN)/python tests/benchmarks/bench_processes.py samples
	$(BIN)/python tests/benchmarks/bench_workers.py
	$(BIN)/python tests/benchmarks/bench_memory.py records infill variants scatter gather --share 0.0005

soak: setup ## train for an hour beside a training that is killed again and again: both must end alike
	OMP_NUM_THREADS=1 $(BIN)/python tests/soak.py --minutes 60 --every 120 --out runs/soak

compare: setup ## train the systems of the field on human DNA and put them in one table, into runs/compare (an hour)
	$(BIN)/seqdiff compare dna --out runs/compare -o runs/compare/table

pipeline: $(VENV)/.pipelines ## run a workflow: NAME=variants CONFIG=my.yaml [PROFILE=slurm] [CORES=4] [DRY=1] [ARGS=--unlock]
	@test -n "$(NAME)" || { echo "which one? make pipeline NAME=..., of $(basename $(notdir $(wildcard pipelines/schemas/*.yaml)))"; exit 2; }
	@test -f "$(CONFIG)" || { echo "$(CONFIG): no such file: give the config as CONFIG=FILE (examples: pipelines/configs)"; exit 2; }
	@test -d "pipelines/profiles/$(PROFILE)" || { echo "PROFILE=$(PROFILE): no such profile; there are $(notdir $(wildcard pipelines/profiles/*))"; exit 2; }
	$(SNAKEMAKE) --configfile "$(CONFIG)" --config workflow=$(NAME) $(ARGS)

hg38: $(VENV)/.pipelines ## train on the human genome, on GPUs: [GENOME=hg38.fa.gz, a copy of yours] [GPUS=8] [PROFILE=slurm] [DRY=1]
	@test -d "pipelines/profiles/$(PROFILE)" || { echo "PROFILE=$(PROFILE): no such profile; there are $(notdir $(wildcard pipelines/profiles/*))"; exit 2; }
	@test -n "$(DRY)" -o "$(PROFILE)" != default || $(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || \
	  { echo "make hg38 needs GPUs, and this machine has none: use PROFILE=slurm, or see what it would do with DRY=1"; exit 1; }
	$(SNAKEMAKE) --configfile pipelines/configs/hg38.yaml $(if $(GENOME)$(GPUS),--config $(if $(GENOME),"fasta=$(GENOME)") $(if $(GPUS),gpus=$(GPUS))) $(ARGS)

pictures: setup ## draw the README's pictures again
	$(BIN)/python docs/pictures.py

lint: setup ## check style, layers and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the build and the tests leave; keeps runs/ and results/
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache .mypy_cache .snakemake genomes/*.seqdiff*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
