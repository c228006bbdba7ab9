# make demo runs the demo, make test runs the tests, make lint checks the source.
# demo-images, demo-det and demo-seg are the demo on colour images
# (BISSL_PRETEXT_DIR and BISSL_DOWNSTREAM_DIR name your own), on detection and on
# segmentation. ARGS are passed to the demo: make demo ARGS='--workers 4'.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
OPS = $(VENV)/.ops
INSTALL = PYTHON='$(PYTHON)' sh requirements/install.sh $(VENV)

# pip compiles nothing here (--no-compile), so what is imported must be compiled
# once. Without bytecode each of the many processes takes 20 s to begin, not 8.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-images demo-det demo-seg test test-whole test-processor \
	test-upstream lint env ops clean

demo: $(READY)
	$(BIN)/python tools/demo.py $(ARGS)

demo-images: $(READY)
	$(BIN)/python tools/demo.py --task images $(ARGS)

demo-det: $(OPS)
	$(BIN)/python tools/demo.py --task detection $(ARGS)

demo-seg: $(READY)
	$(BIN)/python tools/demo.py --task segmentation $(ARGS)

test: $(OPS)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		-m 'not whole'

# Whole command lines on several processes, and more points of interruption. Without
# the longest ones: make test-whole WHOLE='whole and not long'
WHOLE ?= whole
test-whole: $(OPS)
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder \
		-m '$(WHOLE)'

# The numeric tests as on another processor: kernels without AVX. Another one:
# make test-processor PROCESSOR='ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2'
PROCESSOR ?= ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 \
	MKL_CBWR=COMPATIBLE
NUMERIC = tests/test_conformance.py tests/test_hypergradient \
	$(addprefix tests/test_models/test_,untrained_network.py \
	simclr_derivatives.py pretext_tasks.py outputs.py public_weights.py) \
	$(addprefix tests/test_engine/test_,first_order.py implicit_system.py \
	jacobian_params.py) \
	tests/test_benchmarks.py::test_published_variant_is_the_baseline

test-processor: $(OPS)
	$(PROCESSOR) $(BIN)/python -m pytest -n 2 --dist loadfile $(NUMERIC)

# Format, lint and types. The libraries' types are those of the other
# environment.
LINT_VENV ?= .venv-lint
LINT = $(LINT_VENV)/bin
LINT_READY = $(LINT_VENV)/.ready

lint: $(OPS) $(LINT_READY)
	$(LINT)/ruff format --check .
	$(LINT)/ruff check .
	$(LINT)/pyright --pythonpath $(BIN)/python

$(LINT_READY): requirements/lint.txt
	test -x $(LINT)/python || $(PYTHON) -m venv $(LINT_VENV)
	$(LINT)/python -m pip --disable-pip-version-check install -q --no-compile \
		-r requirements/lint.txt
	touch $@

# Everything except mmcv's compiled operators, which detection and tests need.
env: $(READY)

ops: $(OPS)

$(READY): setup.py $(addprefix requirements/,install.sh build.txt torch.txt \
		openmmlab.txt constraints.txt)
	@$(INSTALL) demo
	@touch $@

$(OPS): $(READY)
	@$(INSTALL) ops
	@touch $@

# Upstream's OpenMMLab with torch 2.1, beside the other environment. Nothing is
# compiled; tests that need mmcv's operators are skipped by their marker. Some of
# them run once more with torchvision's operators in the place of mmcv's.
UPSTREAM_PYTHON ?= python3.11
UPSTREAM_VENV ?= .venv-upstream
UPSTREAM_WORKERS ?= 2
UPSTREAM = $(UPSTREAM_VENV)/bin/python
UPSTREAM_READY = $(UPSTREAM_VENV)/.ready
UPSTREAM_DENSE = tests/test_engine/test_dense_runs.py \
	tests/test_models/test_dense_tasks.py tests/test_datasets/test_parts.py \
	tests/test_datasets/test_look_detection.py
# A second torch: nothing of it is kept in pip's cache, too.
UPSTREAM_PIP = $(UPSTREAM) -m pip --disable-pip-version-check install -q \
	--no-compile --no-cache-dir

test-upstream: $(UPSTREAM_READY)
	$(UPSTREAM) -m pytest -n $(UPSTREAM_WORKERS) --dist loadfile --no-loadscope-reorder -rs \
		-m 'not whole' tests/test_hypergradient tests/test_models \
		tests/test_conformance.py tests/test_engine tests/test_datasets \
		tests/test_compat.py tests/test_text tests/test_config \
		tests/test_utils tests/test_evaluation
	BISSL_OPERATORS=torchvision $(UPSTREAM) -m pytest -n $(UPSTREAM_WORKERS) \
		--dist load -rs -m 'mmcv_ops and not whole' $(UPSTREAM_DENSE)
	$(UPSTREAM) tools/demo.py --quick --fresh \
		--work-dir work_dirs/demo-upstream

$(UPSTREAM_READY): setup.py $(wildcard requirements/upstream*.txt)
	test -x $(UPSTREAM) || $(UPSTREAM_PYTHON) -m venv $(UPSTREAM_VENV)
	$(UPSTREAM_PIP) -c requirements/upstream-constraints.txt \
		-r requirements/upstream.txt
	$(UPSTREAM_PIP) --force-reinstall --no-deps \
		$$(grep '^opencv' requirements/upstream.txt)
	$(UPSTREAM_PIP) --no-build-isolation --no-deps -e .
	touch $(UPSTREAM_READY)

clean:
	rm -rf $(VENV) $(UPSTREAM_VENV) $(LINT_VENV) build *.egg-info
