# Everything below sets up what it needs in the checkout (.venv, .vv) and installs nothing into the system.
# Another Python: PYTHON=python3.12 make test

PYTHON ?= python3
VENV := $(if $(filter python3,$(PYTHON)),.venv,.vv/venv-$(notdir $(PYTHON)))
SETUP := $(PYTHON) bootstrap.py --venv $(VENV)
ARGS ?=
INVENTORY ?= $(firstword $(wildcard fleet/inventory.yml) fleet/inventory.example.yml)
# A file is run by one process, in order. To debug: SIDE_BY_SIDE= make test ARGS=...
SIDE_BY_SIDE ?= -n 3 --dist loadfile --no-loadscope-reorder
PYTEST = $(VENV)/bin/python -m pytest $(SIDE_BY_SIDE)

.DEFAULT_GOAL := help
.PHONY: help run demo fleet test test-devices test-rules test-units quick mutants mutants-rules field field-arm64 lint dashboards messages bench bench-fleet bench-fleet-outage screenshots lock pin install tools setup clean

help: ## Show this
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

run: ## Run exporter, Prometheus and Alertmanager here, until Ctrl-C (ARGS= goes to `vv up`)
	@$(SETUP) --no-dev --tools
	@$(VENV)/bin/vv up $(ARGS)

demo: ## The same with an example pipeline that fails in several ways
	@$(SETUP) --no-dev --tools
	@$(VENV)/bin/vv up --demo $(ARGS)

fleet: ## Run the centre of a fleet here, until Ctrl-C (INVENTORY=fleet/inventory.yml; ARGS= goes to `vv fleet up`)
	@$(SETUP) --no-dev --tools
	@$(VENV)/bin/vv fleet up --inventory $(INVENTORY) $(ARGS)

# A tool that cannot be had is told in one line; the tests that need it are skipped, or fail in CI.
test: ## Run all tests, those with real servers and a Docker Engine included (ARGS= goes to pytest)
	@$(SETUP) --tools --engine --recent-engine --rtsp --browser --store || test -x $(VENV)/bin/pytest
ifneq ($(ARGS),)
	@$(PYTEST) $(ARGS)
else
	@mkdir -p .vv/logs
	@$(MAKE) --no-print-directory test-rules > .vv/logs/test-rules.log 2>&1 & rules=$$!; status=0; \
	$(MAKE) --no-print-directory test-devices || status=1; \
	$(MAKE) --no-print-directory test-units || status=1; \
	echo "tests/rules, which run beside these:"; tail -n +1 -f --pid=$$rules .vv/logs/test-rules.log; \
	wait $$rules && exit $$status
endif

test-devices: ## Those of whole devices alone, tests/e2e: they wait more than they compute
	@$(PYTEST) $(or $(ARGS),tests/e2e)

test-rules: ## Those of the rules alone, tests/rules: they only compute, and give way to what runs beside them
	@VV_TEST_RUN=1 nice -n 19 $(VENV)/bin/python -m pytest -n 1 --timeout 3600 tests/rules $(ARGS)

test-units: ## All others alone
	@$(PYTEST) $(or $(ARGS),--ignore tests/e2e --ignore tests/rules)

quick: lint ## Check style and types, and run the unit tests without the exhaustive ones: three minutes on two cores
	@$(VENV)/bin/python -m pytest -n 2 --dist loadfile -m "not exhaustive" tests/unit -q $(ARGS)

# Root on Debian; one disk of 3 GB is made once and kept in .vv/field. docs/field.md
field: ## Try a whole device in an emulator: systemd, cgroup v2, clock (ARGS= goes to pytest)
	@$(SETUP) --tools --rtsp
	@$(VENV)/bin/python -m pytest tests/field --timeout 1800 -q $(ARGS)

field-arm64: setup ## Try the wheels of all pinned packages on an emulated arm64
	@$(VENV)/bin/python -m tests.field.arm64

mutants: setup ## Change the pure modules at 200 places, and see whether a unit test notices each (ARGS="--jobs 2")
	@$(VENV)/bin/python -m tests.mutation $(ARGS)

mutants-rules: tools ## The same of each rule of Prometheus, at all places: 20 minutes on two cores
	@$(VENV)/bin/python -m tests.rules.mutate .vv/bin/promtool $(ARGS)

lint: setup ## Check style and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

dashboards: setup ## Write grafana/dashboards/*.json anew
	@PYTHONPATH=grafana $(VENV)/bin/python -m vv_dashboards

messages: setup ## Gather what people read into exporter/vv_exporter/locale, for translation
	@PYTHONPATH=exporter:. $(VENV)/bin/python -m tools.messages

bench: setup ## Measure, and print tables (ARGS= names some: ARGS="writer reader")
	@$(VENV)/bin/python -m benchmarks $(ARGS)

bench-fleet: setup ## The same of a fleet's centre with 1,000 simulated devices (ARGS="--devices 5000 --minutes 10")
	@$(SETUP) --tools --store
	@$(VENV)/bin/python -m benchmarks.fleet $(ARGS)

bench-fleet-outage: setup ## The link of 50 devices is cut for three days: fails when a kept sample is lost (ARGS="--devices 5")
	@$(SETUP) --tools --store
	@$(VENV)/bin/python -m benchmarks.fleet_outage $(ARGS)

screenshots: ## Take the pictures of docs/images anew, from a demo that runs
	@$(SETUP) --tools --browser
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[exporter,demo,dev,pictures]'
	@$(VENV)/bin/python docs/screenshots.py

lock: setup ## Write exporter/requirements/*.txt from pyproject.toml (ARGS=--upgrade takes the newest versions)
	@$(VENV)/bin/python exporter/requirements/lock.py $(ARGS)

pin: ## Print lines for .env that hold the images of others to the digests that they have now (needs Docker)
	@deploy/pin-images.sh

# Elsewhere: make install DESTDIR=/tmp/package PREFIX=/opt/vv
install: setup ## Install the services of systemd for a device without compose (as root; docs/deployment.md)
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" deploy/install.sh $(PYTHON) $(VENV)/bin/python

tools: ## Fetch Prometheus, Alertmanager, an RTSP server, a browser, a store and, as root, a Docker Engine into .vv
	@$(SETUP) --tools --engine --recent-engine --rtsp --browser --store

setup: ## Make the virtual environment
	@$(SETUP)

clean: ## Remove what make has made (the folder state stays)
	rm -rf .venv .vv .hypothesis .mypy_cache .ruff_cache .pytest_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
