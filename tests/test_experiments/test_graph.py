"""The graph of an experiment, its keys, its plan and its report."""

import json
import re
from collections import Counter
from pathlib import Path

import experiment_files
import pytest
from numpy import mean
from scipy.stats import permutation_test as scipys

from bissl_mm.experiments.commands import Session
from bissl_mm.experiments.definition.experiment import read_experiment
from bissl_mm.experiments.queue.node import Node
from bissl_mm.experiments.queue.store import Store
from bissl_mm.experiments.queue.worker import work
from bissl_mm.experiments.report.published import published
from bissl_mm.experiments.runs.execute import choose
from bissl_mm.experiments.runs.graph import Builder
from bissl_mm.utils.errors import Refusal

#: Values of all seeds by arm.
RESULTS = dict(zip(('FT', 'BiSSL+FT'), ([70, 71, 72, 73, 74], [80, 81, 82, 83, 84])))


def build(path: str) -> Builder:
    return Builder(read_experiment(path))


def invented(node, parents, place):
    """Results that a test knows."""
    if node.kind in ('pretrain', 'stage'):
        return dict(checkpoint='x')
    label = node.label
    if node.kind == 'search':
        setting = dict(lr=label['lr'], weight_decay=label['weight_decay'])
        return dict(val=100 * label['lr'], setting=setting, curve=[1.0])
    value = float(RESULTS[label['arm']][label['seed'] - 1])
    metrics = {'accuracy/top1': value, 'accuracy/top5': value + 10}
    setting = choose(node, parents)
    return dict(val=1.0, test=value, metrics=metrics, curve=[1.0, 2.0], setting=setting)


def test_runs_and_what_they_need(tmp_path):
    graph = build(experiment_files.write(tmp_path)).graph()
    assert Counter(node.kind for node in graph) == dict(
        pretrain=1, stage=1, search=6, seed=8
    )
    pretext, stage, *rest = graph
    assert stage.parents == (pretext.key,)
    for node in rest:
        kinds = Counter(graph[key].kind for key in node.parents)
        start = 'pretrain' if node.label['arm'] == 'FT' else 'stage'
        assert kinds == (
            {start: 1} if node.kind == 'search' else {start: 1, 'search': 3}
        )
    # All arms try the same points.
    points = {arm: [] for arm in RESULTS}
    for node in rest:
        if node.kind == 'search':
            points[node.label['arm']].append(node.spec['setting'])
    assert points['FT'] == points['BiSSL+FT']


def test_keys_change_with_what_a_result_depends_on_alone(tmp_path, monkeypatch):
    path = experiment_files.write(tmp_path)
    keys = {node.key for node in build(path).graph()}
    # The folder of all data sets is another one on another machine.
    monkeypatch.setenv('BISSL_DATA_DIR', '/elsewhere')
    assert {node.key for node in build(path).graph()} == keys
    # Also where the file itself names it.
    root = '{{$BISSL_DATA_DIR:data}}/mine'
    own = {'train_dataloader.dataset.dataset.data_root': root}
    tasks = dict(mine=dict(like='imagefolder-32px', stage=own, fine_tune=own))
    path = experiment_files.write(tmp_path, tasks=tasks)
    moved = [node.key for node in build(path).graph()]
    monkeypatch.delenv('BISSL_DATA_DIR')
    assert [node.key for node in build(path).graph()] == moved
    tasks['mine']['fine_tune'] = {next(iter(own)): root + '2'}
    path = experiment_files.write(tmp_path, tasks=tasks)
    assert len({node.key for node in build(path).graph()}.intersection(moved)) == 2
    # More seeds keep what is done.
    more = {n.key for n in build(experiment_files.write(tmp_path, seeds=5)).graph()}
    assert more > keys
    vary = dict(stage={'optim_wrapper.regularizer.weight': [0.5]})
    other = build(experiment_files.write(tmp_path, vary=vary)).graph()
    shared = [node for node in other if node.key in keys]
    assert {node.label.get('arm') for node in shared} == {None, 'FT'}


def test_arms_without_what_varies_run_once(tmp_path):
    vary = dict(name='lambda', stage={'optim_wrapper.regularizer.weight': [0.5, 0.1]})
    graph = build(experiment_files.write(tmp_path, vary=vary)).graph()
    assert Counter(node.kind for node in graph) == dict(
        pretrain=1, stage=2, search=9, seed=12
    )


def test_several_stages_share_the_seeds(tmp_path):
    graph = build(experiment_files.write(tmp_path, stages=2)).graph()
    stages = [node.key for node in graph if node.kind == 'stage']
    used = [
        stages.index(n.spec['source'])
        for n in graph
        if n.kind == 'seed' and n.label['arm'] == 'BiSSL+FT'
    ]
    assert len(stages) == 2 and used == [0, 0, 1, 1]


def test_best_finite_setting_is_chosen():
    node = Node('k', 'seed', spec=dict(search=['a', 'b', 'c'], metric='m'))
    parents = {
        key: dict(val=val, setting=dict(lr=val))
        for key, val in zip('abc', (1.0, None, 3.0))
    }
    assert choose(node, parents) == dict(lr=3.0)
    with pytest.raises(Refusal, match='no setting of the search'):
        choose(node, dict.fromkeys('abc', dict(val=None, setting={})))


@pytest.fixture(scope='module')
def session(module_folder):
    """A finished experiment with five seeds."""
    folder = module_folder
    path = experiment_files.write(folder, seeds=5)
    session = Session(path, str(folder / 'store'))
    work(Store(folder / 'store'), session.graph, invented)
    return session


def test_report_has_the_numbers_and_the_test(session, capsys):
    session.report()
    names = capsys.readouterr().out.split()
    report = json.loads(Path(names[-1]).read_text())
    first, second = report['tables']
    assert first['title'] == 'accuracy/top1' and second['title'] == 'accuracy/top5'
    ours, theirs = (row['tasks']['imagefolder-32px'] for row in first['rows'][::-1])
    assert ours['mean'] == pytest.approx(82) and theirs['mean'] == pytest.approx(72)
    assert ours['std'] == pytest.approx(2.5**0.5)
    expected = scipys(
        [RESULTS['FT'], RESULTS['BiSSL+FT']],
        lambda a, b: abs(mean(a) - mean(b)),
        alternative='greater',
        n_resamples=10**6,
    ).pvalue
    assert ours['p_value'] == pytest.approx(expected) == pytest.approx(2 / 252)
    assert ours['is_bold'] and not theirs['is_bold']
    assert first['rows'][1]['average_difference'] == pytest.approx(10)
    top5 = second['rows'][1]['tasks']['imagefolder-32px']
    assert top5['mean'] == pytest.approx(92)
    # The best of the search is the largest learning rate.
    assert ours['chosen']['lr'] == max(p['lr'] for p in ours['search'])
    text = Path(names[0]).read_text()
    assert '**82.0 ± 1.6** (+10.0, p = 0.0079)' in text
    assert '<b>82.0 ± 1.6</b>' in Path(names[1]).read_text()


def test_plan_and_status_count_what_is_done(session, capsys):
    session.plan()
    plan = capsys.readouterr().out
    assert '18 runs, 18 done' in plan and 'after 3 fine-tuning, search' in plan
    session.status()
    status = capsys.readouterr().out
    assert 'fine-tuning, seeds: 10 of 10 done' in status
    assert re.search(r'Left: 0\.00 hours', status)


def test_looking_creates_nothing_and_missing_data_stop_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'none'))
    session = Session(experiment_files.write(tmp_path), str(tmp_path / 'store'))
    session.plan()
    session.status()
    with pytest.raises(Refusal, match='Type the command run first'):
        session.report()
    with pytest.raises(Refusal, match='none'):
        session.run()
    assert not (tmp_path / 'store').exists()


def test_published_numbers_are_those_of_the_papers():
    """Some cells, read off the text."""
    assert published('tmlr.table1').of('byol', 'bissl_ft', 'pets') == (80.1, 0.3)
    assert published('tmlr.table1').of('simclr', 'ft', 'dtd', top5=True) == (85.8, 0.6)
    assert published('tmlr.table8').of('', 'pretext_downstream_sum', 'dtd', 0.25) == (
        62.2,
        0.3,
    )
    assert published('thesis.figure6_2').of('', 'bissl_ft', 'pets', 600) == (77.5, 0.3)
    assert 'without numbers' in published('tmlr.figure5').none
    with pytest.raises(Refusal, match="Did you mean 'tmlr.table1'"):
        published('tmlr.tabel1')
