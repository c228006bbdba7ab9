#!/bin/sh
# The environments of the Makefile: install.sh VENV demo|ops
#
# `demo` needs no compiled operator of mmcv. `ops` adds them, mmdet and what
# the tests need. An environment that make did not create keeps its versions.
set -eu
cd "$(dirname "$0")/.."
venv=$1
python=$venv/bin/python
mmcv=$(grep '^onedl-mmcv==' requirements/openmmlab.txt)

# Modules that are never imported need not be compiled to bytecode.
pip() {
    "$python" -m pip --disable-pip-version-check install -q --no-compile "$@"
}

has() {
    "$python" -W ignore -c "import $1" >"$venv/.import.log" 2>&1
}

give_up() {
    echo "$1" >&2
    exit 1
}

has_operators() {
    has mmcv.ops
}

if [ -x "$python" ] && [ ! -e "$venv/.made" ]; then
    echo "$venv was there before; its packages are used as they are."
    has 'torch, mmengine, mmcv, mmpretrain' || give_up \
        "$venv lacks torch, mmengine, mmcv or mmpretrain: $(tail -n 1 \
        "$venv/.import.log"). Install them there, or choose a new folder for \
an environment of its own: make ... VENV=FOLDER"
    if [ "$2" = ops ]; then
        has_operators || give_up \
            "The mmcv in $venv has no compiled operators: $(tail -n 1 \
            "$venv/.import.log"). Install mmcv with them there, or choose a \
new folder for an environment of its own: make ... VENV=FOLDER"
        pip -e '.[demo,tests]'
    else
        pip -e '.[demo]'
    fi
    exit
fi

if [ "$2" = demo ]; then
    echo "Installing torch and OpenMMLab into $venv: some 2.5 GB to fetch ..."
    if [ ! -x "$python" ]; then
        "${PYTHON:-python3}" -m venv "$venv"
        touch "$venv/.made"
    fi
    pip -r requirements/build.txt
    # A build in isolation sees no torch, and mmcv compiles operators for a
    # torch that it sees only (MMCV_WITH_OPS=0 changes nothing). pip's cache
    # does not tell the two builds apart, so this one stays out of it.
    pip --no-cache-dir --no-deps --build-constraint requirements/build.txt \
        "$mmcv"
    # One call, so that each package is chosen and fetched once. mmdet cannot
    # be imported without the operators.
    pip --no-build-isolation -c requirements/constraints.txt \
        -r requirements/torch.txt \
        $(grep -E '^onedl-(mmengine|mmpretrain|mmsegmentation)==' \
            requirements/openmmlab.txt) -e '.[demo]'
    # Last, so that cv2 needs no display libraries, whichever of the two
    # packages a dependency asked for.
    pip --force-reinstall --no-deps -c requirements/constraints.txt \
        opencv-python-headless
    has 'mmcv, mmseg, mmpretrain, bissl_mm' || give_up \
        "$(cat "$venv/.import.log")"
    exit
fi

pip --no-build-isolation -c requirements/constraints.txt \
    -r requirements/openmmlab.txt -e '.[demo,tests]'
# A wheel in pip's cache may be one without operators, or of another torch.
for cache in '' --no-cache-dir; do
    if has_operators; then
        break
    fi
    echo 'Compiling the operators of mmcv: about ten minutes on two cores ...'
    # A third faster without debug symbols.
    MMCV_WITH_OPS=1 CFLAGS='-g0 -O2' pip $cache --force-reinstall --no-deps \
        --no-build-isolation "$mmcv"
done
has 'mmcv.ops, mmdet, mmseg, mmpretrain, bissl_mm' || give_up \
    "$(cat "$venv/.import.log")"
