# make demo    set everything up, run the main job on a real video, say where the result is
# make test    set everything up, run every check and test
# make soak    kill it twenty times, run fifty videos: what takes too long for the tests
# make clean   remove the virtual environment, the demo video and all caches

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.10 python3,$(shell command -v $(p))))
BIN := .venv/bin
VIDEO := demo_videos/demo.mp4
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DELETE_ON_ERROR:
.PHONY: demo test soak clean

demo: .venv/ready $(VIDEO)
	$(BIN)/vidpose infer $(VIDEO) -o outputs --render

test: .venv/ready $(VIDEO)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

soak: .venv/ready $(VIDEO)
	$(BIN)/python benchmarks/robustness.py kill
	$(BIN)/python benchmarks/robustness.py batch

# The stamp is written last: an installation that was interrupted is taken up again.
.venv/ready: pyproject.toml
	@echo "Setting up .venv (PyTorch, MediaPipe, MMPose: a few minutes, about 7 GB) ..."
	test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(PIP) --editable '.[mmpose,datasets,tensorboard,ray,dev]'
	$(PIP) --no-deps mmpose==1.3.2 # by itself: its metadata asks for chumpy, which does not build
	touch $@

$(VIDEO): demo_videos/fetch.py | .venv/ready
	$(BIN)/python demo_videos/fetch.py $@

clean:
	rm -rf .venv $(VIDEO) .mypy_cache .pytest_cache .ruff_cache
