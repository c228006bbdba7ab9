"""Experiments run whole, by the tool, on generated data."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import experiment_files
import pytest
import torch
from conftest import ROOT
from small_run import make_folders

from bissl_mm.analysis.features import build_model
from bissl_mm.experiments.definition.experiment import read_experiment
from bissl_mm.experiments.queue.node import Graph
from bissl_mm.experiments.queue.pool import run_graph
from bissl_mm.experiments.queue.store import Store
from bissl_mm.experiments.queue.worker import outlook, work
from bissl_mm.experiments.runs.execute import execute
from bissl_mm.experiments.runs.graph import Builder
from bissl_mm.experiments.runs.own_config import read_own
from bissl_mm.utils.checkpoint import load_checkpoint

TOOL = ROOT / 'tools/experiment.py'


def command(name, path, *arguments) -> list[str]:
    return [sys.executable, str(TOOL), name, str(path), *map(str, arguments)]


def environment(**variables) -> dict:
    return {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', **variables}


def folders(root: Path) -> dict:
    return dict(
        BISSL_PRETEXT_DIR=str(root / 'pretext'),
        BISSL_DOWNSTREAM_DIR=str(root / 'downstream'),
        BISSL_NUM_CLASSES='3',
    )


def called(name, path, *arguments, cwd, env) -> str:
    done = subprocess.run(
        command(name, path, *arguments),
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


TABLES = [
    ('tmlr_table1', ['pets', 'voc07'], 2),
    pytest.param(
        'tmlr_table2',
        ['voc0712-c4', 'voc0712-fcn16', 'cityscapes-fcn16'],
        1,
        marks=[pytest.mark.mmcv_ops, pytest.mark.long],
    ),
    pytest.param('tmlr_table3', ['dtd'], 1, marks=pytest.mark.long),
]


@pytest.mark.whole
@pytest.mark.parametrize('name, tasks, seeds', TABLES, ids=lambda v: str(v)[:11])
def test_published_tables_in_small(name, tasks, seeds, tmp_path):
    """The real files on generated downloads, prepared as the publishers' are."""
    path = ROOT / f'configs/experiments/{name}.py'
    experiment_files.write_data(path, tmp_path, tasks)
    given = [
        *('--cfg-options', f'tasks=[{",".join(tasks)}]'),
        *(f'search.settings={seeds}', f'seeds={seeds}'),
    ]
    experiment_files.tool('run', path, tmp_path, '--workers', '2', *given)
    files = experiment_files.tool('report', path, tmp_path, *given).split()
    report = json.loads((tmp_path / files[-1]).read_text())
    experiment = read_experiment(str(path), 'small', dict(tasks=tasks))
    arms = [arm.name for arm in experiment.arms]
    for table in report['tables']:
        assert [row['arm'] for row in table['rows']] == arms
        for row in table['rows']:
            for cell in row['tasks'].values():
                assert len(cell['values']) == cell['expected'] == seeds
                # Not in the papers: training twice, and top-5 of most tables.
                missing = row['arm'] == 'Training twice' or 'top5' in table['title']
                assert cell['paper'] or missing
    assert set(tasks) == set(report['tables'][0]['rows'][0]['tasks'])
    status = experiment_files.tool('status', path, tmp_path, *given)
    assert 'failed' not in status and 'Left: 0.00 hours' in status


ARMS = [
    'FT',
    'Random initialization',
    'Linear probing',
    'Zero head',
    'NoisyTune',
    'Data mix',
    'Weighted sum',
    'IJ discarded',
    'BiSSL+FT',
    'Training twice',
    'Further pretraining',
]


def wait_for(what, seconds=2000):
    until = time.time() + seconds
    while not what():
        assert time.time() < until
        time.sleep(0.1)


@pytest.mark.long
@pytest.mark.whole
def test_all_arms_after_the_kill_of_a_worker(tmp_path):
    """Every arm trains; two machines are played by two folders, and a worker of the
    first one is killed."""
    make_folders(tmp_path)
    path = experiment_files.write(tmp_path, arms=ARMS)
    env = environment(**folders(tmp_path))
    store = tmp_path / 'store'
    given = ['--preset', 'small', '--storage', store]
    machines = []
    for name in 'ab':
        (tmp_path / name).mkdir()
        machines.append(
            subprocess.Popen(
                command('run', path, *given, '--workers', 1),
                cwd=tmp_path / name,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    wait_for(lambda: len(list(store.glob('results/*.json'))) >= 3)
    # Of a run that is not finished.
    claims = [
        json.loads(c.read_text())
        for c in store.glob('claims/*.1')
        if not (store / f'results/{c.name[:-2]}.json').exists()
    ]
    os.kill(claims[-1]['pid'], signal.SIGKILL)
    outputs = [machine.communicate(timeout=3000)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    assert sum('ended by signal 9' in text for text in outputs) == 1
    files = called('report', path, *given, cwd=tmp_path, env=env).split()
    (table,) = json.loads(Path(files[-1]).read_text())['tables']
    assert [row['arm'] for row in table['rows']] == ARMS
    for row in table['rows']:
        (cell,) = row['tasks'].values()
        assert len(cell['values']) == cell['expected']
    assert len(list(store.glob('results/*.json'))) == len(
        json.loads((store / 'study-graph.json').read_text())
    )


def machine(root: Path, data: str) -> tuple[list[str], dict]:
    """A machine with its own copy of the package, its own data folder, home and
    temporary files; the command of its tool, and its environment."""
    package = root / 'package'
    for name in ('bissl_mm', 'configs', 'tools'):
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(ROOT / name, package / name, ignore=ignored)
    make_folders(root / data)
    for name in ('home', 'tmp'):
        (root / name).mkdir()
    env = environment(
        PYTHONPATH=str(package),
        BISSL_DATA_DIR=str(root / data),
        HOME=str(root / 'home'),
        TMPDIR=str(root / 'tmp'),
    )
    variable = '{{$BISSL_DATA_DIR:data}}'
    labeled = {
        f'{part}_dataloader.dataset.dataset.data_root': f'{variable}/downstream'
        for part in ('train', 'val', 'test')
    }
    place = 'dataset.dataset.data_root'
    path = experiment_files.write(
        root,
        settings=dict(
            {
                key: f'package/{Path(config).relative_to(ROOT)}'
                for key, config in experiment_files.SETTINGS.items()
            },
            options=dict(
                pretext={f'train_dataloader.{place}': f'{variable}/pretext'},
                bilevel={
                    f'train_cfg.pretext_dataloader.{place}': f'{variable}/pretext'
                },
            ),
        ),
        tasks=dict(
            mine=dict(
                like='imagefolder-32px',
                stage={**labeled, 'model.downstream.head.num_classes': 3},
                fine_tune={**labeled, 'model.head.num_classes': 3},
            )
        ),
        seeds=2,
    )
    return [sys.executable, str(package / 'tools/experiment.py'), 'run', path], env


@pytest.mark.long
@pytest.mark.whole
def test_machines_with_places_of_their_own_share_one_storage(tmp_path):
    """Two machines are played by two folders: neither the package, the experiment
    file nor the data are in the same place. Each run is made once."""
    store = tmp_path / 'store'
    running = []
    for name, data in (('a', 'data'), ('b', 'elsewhere/sets')):
        (tmp_path / name).mkdir()
        given, env = machine(tmp_path / name, data)
        given += ['--preset', 'small', '--workers', '1', '--storage', str(store)]
        running.append(
            subprocess.Popen(
                given,
                cwd=tmp_path / name,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=3000)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    nodes = json.loads((store / 'study-graph.json').read_text())
    keys = {node['key'] for node in nodes}
    assert {path.stem for path in store.glob('results/*.json')} == keys
    # A pretraining, a stage, and two points and two seeds of each arm.
    assert len(keys) == 10
    assert len(list(store.glob('claims/*'))) == 10


@pytest.mark.long
@pytest.mark.whole
def test_alignment_after_a_search_that_weighs_losses(tmp_path, monkeypatch):
    """Each final run keeps its backbone, which is compared with where it began."""
    make_folders(tmp_path)
    report = dict(kind='alignment', published='tmlr.table9')
    search = dict(settings=2, choice='balance')
    for name, value in folders(tmp_path).items():
        monkeypatch.setenv(name, value)
    path = experiment_files.write(tmp_path, report=report, search=search)
    given = ['--preset', 'small', '--storage', tmp_path / 'store']
    env = environment(**folders(tmp_path))
    called('run', path, *given, '--workers', 1, cwd=tmp_path, env=env)
    files = called('report', path, *given, cwd=tmp_path, env=env).split()
    store = Store(tmp_path / 'store')
    graph = Builder(read_experiment(path, 'small', None)).graph()
    for node in graph:
        result = store.result(node.key)
        assert ('loss' in result) == (node.kind == 'search')
        if node.kind == 'features':
            start = store.folder / store.result(node.spec['source'])['checkpoint']
            before = backbone(start)
            for key, cosine in zip(
                node.spec['tuned'], result['parameters'], strict=True
            ):
                after = backbone(store.folder / store.result(key)['tuned'])
                assert after.keys() >= before.keys()
                a, b = (
                    torch.cat([s[n].flatten().double() for n in weights(before)])
                    for s in (before, after)
                )
                assert cosine == pytest.approx(float(a @ b / a.norm() / b.norm()))
                assert cosine < 1
            assert len(result['points']) == len(result['labels']) == 8
    report = json.loads(Path(files[-1]).read_text())
    assert [t['title'] for t in report['tables']] == [
        'cosine of parameters',
        'cosine of test features',
    ]
    assert 't-SNE' in Path(files[1]).read_text()


def backbone(path: Path) -> dict:
    state = load_checkpoint(str(path))['state_dict']
    return {n: v for n, v in state.items() if n.startswith('backbone.')}


def weights(state: dict) -> list[str]:
    """Of parameters; statistics of norms are none."""
    return [n for n in state if 'running' not in n and 'num_batches' not in n]


@pytest.mark.whole
def test_released_backbone_and_head_start_every_arm(tmp_path, monkeypatch):
    """Files in the authors' layout, on generated ImageNet and Pets."""
    setting = dict(
        pretext=str(ROOT / 'configs/pretext/simclr_r50_8xb128-500e_in1k-96px.py'),
        bilevel=str(
            ROOT / 'configs/bissl/bissl-simclr_r50_8xb128-20x8-500t_in1k-96px.py'
        ),
        fine_tune=str(ROOT / 'configs/fine_tune/r50_96px.py'),
    )
    arms = ['FT', 'Data mix', 'BiSSL+FT']
    changes = dict(tasks=['pets'], arms=arms, seeds=2)
    plain = experiment_files.write(tmp_path, settings=setting, **changes)
    experiment_files.write_data(Path(plain), tmp_path)
    monkeypatch.chdir(tmp_path)
    builder = Builder(read_experiment(plain, 'small'))
    (pretext, *_) = builder.graph()
    cfg = builder.config(pretext.spec)
    model = build_model(cfg)
    head, name = {}, {'fc': 'weight bias', 'bn': 'weight bias running_mean running_var'}
    places = dict(fc0=0, bn0=1, fc1=3, bn1=4, fc2=6)
    for part, number in places.items():
        for key in name[part[:2]].split():
            value = model.neck.state_dict().get(f'{part}.{key}')
            if value is not None:
                head[f'projector.{number}.{key}'] = value + 0.01
    bare = {
        n.removeprefix('backbone.'): v
        for n, v in model.state_dict().items()
        if n.startswith('backbone.')
    }
    files = dict(backbone='timm.pth', head='projector.pth')
    torch.save(bare, files['backbone'])
    torch.save(head, files['head'])
    released = dict(setting, released=files)
    path = experiment_files.write(tmp_path, settings=released, **changes)
    given = ['--preset', 'small', '--storage', 'store', '--workers', 1]
    called('run', path, *given, cwd=tmp_path, env=environment())
    store = Store('store')
    for node in Builder(read_experiment(path, 'small')).graph():
        output = (store.folder / 'runs' / node.key / 'output.txt').read_text()
        if node.kind == 'stage':
            assert "pretrained_head: 'projector.pth'" in output
            made = torch.load(store.folder / store.result(node.key)['checkpoint'])
            # What fine-tuning will show it.
            assert '123.675' in made['meta']['backbone']['pixels']
        if node.kind == 'pretrain':
            start = torch.load(store.run_folder(node.key) / 'start.pth')['state_dict']
            assert torch.equal(start['neck.fc2.weight'], head['projector.6.weight'])
            assert torch.equal(start['backbone.conv1.weight'], bare['conv1.weight'])
        if node.label['arm'] == 'FT':
            start = torch.load(store.run_folder(node.key) / 'start.pth')['state_dict']
            assert torch.equal(start['backbone.conv1.weight'], bare['conv1.weight'])


@pytest.mark.whole
def test_plan_times_a_few_steps(tmp_path):
    make_folders(tmp_path)
    path = experiment_files.write(tmp_path)
    given = ['--preset', 'small', '--storage', tmp_path / 'store', '--time']
    env = environment(**folders(tmp_path))
    plan = called('plan', path, *given, cwd=tmp_path, env=env)
    assert 'hours unknown' not in plan and 'Left: 0.0' in plan
    assert not (tmp_path / 'store').exists()


def in_a_group(*args):
    os.setsid()
    run_graph(*args)


@pytest.mark.whole
def test_a_launched_stage_saves_before_its_worker_ends(tmp_path, monkeypatch):
    make_folders(tmp_path, per_class=12)
    for name, value in folders(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    path = experiment_files.write(tmp_path, arms=['BiSSL+FT'])
    graph = Builder(read_experiment(path, 'small')).graph()
    (stage,) = [replace(node, parents=()) for node in graph if node.kind == 'stage']
    nodes = Graph([stage])
    # Long enough to be stopped.
    stage.spec.update(processes=2, small=None, source=None, file=None)
    stage.spec['options'] = {
        **stage.spec['options'],
        'train_cfg.head_warmup.num_epochs': 1,
        'train_cfg.pretext_dataloader.batch_size': 4,
        'train_dataloader.batch_size': 6,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
    }
    store = Store(tmp_path / 'store')
    process = get_context('spawn').Process(
        target=in_a_group, args=(store, nodes, execute)
    )
    process.start()
    folder = store.run_folder(stage.key)
    printed = folder / 'output.txt'
    until = time.time() + 200
    while process.is_alive() and time.time() < until:
        if printed.exists() and 'Iter(train)' in printed.read_text():
            break
        time.sleep(0.2)
    assert not (folder / 'last_checkpoint').exists(), printed.read_text()[-3000:]
    # As scancel and timeout do.
    os.killpg(process.pid, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 143, printed.read_text()[-3000:]
    saved = Path((folder / 'last_checkpoint').read_text().strip())
    assert load_checkpoint(str(saved))['state_dict']
    assert stage.key not in store.state(nodes).done


@pytest.mark.whole
def test_stage_of_two_processes_is_launched(tmp_path, monkeypatch):
    make_folders(tmp_path, per_class=12)
    for name, value in folders(tmp_path).items():
        monkeypatch.setenv(name, value)
    path = experiment_files.write(tmp_path, arms=['BiSSL+FT'])
    graph = Builder(read_experiment(path, 'small')).graph()
    nodes = Graph([node for node in graph if node.kind in ('pretrain', 'stage')])
    stage = list(nodes)[-1]
    pretraining = next(iter(nodes))
    bare = tmp_path / 'released.pth'
    model = build_model(read_own(pretraining.spec))
    torch.save(
        {
            name.removeprefix('backbone.'): value
            for name, value in model.state_dict().items()
            if name.startswith('backbone.')
        },
        bare,
    )
    stage.spec.update(processes=2, source=None, file=str(bare))
    store = Store(tmp_path / 'store')
    work(store, nodes, execute)
    found = outlook(nodes, store.state(nodes))
    assert not found.failed, found.failed
    made = store.folder / store.result(stage.key)['checkpoint']
    weights = torch.load(made, weights_only=True)['state_dict']
    assert all(torch.isfinite(value).all() for value in weights.values())
    printed = (store.run_folder(stage.key) / 'output.txt').read_text()
    assert 'Processes: 2' in printed
    # The launching process wrote what its processes start from.
    start = store.run_folder(stage.key) / 'start.pth'
    job = json.loads((start.parent / 'job.json').read_text())
    assert job['start'] == str(start) and start.is_file()
