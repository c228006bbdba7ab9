"""The benchmark scripts run and report what they claim; times are not tested."""

import contextlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch

from bissl_mm.utils.versions import release

FOLDER = Path(__file__).resolve().parents[1] / 'benchmarks'


@pytest.fixture()
def script(monkeypatch):
    """Import a script of the folder and run it with arguments."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def run(name, *args, **attributes):
        module = __import__(name)
        for key, value in attributes.items():
            monkeypatch.setattr(module, key, value)
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        module.main()

    return run


def upper_phase(script, path, *args):
    """Records of a small phase with an untrained network."""
    script(
        'upper_phase',
        '--model',
        'resnet18',
        '--pixels',
        32,
        '--batch',
        4,
        '--repeats',
        1,
        '--train-steps',
        2,
        '--head-steps',
        1,
        '--json',
        path,
        *args,
    )
    return json.loads(path.read_text())['records']


@pytest.mark.whole
def test_upper_phase(script, tmp_path):
    (record,) = upper_phase(
        script, tmp_path / 'upper.json', '--steps', 1, '--variant', 'half-batch'
    )
    assert record['variant'] == 'half-batch'
    assert record['model'] == 'resnet18'
    assert record['speedup'] > 0 and record['peak_memory_ratio'] > 0


@pytest.mark.long
@pytest.mark.whole
def test_published_variant_is_the_baseline(script, tmp_path):
    """In double precision: the same recursion, written twice.

    Five layer-wise iterations on an untrained network blow rounding up about
    a million times. Of float32 that leaves a digit or two, as the processor
    will have it; of double precision ten.
    """
    (published,) = upper_phase(
        script,
        tmp_path / 'upper.json',
        '--steps',
        1,
        '--double',
        '--variant',
        'published',
    )
    assert published['products_per_step'] == 5
    assert published['rel_diff'] < 1e-6
    assert published['true_residual'] == pytest.approx(
        published['baseline_residual'], rel=1e-6
    )


@pytest.mark.whole
def test_scaling(script, tmp_path):
    path, picture = tmp_path / 'scaling.json', tmp_path / 'scaling.svg'
    script(
        'scaling',
        '--axis',
        'iterations',
        '--steps',
        1,
        '--repeats',
        1,
        '--json',
        path,
        '--plot',
        picture,
        BASE=dict(model='resnet18', batch=4, pixels=32, iterations=1),
        AXES=dict(iterations=[1, 2]),
    )
    (record,) = json.loads(path.read_text())['records']
    assert record['values'] == [1, 2] and record['slope'] != 0
    assert '<svg' in picture.read_text()


@pytest.mark.whole
def test_checkpointing(script, tmp_path):
    path = tmp_path / 'checkpointing.json'
    script('checkpointing', '--blocks', 2, '--batch', 8, '--repeats', 1, '--json', path)
    plain, checkpointed = json.loads(path.read_text())['records']
    assert not plain['checkpoints'] and checkpointed['checkpoints']
    assert checkpointed['product_norm'] == pytest.approx(
        plain['product_norm'], rel=1e-5
    )
    # The claim: nothing is saved.
    assert checkpointed['gradient_mib'] > 0.9 * plain['gradient_mib'] > 0


@pytest.mark.long
@pytest.mark.whole
def test_alternation(script, tmp_path):
    """The published scheme is written twice, its lower steps as well."""
    path = tmp_path / 'alternation.json'
    numbers = ('--lower-steps', 2, '--upper-steps', 1, '--repeats', 1)
    numbers += ('--batch', 4, '--pixels', 32, '--train-steps', 2, '--head-steps', 1)
    script(
        'alternation',
        *numbers,
        '--double',
        '--variant',
        'same-products',
        '--json',
        path,
    )
    records = {r['variant']: r for r in json.loads(path.read_text())['records']}
    published, first_order = records['published'], records['first-order']
    assert published['speedup'] == 1 and published['products_per_step'] == 5
    assert first_order['over_first_order'] == 1 and 'true_residual' not in first_order
    same = records['same-products']
    assert same['rel_diff'] < 1e-6
    # One more of the phase goes into the check of the residual.
    assert same['products_per_step'] == 6
    assert same['true_residual'] == pytest.approx(published['true_residual'], rel=1e-6)
    assert same['peak_bytes']['upper'] > 0


@pytest.fixture()
def kit(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return __import__('gpu')


def test_gpu_kit_records_a_part(kit, tmp_path, capsys):
    path = tmp_path / 'gpu.json'
    command = ['--device', 'cpu', '--quick', '--one-process', '--json', str(path)]
    assert kit.main([*command, '--parts', 'input']) == 0
    record = json.loads(path.read_text())
    part = record['parts']['input']
    assert part['status'] == 'done'
    assert all(row['images_per_second_and_core'] > 0 for row in part['rows'])
    assert '| input | SimCLR, 375 x 500' in capsys.readouterr().out


def fails(say):
    say(dict(row='before'))
    raise ValueError('on purpose')


@pytest.mark.whole
def test_gpu_kit_ends_what_a_part_started(kit, tmp_path):
    path = tmp_path / 'started'

    def starts(say):
        text = f'echo $$ > {path}.new; mv {path}.new {path}; exec sleep 60'
        subprocess.run(['bash', '-c', text])

    states = kit.run_forked(dict(starts=(starts, 5, print)))
    assert states['starts']['status'] == 'cut'
    number = path.read_text().strip()
    until = time.time() + 10
    while time.time() < until:
        try:
            state = Path(f'/proc/{number}/stat').read_text().split()[2]
        except FileNotFoundError:
            break
        if state == 'Z':
            break
        time.sleep(0.1)
    else:
        pytest.fail('It goes on.')


def test_gpu_kit_goes_on_after_a_part_that_fails_dies_or_hangs(kit):
    rows, order = [], []
    states = kit.run_forked(
        dict(
            hangs=(lambda say: time.sleep(60), 0.5, rows.append),
            fails=(fails, 60, rows.append),
            dies=(lambda say: os._exit(3), 60, rows.append),
            works=(lambda say: say(dict(row='after')), 60, rows.append),
        ),
        lambda name, state: order.append(name),
    )
    assert {name: state['status'] for name, state in states.items()} == dict(
        hangs='cut', fails='failed', dies='failed', works='done'
    )
    assert 'on purpose' in states['fails']['traceback']
    assert 'ended with 0' not in states['dies']['traceback']
    assert sorted(row['row'] for row in rows) == ['after', 'before']
    assert sorted(order) == sorted(states) and states['hangs']['seconds'] < 30


def test_variants_of_the_gpu_kit_exist(kit):
    import alternation
    import upper_phase
    from gpu_kit import races

    assert {name for race in races.RACES.values() for name in race} <= set(
        upper_phase.VARIANTS
    )
    assert {name for race in races.ALTERNATIONS.values() for name in race} <= set(
        alternation.VARIANTS
    )


def test_wheels_are_pinned_and_hold_no_machine_code(kit, tmp_path):
    import collect_wheels

    names = [name for names in collect_wheels.PACKAGES.values() for name in names]
    assert [line.split('==')[0] for line in collect_wheels.pinned()] == names
    path = tmp_path / 'mmcv-1.0-py3-none-any.whl'
    for member in ('mmcv/__init__.py', 'mmcv/_ext.cpython-312-x86_64-linux-gnu.so'):
        with zipfile.ZipFile(path, 'a') as wheel:
            wheel.writestr(member, '')
        if member.endswith('.py'):
            collect_wheels.check_wheel(path)
    with pytest.raises(SystemExit, match='holds compiled code'):
        collect_wheels.check_wheel(path)


@pytest.mark.long
@pytest.mark.whole
def test_whole_gpu_kit_on_the_cpu(tmp_path):
    path = tmp_path / 'gpu.json'
    done = subprocess.run(
        [sys.executable, FOLDER / 'gpu.py', '--device', 'cpu', '--quick']
        + ['--minutes', '30', '--json', path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    parts = json.loads(path.read_text())['parts']
    assert {part['status'] for part in parts.values()} == {'done'}
    assert all(part['rows'] for part in parts.values())
    assert parts['resume']['rows'][1]['equal']


def test_collectives_that_cannot_be_seen_are_no_zeros(script):
    class Blind(contextlib.nullcontext):
        def __enter__(self):
            self.found = Counter()
            return self

    with pytest.raises(SystemExit, match='Use a newer torch'):
        script('collectives', '--width', 4, '--configs', 'simclr', Collectives=Blind)


@pytest.mark.skipif(
    release(torch.__version__) < (2, 2),
    reason='torch 2.1 shows no collectives of the fake group',
)
def test_collectives(script, tmp_path):
    path = tmp_path / 'counts.json'
    script('collectives', '--width', 4, '--configs', 'simclr', '--json', path)
    steps = json.loads(path.read_text())['records']['simclr']
    counts = {step: sum(kinds.values()) for step, kinds in steps.items()}
    # Of 55 norms, 53 of them in the backbone; both views share theirs. The rest
    # is of the loss and of what is averaged.
    assert counts == {
        'lower step': 2 * 55 + 3,
        'begin of an upper phase': 2 * 55 + 2,
        'product': 2 * 55 + 3,
        # The downstream loss at both backbones.
        'upper step': 4 * 53 + 2,
    }


@pytest.mark.whole
def test_response(script, tmp_path):
    """On a smooth network the Hessian of the lower level's own images foretells
    its answer, and that of a few other images does less so."""
    path = tmp_path / 'response.json'
    sizes = ('--width', 4, '--batch', 32, '--batches', 2, '--train-steps', 60)
    script(
        'response',
        *sizes,
        *('--network', 'gelu', '--seeds', 1, '--directions', 2),
        *('--weight', 30, '--steps', 6, '--shift', 1e-3, '--json', path),
    )
    rows = json.loads(path.read_text())['records']
    assert max(row['true_error'] for row in rows) < 0.02
    solved = [r for r in rows if r['solver'] == 'solved']

    def worst(images, operator):
        return max(
            r['error']
            for r in solved
            if r['images'].startswith(images) and r['operator'] == operator
        )

    assert worst('same', 'hessian') < 0.25
    assert worst('same', 'differences') < 0.25
    assert worst('other, 1 x 8', 'hessian') > 2 * worst('same', 'hessian')


@pytest.mark.whole
def test_jacobians(script, tmp_path):
    """Each cheaper Jacobian is held against the dense solution of its unknowns."""
    path = tmp_path / 'jacobians.json'
    script('jacobians', '--quick', '--json', path)
    rows = json.loads(path.read_text())['records']

    def worst(method, key='error'):
        found = [r[key] for r in rows if r['method'] == method]
        assert len(found) == 2, method
        return max(map(max, found)) if key == 'error' else max(found)

    # Its tolerance is 0.001, and its unknowns are others.
    assert worst('LoRA of rank 1, recycling 0.001') < 0.05
    assert worst('low rank 4, every phase', 'products') == (2 * 4 + 1) / 2
    assert worst('unrolled, 2 steps', 'products') == 2
    assert worst('Fisher, 4 gradients', 'products') == 0
    assert worst('Fisher, 4 gradients', 'gradients') == 4 / 2
