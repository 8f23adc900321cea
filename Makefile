# Every target works on a fresh clone with python3 (3.11 or later), make and the package registry.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
WORKERS ?= 2

.PHONY: demo test soak prove cosim lint verilog area fmax bench clean

demo: $(READY)
	$(BIN)/weft run gemm --m 64 --n 64 --k 64

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

# The tests that are too slow for every change.
soak: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q -m soak --durations 10

# Formal proofs of the gateware, and of every proof that it catches its mutants.
prove: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[prove]'
	$(BIN)/python -m proofs

# The emitted Verilog before AXI models that are not weft's own. Where there is no simulator, a line
# says what was looked for, and that is no failure.
cosim: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cosim]'
	$(BIN)/python -m cosim

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/lint && mkdir -p build/lint/weft
	cd build/lint/weft && ln -s ../../../weft/* . && ln -s ../../../hw ../../../sw ../../../sim \
		../../../configs .
	$(BIN)/mypy

verilog: $(READY)
	$(BIN)/weft generate -o build/verilog

area: $(READY)
	$(BIN)/weft area --target xcup --no-dsp

# Placed and routed on an ECP5: an hour, once.
fmax: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fmax]'
	$(BIN)/weft fmax

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/weft bench simspeed -o docs/simspeed
	$(BIN)/weft bench ablation -o docs

clean:
	rm -rf build $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
