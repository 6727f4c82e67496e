# Two commands to know: `make lab` opens the notebooks, `make test` runs every check.
# Environments are made when missing and renewed when pyproject.toml changes (tools/environment.py).

PYTHON ?= python3
ENVIRONMENT = $(PYTHON) tools/environment.py
VENV = .venv/bin/python
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help lab test test-newest lint unit interop netns notebooks-test browser interop-peers \
        binder bench fuzz properties natlab docs notebooks widgets proto lab-env test-env clean distclean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

lab: lab-env  ## open JupyterLab at the first notebook (ARGS=--no-browser on a server)
	@if command -v npm >/dev/null; then $(VENV) -m tools.install_interop js \
	  || echo "js-libp2p could not be installed: the last cell of the first notebook will say so."; \
	else echo "npm is not here: the notebooks run, but without a js-libp2p peer."; fi
	$(VENV) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_intro.ipynb $(ARGS)

test: test-env  ## every check: lint, types, unit, newest Python, interop, notebooks, browser
	$(VENV) -m tools.run_tests $(ARGS)

lint unit interop netns browser binder: test-env  ## one part of `make test`
	$(VENV) -m tools.run_tests $@

notebooks-test: test-env  ## one part of `make test`: run all notebooks without a browser
	$(VENV) -m tools.run_tests notebooks

test-newest: test-env  ## the unit tests under the newest Python of this machine
	$(VENV) -m tools.run_tests newest

interop-peers: test-env  ## install js-libp2p and py-libp2p for the interop tests
	$(VENV) -m tools.install_interop

fuzz: test-env  ## fuzz every decoder and core, guided by coverage (ARGS="yamux --seconds 20")
	$(VENV) -m tests.fuzz $(ARGS)

properties: test-env  ## all properties with thousands of examples (ARGS=tests/wire for some of them)
	$(VENV) -m pytest -q -m hypothesis --hypothesis-profile=fuzz --timeout=3600 $(or $(ARGS),tests)

bench: test-env  ## speed and memory, beside js-libp2p and py-libp2p where they are installed
	$(VENV) -m bench $(ARGS)

natlab: test-env  ## two homes and a relay in this machine's own kernel (Linux; ARGS='symmetric "full cone" quic', --ports, --shell)
	$(VENV) -m tests.netns $(ARGS)

docs: test-env  ## build the documentation into site/
	$(VENV) -m tools.build_docs

notebooks: test-env  ## build notebooks/ from curriculum/
	$(VENV) -m tools.build_notebooks

widgets:  ## bundle the widgets' JavaScript into the package
	npm ci --prefix js --no-audit --no-fund --silent
	npm run --prefix js --silent build

proto: test-env  ## generate the protobuf code
	$(VENV) -m tools.generate_protobuf

lab-env:
	@$(ENVIRONMENT) lab >/dev/null

test-env:
	@$(ENVIRONMENT) test >/dev/null

clean:  ## remove what builds and test runs leave (environments stay)
	rm -rf artifacts build dist site .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +

distclean: clean  ## remove the environments and the installed JavaScript too
	rm -rf .venv .venvs js/node_modules libp2p_lab/foreign_js/node_modules
