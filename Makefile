# Two commands do everything: make demo, make test. demo-det and demo-seg are
# the demo on detection and on segmentation.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
PIP = $(BIN)/python -m pip --disable-pip-version-check
CONSTRAINTS = -c requirements/constraints.txt

.PHONY: demo demo-det demo-seg test test-processor test-upstream env clean

demo: $(READY)
	$(BIN)/python tools/demo.py

demo-det: $(READY)
	$(BIN)/python tools/demo.py --task detection

demo-seg: $(READY)
	$(BIN)/python tools/demo.py --task segmentation

test: $(READY)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

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

test-processor: $(READY)
	$(PROCESSOR) $(BIN)/python -m pytest -n 2 --dist loadfile $(NUMERIC)

env: $(READY)

# mmcv compiles its operators against the torch installed before it, some
# minutes on two cores; a third less without debug symbols. headless comes last so that cv2 needs no display
# libraries, whichever of the two packages a dependency asked for.
$(READY): setup.py $(wildcard requirements/*.txt)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -r requirements/build.txt
	$(PIP) install -q -r requirements/torch.txt
	@echo 'Compiling the operators of mmcv ...'
	MMCV_WITH_OPS=1 CFLAGS='-g0 -O2' $(PIP) install -q --no-build-isolation $(CONSTRAINTS) \
		$$(grep '^onedl-mmcv==' requirements/openmmlab.txt)
	$(PIP) install -q $(CONSTRAINTS) -r requirements/openmmlab.txt
	$(PIP) install -q --force-reinstall --no-deps $(CONSTRAINTS) \
		opencv-python-headless
	$(PIP) install -q --no-build-isolation $(CONSTRAINTS) -e '.[demo,tests]'
	$(BIN)/python -c 'import mmcv.ops, mmdet, mmseg, mmpretrain, bissl_mm'
	touch $(READY)

# Upstream's OpenMMLab with torch 2.1, beside the other environment. Nothing is
# compiled; tests that need mmcv's operators are skipped by their marker.
UPSTREAM_PYTHON ?= python3.11
UPSTREAM_VENV ?= .venv-upstream
UPSTREAM_WORKERS ?= 2
UPSTREAM = $(UPSTREAM_VENV)/bin/python
UPSTREAM_READY = $(UPSTREAM_VENV)/.ready
UPSTREAM_PIP = $(UPSTREAM) -m pip --disable-pip-version-check install -q

test-upstream: $(UPSTREAM_READY)
	$(UPSTREAM) -m pytest -n $(UPSTREAM_WORKERS) --dist loadfile --no-loadscope-reorder -rs \
		tests/test_hypergradient tests/test_models tests/test_conformance.py \
		tests/test_engine tests/test_datasets tests/test_compat.py
	$(UPSTREAM) tools/demo.py --quick --work-dir work_dirs/demo-upstream

$(UPSTREAM_READY): setup.py $(wildcard requirements/upstream*.txt)
	test -x $(UPSTREAM) || $(UPSTREAM_PYTHON) -m venv $(UPSTREAM_VENV)
	$(UPSTREAM_PIP) -c requirements/upstream-constraints.txt \
		-r requirements/upstream.txt
	$(UPSTREAM_PIP) --force-reinstall --no-deps \
		$$(grep '^opencv' requirements/upstream.txt)
	$(UPSTREAM_PIP) --no-build-isolation --no-deps -e .
	touch $(UPSTREAM_READY)

clean:
	rm -rf $(VENV) $(UPSTREAM_VENV) build *.egg-info
