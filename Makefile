.DEFAULT_GOAL := help
.PHONY: help demo test check serve docs lock bench benchdatabase benchmerge benchtransform soak clean

PYTHONS ?= python3.13 python3.12 python3.11 python3.10 python3
BIN := .venv/bin
ARGS ?=
BENCH_ROWS ?= 5000000

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
		printf '  make %-14s %s\n' "$$target" "$$text"; done

demo: ## Install, run the shipped sample job through Dagster and show its table
	@PYTHONS="$(PYTHONS)" scripts/install base
	@$(BIN)/ingestion demo $(ARGS)

serve: ## Start Dagster's UI, its daemon and the REST API; Ctrl-C stops them together
	@PYTHONS="$(PYTHONS)" scripts/install base
	@$(BIN)/ingestion serve $(ARGS)

test: ## Run the test suite (installs what it needs); ARGS="-k name" narrows it
	@PYTHONS="$(PYTHONS)" scripts/install dev
	@scripts/install-services
	@$(BIN)/python -m pytest -n $(or $(WORKERS),2) --dist loadgroup $(ARGS)

check: ## Format, lint, types and layering
	@PYTHONS="$(PYTHONS)" scripts/install dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

soak: ## Run the long tests that `make test` leaves out
	@PYTHONS="$(PYTHONS)" scripts/install dev
	@scripts/install-services
	@$(BIN)/python -m pytest -m soak --timeout 3600 $(ARGS)

bench: ## Measure CSV to Iceberg against the limit of this machine; BENCH_ROWS=20000000 for growth
	@PYTHONS="$(PYTHONS)" scripts/install dev
	@$(BIN)/python benchmarks/bench_csv.py --rows $(BENCH_ROWS) $(ARGS)

benchdatabase: ## Measure tables of databases to Iceberg; BENCH_ROWS=20000000 for growth, ARGS="--databases mysql"
	@PYTHONS="$(PYTHONS)" scripts/install dev
	@scripts/install-services
	@$(BIN)/python benchmarks/bench_database.py --rows $(BENCH_ROWS) $(ARGS)

benchmerge: ## Measure merges into Iceberg, Delta and PostgreSQL; ARGS="--rows 5000000 --new 0.2 --changes 100000"
	@PYTHONS="$(PYTHONS)" scripts/install dev
	@scripts/install-services
	@$(BIN)/python benchmarks/bench_merge.py $(ARGS)

benchtransform: ## Measure a transformed load against the same load untransformed; BENCH_ROWS=20000000 for growth
	@PYTHONS="$(PYTHONS)" scripts/install dev
	@$(BIN)/python benchmarks/bench_transform.py --rows $(BENCH_ROWS) $(ARGS)

docs: ## Write the reference and the JSON Schemas anew from the options themselves
	@PYTHONS="$(PYTHONS)" scripts/install dev
	@mkdir -p config/schema
	@$(BIN)/ingestion schema job > config/schema/job.json.new && mv config/schema/job.json.new config/schema/job.json
	@$(BIN)/ingestion schema source > config/schema/source.json.new && mv config/schema/source.json.new config/schema/source.json
	@$(BIN)/python scripts/write_reference.py
	@$(BIN)/python scripts/write_types.py

LOCK = $(BIN)/uv pip compile pyproject.toml --group build --universal --python-version 3.10 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet $(ARGS)

lock: ## Resolve the lock files anew; ARGS=--upgrade takes the newest versions
	@PYTHONS="$(PYTHONS)" scripts/install dev
	$(LOCK) -o requirements.lock
	$(LOCK) --extra dev -c requirements.lock -o requirements-dev.lock
	$(LOCK) --extra all -c requirements.lock -o requirements-all.lock

clean: ## Remove the environment, caches and benchmark data; metadata/ and its tables stay
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf benchmarks/data
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
