# `make` alone lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(shell command -v $(engine))))
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo serve test coverage versions languages sim fuzz soak mutation format lint types docs protos reference contract packages wheel lock locked check ci image image-check jaeger prometheus scorecard peers bench clean

# What runs with each version of Python: all but what takes long or is about time, and
# what tests no Python of ours.
MOST_TESTS := tests $(patsubst %,--ignore tests/%,attacks clients deploy faults fuzz \
	reliability test_soak.py chain/test_simulation.py chain/test_no_harm.py \
	telemetry/test_volume.py)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/run ## Start a server with the embedded model and watch a chain fail over
	majordomo model fetch
	python scripts/demo.py

serve: $(VENV)/run ## Serve with config.toml, or without one the embedded model
	majordomo model fetch
	majordomo serve $(if $(wildcard config.toml),--config config.toml)

test: $(VENV)/dev ## Run the tests
	python -m pytest

coverage: $(VENV)/dev ## Most tests with Python 3.13, and the lines and branches they reach
	scripts/test_version.sh 3.13 scripts/coverage.sh $(MOST_TESTS)

versions: $(VENV)/dev ## Most tests with Python 3.12
	scripts/test_version.sh 3.12 python -m pytest $(MOST_TESTS)

languages: $(VENV)/dev ## Generate, build, lint and test the clients of all languages
	majordomo model fetch
	python -m pytest -m languages tests/clients

sim: $(VENV)/dev ## Run the engine and the tracker through 10 000 random days
	MAJORDOMO_SEEDS=10000 python -m pytest tests/chain/test_simulation.py tests/chain/test_no_harm.py
	MAJORDOMO_LONG=1 python -m pytest tests/reliability/test_outages.py

fuzz: $(VENV)/dev ## Try every decoder and check with bent inputs, a minute each
	MAJORDOMO_FUZZ_SECONDS=60 python -m pytest tests/fuzz

soak: $(VENV)/dev ## 200 streams for ten minutes, and nothing left behind
	MAJORDOMO_SOAK_SECONDS=600 python -m pytest tests/test_soak.py

mutation: $(VENV)/dev ## Which changes of health, budget and classification go unnoticed
	scripts/mutation.sh

format: $(VENV)/dev ## Sort imports and format: ruff, buf
	ruff check --fix .
	ruff format .
	buf format --write

lint: $(VENV)/dev ## Check style: ruff, buf lint and format
	ruff check .
	ruff format --check .
	buf lint
	buf format --diff --exit-code

types: $(VENV)/dev ## Check types: mypy, strict
	mypy server tests testkit bench scripts examples clients

docs: $(VENV)/dev ## Build the documentation site into build/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict

protos: $(VENV)/dev ## Generate the Python code of the contract
	buf generate

reference: $(VENV)/dev ## Write docs/configuration.md, its JSON Schema, docs/providers.md, docs/contract.md
	python scripts/config_reference.py
	python -m scripts.providers_page
	python scripts/contract_page.py

contract: $(VENV)/dev ## Check that generated code is fresh and the contract compatible
	scripts/check_contract.sh

packages: $(VENV)/dev ## Clients to publish: GO_MODULE=, JAVA_GROUP=, NPM_SCOPE=, CRATE=
	rm -rf build/packages
	python scripts/packages.py --out build/packages

wheel: $(VENV)/dev ## Build the wheel, install it alone, and use it
	scripts/check_wheel.sh

COMPILE := uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	$(patsubst %,--extra %,server local otlp vertex) --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

lock: $(VENV)/dev ## Write requirements.lock (the image) and requirements-dev.lock, newest that fits
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --group dev --constraint requirements.lock \
		--output-file requirements-dev.lock pyproject.toml

locked: $(VENV)/dev ## Check that the locks fit pyproject.toml
	python scripts/check_lock.py

check: lint types contract wheel locked docs ## All checks but the tests

# What is tested is what users install: the wheel that the checks have built. The image
# is given the model that the demo has fetched.
ci: ## Everything that must hold, in a clean clone: up to an hour on two cores
	$(MAKE) check
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/majordomo_grpc-*.whl
	$(MAKE) demo
	$(MAKE) image-check jaeger prometheus
	$(MAKE) --jobs 2 --output-sync=target coverage languages versions
	$(MAKE) test

image: ## Build the container image majordomo, by docker, podman or buildah
	@test -n '$(ENGINE)' || { echo "install docker, podman or buildah" >&2; exit 1; }
	BUILDAH_FORMAT=docker $(ENGINE) build --tag majordomo .

image-check: $(VENV)/dev ## Build the image without a container engine, and use it
	scripts/check_image.sh

jaeger: ## Build Jaeger from its Go module, for the tests that ask it
	scripts/build_jaeger.sh

prometheus: ## Build Prometheus and promtool from their Go module, for the tests that ask them
	scripts/build_prometheus.sh

scorecard: $(VENV)/dev ## Play faults for us and for LiteLLM; write docs/scorecard.md
	test -x build/litellm/bin/litellm || { $(PYTHON) -m venv build/litellm \
		&& build/litellm/bin/pip install --quiet --requirement bench/peers/litellm.txt; }
	python -m bench.scorecard --litellm build/litellm/bin/python

peers: ## Install what we are measured beside into build/peers; needs Node
	bench/peers/install.sh

bench: $(VENV)/dev peers ## Measure us and them: bench/RESULTS.md; QUICK=1: coarsely; needs Go
	python -m bench $(if $(QUICK),--quick)

clean: ## Remove the virtual environment and what tools leave behind
	rm -rf $(VENV) build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "majordomo needs Python 3.11 or newer; name one with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The first pip that knows dependency groups; Python 3.11 brings an older one.
$(VENV)/pip: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet 'pip>=25.1'
	@touch $@

$(VENV)/run: pyproject.toml | $(VENV)/pip
	$(BIN)/python -m pip install --quiet --editable '.[server,local]'
	@touch $@

# The locked tools first; then only what pyproject.toml wants and the lock has not yet.
$(VENV)/dev: pyproject.toml requirements-dev.lock | $(VENV)/pip
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --group dev --editable '.[server,local,otlp,vertex]'
	@touch $@ $(VENV)/run
