# Needed: Python 3.11 or newer with pip or venv, make, and a package registry. Nothing else.
.POSIX:
.PHONY: help up venv dev dashboard test test-nobrowser lint bench soak prices harnesses types examples lock clean

PY = .venv/bin/python
# All of the tests, on all cores. `$(PY) -m pytest tests/hub/test_auth.py` runs a few in one process.
PYTEST = $(PY) -m pytest -q -n auto --dist worksteal

help:
	@echo 'make up             everything on this machine: hub, agent, page'
	@echo 'make test           all tests, a browser included'
	@echo 'make test-nobrowser all tests but those that need a browser'
	@echo 'make lint           ruff, mypy --strict, dashboard type check'
	@echo 'make bench          the benchmarks, with ratios against the peers that it can install (ARGS="--only harnesses": MB/s)'
	@echo 'make soak           fuzz of every harness, random histories, hostile trees: for hours'
	@echo 'make types          the types of the dashboard anew, from those of the API'
	@echo 'make examples       the examples in the documents of the API anew'
	@echo 'make harnesses      docs/harnesses.md anew, from what the harnesses say of themselves'

venv:
	@deploy/checkout/venv.sh requirements.lock

dev:
	@deploy/checkout/venv.sh requirements-dev.lock

dashboard:
	@$(PY) deploy/dashboard.py build

up: venv dashboard
	@exec .venv/bin/trueup up $(ARGS)

lint: dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) deploy/dashboard.py check

test: dev dashboard
	@deploy/checkout/browser.sh
	@$(PY) deploy/dashboard.py test
	@$(PYTEST) $(ARGS)

test-nobrowser: dev dashboard
	@$(PYTEST) -m 'not browser' $(ARGS)
	@echo 'Left out: the tests that drive the page in a real browser (make test runs them) and the dashboard unit tests.'

bench: dev dashboard
	@$(PY) tests/bench $(ARGS)

# Longer runs of the property tests.
soak: dev dashboard
	@$(PYTEST) -m 'not browser' --hypothesis-profile=soak --timeout=3600 $(ARGS)

# Writes shared/trueup_shared/prices.json anew from genai-prices, in an environment of its own.
prices:
	@deploy/checkout/prices.sh

# Writes docs/harnesses.md anew from what the harnesses say of themselves.
harnesses: dev
	@$(PY) deploy/make_harnesses.py

# Has a hub answer the examples of the API's documents anew.
examples: dev
	@WRITE_EXAMPLES=1 $(PY) -m pytest -q tests/hub/test_api_examples.py

# Writes the dashboard's types.ts anew from the types of the API's answers.
types: dev
	@$(PY) deploy/make_types.py

# Resolve the lock files anew (needs uv).
lock:
	@deploy/checkout/lock.sh

clean:
	rm -rf .venv .venv-node .mypy_cache .pytest_cache .ruff_cache .hypothesis .bench hub/trueup_hub/static hub/trueup_hub/dashboard/node_modules
