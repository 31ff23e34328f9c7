# Two commands for everybody: `make demo` and `make test`. PYTHON=python3.12 chooses an interpreter.
PYTHON ?= python3
# Pinned for tests only. TORCH_INDEX may name PyTorch's own package index for CPU builds, which
# avoids several gigabytes of CUDA libraries where there is no GPU.
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
IN := ../$(BIN)
SOURCES := $(shell find CMakeLists.txt pyproject.toml cmake csrc src vasa_cam tests/cpp -type f \
	! -name '*.pyc' ! -name '*.so')
NATIVE := $(shell git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')

.PHONY: demo test test-neural soak lint format bench bench-gpu clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/vasa-cam demo

# Started in tests/, so that the installed package is tested and not the source tree.
test: $(VENV)/checked
	PATH="$(CURDIR)/$(BIN):$$PATH" ctest --test-dir build/test --output-on-failure
	cd tests && $(IN)/pytest -m "not neural and not soak"

test-neural: $(VENV)/neural
	cd tests && VASA_CAM_REQUIRE_TORCH=1 $(IN)/pytest -m neural

# Long runs: an hour of frames, real time for ten minutes, real devices for a minute each.
soak: $(VENV)/checked
	cd tests && $(IN)/pytest -m soak

lint: $(VENV)/checked
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(NATIVE)
	$(BIN)/python tools/check_sizes.py

format: $(VENV)/checked
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(NATIVE)

bench: $(VENV)/bench
	cd benchmarks && $(IN)/pytest -m "not cuda" --benchmark-only \
		--benchmark-json=results/$$($(IN)/python -m vasa_cam.bench.machine).json .
	name=benchmarks/results/$$($(BIN)/python -m vasa_cam.bench.machine) && \
		$(BIN)/vasa-cam bench --json $$name-bench.json --plot $$name-bench.png

# The first line ends with one sentence and exit code 2 where there is no GPU.
bench-gpu: $(VENV)/checked
	$(BIN)/vasa-cam bench --device cuda --goals --list
	$(MAKE) $(VENV)/bench-gpu
	name=benchmarks/results/$$($(BIN)/python -m vasa_cam.bench.machine --gpu) && \
		$(BIN)/vasa-cam bench --device cuda --goals --json $$name-goals.json --plot $$name-goals.png
	cd benchmarks && VASA_CAM_REQUIRE_CUDA=1 $(IN)/pytest -m cuda --benchmark-only \
		--benchmark-json=results/$$($(IN)/python -m vasa_cam.bench.machine --gpu).json .

clean:
	rm -rf $(VENV) build dist demo.mp4 demo.png

$(BIN)/python:
	tools/prerequisites.sh build "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/installed: $(SOURCES) | $(BIN)/python
	$(BIN)/pip install .
	touch $@

# Warnings are errors here and never in a user's build; one build gives the module and the C++ tests.
$(VENV)/checked: $(SOURCES) | $(BIN)/python
	tools/prerequisites.sh test "$(PYTHON)"
	$(BIN)/pip install --config-settings=build-dir=build/test \
		--config-settings=cmake.define.VASA_CAM_WERROR=ON \
		--config-settings=cmake.define.VASA_CAM_BUILD_TESTS=ON '.[dev]'
	touch $(VENV)/installed $@

$(VENV)/neural: $(VENV)/checked
	$(BIN)/python -c 'import torch, tensorboard, transformers' 2>/dev/null || $(BIN)/pip install \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) 'vasa-cam[train,volume]' '$(TORCH)'
	touch $@

# The engines that the benchmarks compare with.
$(VENV)/bench: $(VENV)/checked
	$(BIN)/pip install 'vasa-cam[bench]'
	touch $@

$(VENV)/bench-gpu: $(VENV)/bench
	$(BIN)/pip install 'vasa-cam[bench,volume,cuda]'
	touch $@
