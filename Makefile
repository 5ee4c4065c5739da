# make demo    set everything up, run `vidpose infer` on a real video, print where the result is
# make test    set everything up, run every check and test
# make docs    build the documentation site in build/docs/site; needs Python 3.11 or newer
# make viewer  rebuild the player's script from vidpose/viewer/web; needs Node
# make lock    update the lock files in requirements/, for every Python
# make soak    stress tests: kills, a full disk, damaged videos and files, two hours of video; takes hours
# make clean   remove the virtual environment, the demo video, the site and all caches

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3.10 python3.14 python3,$(shell command -v $(p))))
BIN := .venv/bin
VIDEO := demo_videos/demo.mp4
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Extras that are not available for every Python and machine. `vidpose infer` and most tests run without.
PARTS := datasets c3d parquet tensorboard ray browser mmpose
# `make LOCK=no` ignores the lock files and installs what pyproject.toml allows.
LOCK ?= yes

.DELETE_ON_ERROR:
.PHONY: demo test docs viewer lock soak clean

demo: .venv/ready $(VIDEO)
	$(BIN)/vidpose infer $(VIDEO) -o outputs --render --view-html

test: .venv/ready $(VIDEO)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# On one Python only, since NumPy's type stubs differ between releases, and so between Pythons.
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] == (3, 11))' || $(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

docs: .venv/docs
	$(BIN)/python docs/build_site.py

viewer:
	cd vidpose/viewer/web && npm ci --no-audit --no-fund && npm run build

lock: .venv/ready
	$(PIP) uv
	$(BIN)/python requirements/lock.py dev $(PARTS)

soak: .venv/ready $(VIDEO)
	$(BIN)/python benchmarks/robustness.py kill
	$(BIN)/python benchmarks/robustness.py server
	$(BIN)/python benchmarks/robustness.py batch
	$(BIN)/python benchmarks/robustness.py disk
	$(BIN)/python benchmarks/robustness.py videos
	$(BIN)/python benchmarks/robustness.py data
	$(BIN)/python benchmarks/one_process.py

# The stamp is written last, so that an interrupted installation is run again.
.venv/ready: pyproject.toml vidpose/detect/mmpose.txt requirements/install.py $(wildcard requirements/*.txt)
	test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(BIN)/python requirements/install.py $(if $(filter no,$(LOCK)),--no-lock) $(PARTS)
	touch $@

.venv/docs: .venv/ready pyproject.toml
	$(PIP) --editable '.[docs]'
	touch $@

$(VIDEO): demo_videos/fetch.py | .venv/ready
	$(BIN)/python demo_videos/fetch.py $@

clean:
	rm -rf .venv $(VIDEO) build/docs .hypothesis .mypy_cache .pytest_cache .ruff_cache
