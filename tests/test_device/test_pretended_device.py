"""The stage on a CUDA device that is none: values, kernels, waits of the host."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from conftest import ROOT

from bissl_mm.utils.versions import release

if release(torch.__version__) < (2, 2):
    pytest.skip('torch 2.1 lacks what the device is made of', allow_module_level=True)
from pretended_cuda.library import compiled, why_not

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.whole,
    # One worker has the results of all cases.
    pytest.mark.xdist_group('pretended'),
]


def hypergradient(solver: str, **settings) -> dict:
    return dict(hypergradient=dict(settings, solver=dict(type=solver)))


#: Name -> arguments of ``pretended_cuda.cases.run_case``.
CASES = {
    'LayerwiseCGSolver': hypergradient('LayerwiseCGSolver'),
    'learned lambda': dict(
        hypergradient('RecyclingSolver'),
        regularizer=dict(type='LearnedDistance', weight=0.01),
    ),
    'CGSolver': hypergradient('CGSolver', check_residual='first'),
    'TruncatedCGSolver': hypergradient('TruncatedCGSolver'),
    'MinresSolver': hypergradient('MinresSolver'),
    'NeumannSolver': hypergradient('NeumannSolver'),
    'IdentitySolver': hypergradient('IdentitySolver'),
    'RecyclingSolver': hypergradient('RecyclingSolver'),
    'gauss_newton': hypergradient('CGSolver', curvature='gauss_newton'),
    'bfloat16': hypergradient('LayerwiseCGSolver', dtype='bfloat16'),
    'parts': dict(
        hypergradient('LayerwiseCGSolver'),
        num_micro_batches=dict(lower=2, upper=2, hessian=2),
    ),
    'BYOL': dict(hypergradient('LayerwiseCGSolver'), pretext='byol'),
    'Barlow Twins': dict(hypergradient('LayerwiseCGSolver'), pretext='barlow_twins'),
    'VICReg': dict(hypergradient('LayerwiseCGSolver'), pretext='vicreg'),
    'MAE': dict(hypergradient('LayerwiseCGSolver'), pretext='mae'),
    'differences': dict(
        hypergradient('LayerwiseCGSolver', curvature='differences'), pretext='mae'
    ),
    'ranks': dict(
        hypergradient('LayerwiseCGSolver'),
        norm='bissl_mm.DifferentiableSyncBN',
        ranks=8,
        model=dict(separate_views=True),
    ),
}
RUNS = {
    'whole run': dict(run='whole_run'),
    'camvid-fcn16': dict(run='dense', name='camvid-fcn16'),
    'bccd-c4': dict(run='dense', name='bccd-c4'),
}


def results(cases: dict, folder, tmp_path) -> dict:
    """What a process of its own finds; torch cannot be restored in this one."""
    found = tmp_path / 'found.json'
    paths = (str(ROOT), str(ROOT / 'tests'))
    subprocess.run(
        [
            *(sys.executable, '-m', 'pretended_cuda', '--json', str(found)),
            *('--library', str(compiled(folder))),
        ],
        input=json.dumps(cases),
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
        env=dict(
            os.environ,
            PYTHONPATH=os.pathsep.join(paths),
            OMP_NUM_THREADS='1',
            # The runs' folders are removed with the test's.
            TMPDIR=str(tmp_path),
        ),
    )
    return json.loads(found.read_text())


@pytest.fixture(scope='module')
def folder(request):
    return request.config.cache.mkdir('pretended_cuda')


@pytest.fixture(scope='module')
def cases(folder, tmp_path_factory):
    return results(CASES, folder, tmp_path_factory.mktemp('cases'))


@pytest.fixture(scope='module')
def runs(folder, tmp_path_factory):
    return results(RUNS, folder, tmp_path_factory.mktemp('runs'))


def decided(name: str, iters: int) -> set[int]:
    """How many waits of an upper step a solver may need to decide by."""
    if name in ('learned lambda', 'RecyclingSolver'):
        # What is known; per product its direction, the product and the step; a
        # second pass over the basis where rounding asks for it.
        return set(range(1 + 3 * iters, 2 + 5 * iters))
    if name == 'MinresSolver':
        return {1 + iters}
    if name == 'NeumannSolver':
        return {iters}
    if name == 'CGSolver':
        return {2 * iters}
    # One more before a residual of the recursion is believed.
    return {2 * iters, 2 * iters + 1} if name == 'TruncatedCGSolver' else {0}


def check(name: str, found: dict, case: dict) -> None:
    """No operation without a kernel, values as on the CPU, and no wait more than
    has to be."""
    assert 'error' not in found, found['error']
    assert found['device'] == 'cuda:0'
    assert found['without_kernel'] == []
    if case.get('ranks', 1) == 1:
        # In float32, whose rounding processors do differently: BYOL's is up to 1.4e-4.
        # A difference of two gradients keeps a few digits only.
        assert found['difference'] < (1e-2 if name == 'differences' else 1e-3)
    own = {
        phase: sum(n for place, n in places.items() if place.startswith('bissl_mm/'))
        for phase, places in found['waits'].items()
    }
    # The logs; at first, whether the gradient is zero.
    assert (own['lower'], own['first lower']) == (1, 2), found['waits']
    # The scales of the norms, where a graph with batch norms is built.
    parts = case.get('num_micro_batches', {}).get('hessian', 1)
    has_graph = case.get('pretext') != 'mae' and name != 'IdentitySolver' and parts == 1
    assert own['begin'] == has_graph, found['waits']
    for phase, iters in zip(('first upper', 'upper'), found['iters'], strict=True):
        # The right-hand side, the solution, the logs; v_IJ = v needs the logs.
        rest = own[phase] - (1 if name == 'IdentitySolver' else 3)
        if phase == 'first upper' and name != 'IdentitySolver':
            # Whether the first product is zero, and what 'begin' had no graph for.
            rest -= 1 + (parts > 1)
            # Two norms for the true residual.
            rest -= 2 * (name == 'CGSolver')
        rest -= name == 'learned lambda' and phase == 'upper'
        assert rest in decided(name, int(iters)), (phase, iters, found['waits'])


def test_several_workers_may_compile(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        libraries = list(pool.map(compiled, [tmp_path] * 2))
    assert list(tmp_path.iterdir()) == libraries[:1] == libraries[1:]


@pytest.mark.parametrize('name', CASES)
def test_an_alternation(name, cases):
    check(name, cases[name], CASES[name])


@pytest.mark.long
@pytest.mark.mmcv_ops
@pytest.mark.parametrize('name', RUNS)
def test_whole_runs(name, runs):
    found = runs[name]
    assert 'error' not in found, found['error']
    assert found['without_kernel'] == []
    assert found['cpu'] < 1e-3
    assert found.get('resumed', 0) == 0
