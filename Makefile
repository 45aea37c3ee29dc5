# setup, demo, test, check: the four words a newcomer needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# The package of OHIF, where it was fetched.
VIEWER := build/ohif-app-3.13.2.tgz
# What touches the database; tests/workers is on PostgreSQL always.
ON_DATABASE := tests/api/test_lists.py tests/store tests/receive tests/web tests/audit/test_record.py \
	tests/identity/test_sign_in.py tests/identity/test_sessions.py \
	tests/path/test_steps.py tests/path/test_model_states.py tests/path/test_operating_points.py tests/path/test_shadow.py tests/path/test_returning.py tests/registry/test_comparing.py tests/registry/test_promotion.py tests/path/test_dispatch.py tests/path/test_engine.py tests/share/test_workitems.py \
	tests/fetch/test_page.py tests/fetch/test_backfill.py \
	tests/keeping/test_backup.py tests/keeping/test_encrypted.py tests/keeping/test_postgres.py \
	tests/keeping/test_retention.py tests/identity/test_service.py
SERVICE_ON_DATABASE := tests/trust/test_kill.py tests/trust/test_twice.py tests/trust/test_dead_pacs.py tests/trust/test_disk_refuses.py

.PHONY: setup models demo viewer test test-postgresql check lock sbom licences vulnerabilities conformance features clean

setup: $(VENV)/.done

# Only what the lock files name, and, but for training, only if its hash is right.
$(VENV)/.done: pyproject.toml lock/dev.txt lock/lab.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Wetread needs Python 3.11 or newer: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r lock/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps -r lock/lab.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# The weights of the built-in networks, from the images in WETREAD_DATA; goes on where it was stopped.
WETREAD_DATA ?= ../shared/data
LIDC := $(WETREAD_DATA)/lidc
PACKAGES := src/wetread/registry/packages
models: setup
	$(BIN)/python models/lung-nodule/make.py $(LIDC)/nodule_crops.npz --run build/lung-nodule --out $(PACKAGES)/lung-nodule
	$(BIN)/python models/nodule-malignancy/make.py $(LIDC)/nodule_crops.npz $(LIDC)/nodules.csv \
		--run build/lung-nodule --out $(PACKAGES)/nodule-malignancy
	set -e; for one in chest-xray-pneumonia:pneumonia breast-ultrasound:breast; do name=$${one%%:*}; \
		run=$$($(BIN)/wetread lab train models/$$name/plan.toml $(WETREAD_DATA)/medmnist/$${one##*:}.npz --out build/runs); \
		$(BIN)/wetread lab publish $$run --out $(PACKAGES)/$$name; done

demo: setup
	$(BIN)/wetread demo $(if $(wildcard $(VIEWER)),--viewer $(VIEWER)) $(ARGS)

# OHIF beside the findings, from npm, which must be there: make demo shows it from then on.
viewer: $(VIEWER)

$(VIEWER):
	mkdir -p build
	npm pack @ohif/app@3.13.2 --silent --pack-destination build

# What measures time or memory runs by itself; the rest two files at a time.
ALONE := tests/hostile tests/network tests/privacy tests/receive tests/trust tests/web/test_live.py tests/workers
test: setup check
ifeq ($(ARGS),)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(addprefix --ignore=,$(ALONE))
	$(BIN)/python -m pytest $(ALONE)
else
	$(BIN)/python -m pytest $(ARGS)
endif

test-postgresql: setup
	WETREAD_TEST_DATABASE=postgresql $(BIN)/python -m pytest -m 'not sqlite' -n 2 --dist loadfile $(ON_DATABASE) $(ARGS)
	WETREAD_TEST_DATABASE=postgresql $(BIN)/python -m pytest -m 'not sqlite' $(SERVICE_ON_DATABASE) $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The newest versions that pyproject.toml allows: make lock ARGS=--upgrade. Then make test, licences, vulnerabilities.
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 $(ARGS)
lock: setup
	$(LOCK) pyproject.toml --extra dev --extra openvino --output-file lock/dev.txt
	$(LOCK) pyproject.toml --constraint lock/dev.txt --output-file lock/serve.txt

# Of what serving needs, in an environment of its own: dist/wetread.cdx.json (CycloneDX).
sbom: setup
	$(PYTHON) -m venv build/serve
	build/serve/bin/python -m pip install --quiet --require-hashes -r lock/serve.txt
	mkdir -p dist
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-format JSON \
		--output-file dist/wetread.cdx.json build/serve/bin/python

licences: setup
	printf '# Licences\n\nOf what `pip install wetread` brings along (`make licences`).\n\n' > docs/reference/licences.md
	$(BIN)/pip-licenses --format=markdown --no-version --with-urls \
		--packages $$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/\1/p' lock/serve.txt) >> docs/reference/licences.md

# Asks PyPI's advisory database: needs the internet. What could not be checked is a failure.
vulnerabilities: setup
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r lock/serve.txt

# The DICOM Conformance Statement, from what is registered.
conformance: setup
	$(BIN)/wetread conformance --out docs/conformance.md

# The list of features, from the catalogue.
features: setup
	$(BIN)/python -m wetread.measure.texture.page > docs/reference/features.md

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
