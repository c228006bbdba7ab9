"""The graph of an experiment, its keys, its plan and its report."""

import json
import os
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import experiment_files
import pytest
from mmengine.config import Config
from numpy import mean
from scipy.stats import permutation_test as scipys
from small_run import make_folders

from bissl_mm.engine.search_space import search_space
from bissl_mm.experiments.commands import Session
from bissl_mm.experiments.definition.arms import ARMS
from bissl_mm.experiments.definition.experiment import read_experiment
from bissl_mm.experiments.queue.node import Graph, Node
from bissl_mm.experiments.queue.store import Store
from bissl_mm.experiments.queue.worker import work
from bissl_mm.experiments.report.hours import content_of_time
from bissl_mm.experiments.report.published import published
from bissl_mm.experiments.report.table import Entry, Table, put_tests, tables_of
from bissl_mm.experiments.runs.cell import Cell
from bissl_mm.experiments.runs.fine_tunings import PER_STAGE
from bissl_mm.experiments.runs.graph import Builder
from bissl_mm.experiments.runs.hours import Hours
from bissl_mm.experiments.runs.tune import choose
from bissl_mm.utils.errors import Refusal

#: Values of all seeds by arm.
RESULTS = dict(zip(('FT', 'BiSSL+FT'), ([70, 71, 72, 73, 74], [80, 81, 82, 83, 84])))


def build(path: str) -> Builder:
    return Builder(read_experiment(path))


def invented(node, parents, place):
    """Results that a test knows."""
    if node.kind in ('pretrain', 'stage'):
        return dict(checkpoint='x')
    if node.kind == 'features':
        # As many cosines as backbones were kept, larger after the stage.
        first = 0.9 if node.label['arm'] == 'FT' else 0.95
        cosines = [first + 0.001 * i for i in range(len(node.spec['tuned']))]
        return dict(
            parameters=cosines,
            features=[c / 2 for c in cosines],
            effective_dimension=3.0,
            neighbours=50.0,
            points=[[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]],
            labels=[0, 1, 1],
        )
    label = node.label
    if node.kind == 'search':
        setting = dict(lr=label['lr'], weight_decay=label['weight_decay'])
        return dict(val=100 * label['lr'], setting=setting, curve=[1.0])
    value = float(RESULTS[label['arm']][label['seed'] % PER_STAGE - 1])
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
    # What tools/train.py fine-tunes in this shell is no start of these runs.
    monkeypatch.setenv('BISSL_CHECKPOINT', '/elsewhere/backbone.pth')
    assert {node.key for node in build(path).graph()} == keys
    assert os.environ['BISSL_CHECKPOINT'] == '/elsewhere/backbone.pth'
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


@pytest.mark.parametrize(
    'search, plain, probing', [({}, 8, 25), (dict(settings=4), 4, 4)]
)
def test_each_arm_has_the_points_of_the_paper_or_of_the_file(
    search, plain, probing, tmp_path
):
    arms = {'FT': {}, 'Linear probing': {}, 'noise': dict(like='NoisyTune', settings=3)}
    path = experiment_files.write(tmp_path, arms=arms, search=search)
    settings = search_space(Config.fromfile(experiment_files.SETTINGS['fine_tune']))
    assert settings['settings'] == 8
    graph = build(path).graph()
    found = Counter(node.label['arm'] for node in graph if node.kind == 'search')
    assert found == {'FT': plain, 'Linear probing': probing, 'noise': 3}
    seeds = Counter(node.label['arm'] for node in graph if node.kind == 'seed')
    assert set(seeds.values()) == {4}


def test_several_stages_share_the_seeds(tmp_path):
    graph = build(experiment_files.write(tmp_path, stages=2)).graph()
    stages = [node.key for node in graph if node.kind == 'stage']
    used = [
        stages.index(n.spec['source'])
        for n in graph
        if n.kind == 'seed' and n.label['arm'] == 'BiSSL+FT'
    ]
    assert len(stages) == 2 and used == [0, 0, 1, 1]


def test_fewer_seeds_than_stages_are_refused(tmp_path):
    """A stage without a final run would be trained for nothing."""
    path = experiment_files.write(tmp_path, stages=3, seeds=2)
    with pytest.raises(Refusal, match='study: seeds is 2, but each arm has 3 stages'):
        build(path)
    report = dict(kind='features')
    path = experiment_files.write(tmp_path, stages=3, seeds=2, report=report)
    assert not any(node.kind == 'seed' for node in build(path).graph())


def test_search_on_several_stages_and_seeds_of_each(tmp_path):
    points = [(0.1, 0.01), (0.2, 0.02), (0.3, 0.03)]
    path = experiment_files.write(
        tmp_path, stages=2, seeds=6, search=dict(points=points, stages=2)
    )
    runs = {'search': [], 'seed': []}
    graph = build(path).graph()
    stages = [node.key for node in graph if node.kind == 'stage']
    for node in graph:
        if node.label.get('arm') == 'BiSSL+FT' and node.kind in runs:
            unit = stages.index(node.spec['source'])
            setting = tuple((node.spec['setting'] or {}).values())
            runs[node.kind].append((unit, node.spec['seed'], setting))
    assert runs['search'] == [
        (unit, 100 * unit, point) for point in points for unit in (0, 1)
    ]
    assert runs['seed'] == [
        (unit, 100 * unit + seed, ()) for unit in (0, 1) for seed in (1, 2, 3)
    ]


def found(val, loss=None, lr=1.0):
    return dict(val=val, loss=loss, setting=dict(lr=lr, weight_decay=0.0))


def test_mean_over_the_stages_of_the_search_decides():
    node = Node('k', 'seed', spec=dict(search=list('abcdef'), metric='m'))
    parents = dict(
        a=found(90.0, lr=1.0),
        b=found(50.0, lr=1.0),
        c=found(71.0, lr=2.0),
        d=found(72.0, lr=2.0),
        # Diverged on one of them.
        e=found(99.0, lr=3.0),
        f=found(None, lr=3.0),
    )
    assert choose(node, parents)['lr'] == 2.0


def test_a_point_that_is_given_twice_counts_once():
    node = Node('k', 'seed', spec=dict(search=list('aab'), metric='m'))
    parents = dict(a=found(50.0, lr=1.0), b=found(72.0, lr=2.0))
    assert choose(node, parents)['lr'] == 2.0


@pytest.mark.parametrize('scale', [0.1, 1.0, 4.0])
@pytest.mark.parametrize('margin, chosen', [(None, 3.0), (0.5, 2.0), (0.05, 1.0)])
def test_balance_leaves_out_notably_higher_losses(margin, chosen, scale):
    spec = dict(search=list('abcd'), metric='m')
    if margin is not None:
        spec['loss_margin'] = margin
    parents = dict(
        a=found(70.0, 1.0 * scale, 1.0),
        b=found(75.0, 1.4 * scale, 2.0),
        c=found(80.0, 1.6 * scale, 3.0),
        d=found(60.0, None, 4.0),
    )
    assert choose(Node('k', 'seed', spec=spec), parents)['lr'] == chosen


def test_balance_asks_the_search_for_losses_and_has_keys_of_its_own(tmp_path):
    search = dict(settings=3)
    keys = {n.key for n in build(experiment_files.write(tmp_path)).graph()}
    path = experiment_files.write(tmp_path, search=dict(search, choice='balance'))
    graph = build(path).graph()
    for node in graph:
        if node.kind == 'search':
            assert node.spec['loss']
        if node.kind == 'seed':
            assert node.spec['loss_margin'] == 0.25
        assert (node.key in keys) == (node.kind in ('pretrain', 'stage'))
    dense = dict(tasks=['masks-fcn8-128px'], search=dict(choice='balance'))
    with pytest.raises(Refusal, match='tasks of classification alone'):
        build(experiment_files.write(tmp_path, **dense))


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


def reported(folder, capsys, **changes) -> tuple[list, dict]:
    """Nodes and report of a finished experiment."""
    path = experiment_files.write(folder, **changes)
    session = Session(path, str(folder / 'store'))
    work(Store(folder / 'store'), session.graph, invented)
    session.report()
    text = Path(capsys.readouterr().out.split()[-1]).read_text()
    return list(session.graph), json.loads(text)


@pytest.mark.parametrize(
    'seeds, stages, most, texts, missing',
    [
        pytest.param(
            *(4, 1, 70, ['With 4 seeds .* below 0.029,'], ['drawn', 'independent']),
            marks=pytest.mark.whole,
        ),
        (4, 2, 70, ['below 0.029', 'Those of one of the 2 stages are'], ['drawn']),
        (5, 1, 252, [], ['drawn', 'exact', 'independent', 'nothing can be bold']),
        (5, 1, 251, ['exact up to 251 .* Of more, 100,000 are drawn'], ['indep']),
    ],
)
def test_notes_say_what_p_values_are_worth(
    seeds, stages, most, texts, missing, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr('bissl_mm.experiments.report.pages.MAX_EXACT', most)
    _, found = reported(tmp_path, capsys, seeds=seeds, stages=stages)
    notes = ' '.join(found['notes'])
    assert all(re.search(text, notes) for text in texts)
    assert not any(text in notes for text in missing)


def test_the_floor_of_p_is_that_of_the_arms_with_most_runs(tmp_path, capsys):
    """Where one has few of them yet, others may be bold."""
    path = experiment_files.write(tmp_path, seeds=5)
    session = Session(path, str(tmp_path / 'store'))
    diverging = without_numbers(['FT'], [1, 2, 3])
    work(Store(tmp_path / 'store'), session.graph, diverging)
    session.report()
    text = Path(capsys.readouterr().out.split()[0]).read_text()
    assert 'FT | 73.5' in text and 'nothing can be bold' not in text


def without_numbers(arms, seeds):
    """Results in which runs of some arms and seeds diverged."""

    def found(node, parents, place):
        result = invented(node, parents, place)
        label = node.label
        if node.kind == 'seed' and label['arm'] in arms and label['seed'] in seeds:
            result.update(test=None, metrics=None)
        return result

    return found


@pytest.mark.parametrize(
    'arm, seeds, cell',
    [
        ('BiSSL+FT', [1], '| BiSSL+FT | 82.5 ± 1.3, 4 of 5 runs |'),
        ('BiSSL+FT', [1, 2, 3, 4, 5], '| BiSSL+FT | no number |'),
        ('FT', [5], '| BiSSL+FT | 82.0 ± 1.6 |'),
        ('FT', [1, 2, 3, 4, 5], '| BiSSL+FT | 82.0 ± 1.6 |'),
    ],
)
def test_an_arm_with_divergent_runs_is_not_tested(tmp_path, capsys, arm, seeds, cell):
    path = experiment_files.write(tmp_path, seeds=5)
    session = Session(path, str(tmp_path / 'store'))
    work(Store(tmp_path / 'store'), session.graph, without_numbers([arm], seeds))
    session.report()
    names = capsys.readouterr().out.split()
    report = json.loads(Path(names[-1]).read_text())
    for row in report['tables'][0]['rows']:
        entry = row['tasks']['imagefolder-32px']
        assert entry['p_value'] is None and not entry['is_bold']
    text = Path(names[0]).read_text()
    assert cell in text.replace(' (+10.0)', '').replace(' (+9.5)', '')
    assert f'{len(seeds)} final runs gave no number' in text


def test_the_first_row_is_what_p_values_are_against():
    rows = {
        ('FT', None): dict(pets=Entry([], 2)),
        ('Twice', None): dict(pets=Entry([50.0, 51.0], 2)),
        ('BiSSL+FT', None): dict(pets=Entry([70.0, 71.0], 2)),
    }
    table = Table('', ['pets'], rows)
    put_tests(table)
    assert [row['pets'].p_value for row in table.rows.values()] == [None] * 3


def test_the_first_arm_of_the_file_is_the_first_row(tmp_path, capsys):
    """Also where it has no cell in the first column."""
    tasks = {name: dict(like='imagefolder-32px') for name in 'ab'}
    arms = {'FT': dict(tasks=['b']), 'BiSSL+FT': {}}
    _, found = reported(tmp_path, capsys, seeds=2, tasks=tasks, arms=arms)
    first, second = found['tables'][0]['rows']
    assert (first['arm'], second['arm']) == ('FT', 'BiSSL+FT')
    assert list(first['tasks']) == ['b']
    assert second['tasks']['b']['p_value'] is not None
    assert second['tasks']['a']['p_value'] is None
    assert any('Differences are to FT' in note for note in found['notes'])


def test_an_average_over_the_tasks_needs_all_of_them():
    rows = {
        ('FT', None): dict(dtd=Entry([50.0], 1), pets=Entry([60.0], 1)),
        ('whole', None): dict(dtd=Entry([52.0, 54.0], 2), pets=Entry([64.0], 2)),
        ('half', None): dict(dtd=Entry([59.0], 1), pets=Entry([], 1)),
    }
    table = Table('', ['dtd', 'pets'], rows)
    assert table.difference(('whole', None), 'dtd') == 3.0
    assert table.average_difference(('whole', None)) == 3.5
    assert table.average_difference(('half', None)) is None


class Finished:
    """A storage in which every run has the same result."""

    def __init__(self, **result):
        self._result = result

    def result(self, key):
        return self._result

    def done(self):
        return {'done'}


def test_the_tables_of_both_measures_have_the_published_numbers_of_their_own():
    experiment = SimpleNamespace(
        report=dict(published='tmlr.table1'),
        settings=[SimpleNamespace(name='', published='simclr')],
        tasks=[SimpleNamespace(name='dtd')],
        arms=[ARMS['FT'], ARMS['BiSSL+FT']],
    )
    store = Finished(
        test=60.0, metrics={'accuracy/top5': 90.0}, curve=[1.0], setting=dict(lr=1.0)
    )
    # What varies has no effect on FT.
    cells = [
        Cell('', 'dtd', arm, value, 'accuracy/top1', (), (key,))
        for arm, keys in (('FT', 'aa'), ('BiSSL+FT', 'bc'))
        for value, key in zip((1, 2), keys, strict=True)
    ]
    first, second = tables_of(experiment, cells, store)
    names = [('FT', None), ('BiSSL+FT', 1), ('BiSSL+FT', 2)]
    numbers = published('tmlr.table1')
    for table, measure, value in ((first, 'results', 60.0), (second, 'top5', 90.0)):
        assert list(table.rows) == names
        entry = table.rows['FT', None]['dtd']
        assert entry.values == [value]
        assert entry.paper == numbers.of('simclr', 'ft', 'dtd', measure=measure)
    assert first.rows['FT', None]['dtd'].paper != (85.8, 0.6)


def test_hours_of_finished_runs_are_those_of_the_others():
    labels = [dict(task='dtd', arm='FT', seed=seed) for seed in (1, 2, 3)]
    nodes = [
        Node(key, 'seed', label)
        for key, label in zip(('done', 'second', 'third'), labels, strict=True)
    ]
    graph = Graph([Node('stage', 'stage', dict(arm='FT')), *nodes])
    store = Finished(seconds=5400.0, device='a')
    hours = Hours(graph, store)
    assert hours.spent() == 1.5 and hours.devices == {'a': 1.5}
    assert hours.of(nodes[1]) == 1.5
    assert hours.left() == (3.0, dict(stage=1))
    content = content_of_time(SimpleNamespace(report={}), Graph(nodes), store)
    (_, rows), (_, tasks) = content.lists
    assert rows[1] == ['fine-tuning', '1.5', '3', '1', 'a']
    assert tasks[1] == ['dtd', 'FT', '1.5', '3']


def test_alignment_compares_each_backbone_with_its_fine_tuned_ones(tmp_path, capsys):
    report = dict(kind='alignment', published='tmlr.table9')
    nodes, found = reported(tmp_path, capsys, seeds=5, report=report)
    final = {n.key: n for n in nodes if n.kind == 'seed'}
    for node in nodes:
        if node.kind == 'features':
            own = {final[key].label['arm'] for key in node.spec['tuned']}
            assert own == {node.label['arm']} and len(node.spec['tuned']) == 5
            assert node.spec['source'] == final[node.spec['tuned'][0]].spec['source']
            assert set(node.parents) == {node.spec['source'], *node.spec['tuned']}
    assert all(n.spec['keep'] for n in final.values())
    first, second = found['tables']
    cells = [row['tasks']['imagefolder-32px'] for row in first['rows']]
    assert [c['mean'] for c in cells] == pytest.approx([90.2, 95.2])
    assert cells[1]['is_bold'] and cells[1]['p_value'] == pytest.approx(2 / 252)
    other = [row['tasks']['imagefolder-32px']['mean'] for row in second['rows']]
    assert other == pytest.approx([45.1, 47.6])
    text = (tmp_path / 'store/study.md').read_text()
    assert '| BiSSL+FT | **95.20 ± 0.16** (+5.00, p = 0.0079) |' in text
    assert '| FT | 90.20 | 45.10 |' in text
    page = (tmp_path / 'store/study.html').read_text()
    assert 't-SNE, imagefolder-32px' in page


def test_alignment_of_the_first_stage_counts_its_fine_tunings(tmp_path, capsys):
    report = dict(kind='alignment')
    _, found = reported(tmp_path, capsys, seeds=6, stages=2, report=report)
    for table in found['tables']:
        for row in table['rows']:
            cell = row['tasks']['imagefolder-32px']
            assert len(cell['values']) == cell['expected'] == 3
            assert cell['diverged'] == 0
    second = found['tables'][0]['rows'][1]['tasks']['imagefolder-32px']
    assert second['p_value'] == pytest.approx(0.1)
    assert not any('gave no number' in note for note in found['notes'])


def test_a_cosine_that_is_no_number_is_one_of_a_divergent_run(tmp_path, capsys):
    path = experiment_files.write(tmp_path, report=dict(kind='alignment'))
    session = Session(path, str(tmp_path / 'store'))

    def found(node, parents, place):
        result = invented(node, parents, place)
        if node.kind == 'features' and node.label['arm'] == 'FT':
            result['parameters'][0] = None
        return result

    work(Store(tmp_path / 'store'), session.graph, found)
    session.report()
    text = Path(capsys.readouterr().out.split()[0]).read_text()
    assert '| FT | 90.20 ± 0.10, 3 of 4 runs |' in text
    assert '1 final runs gave no number' in text


def test_features_alone_need_no_fine_tuning(tmp_path, capsys):
    nodes, found = reported(tmp_path, capsys, report=dict(kind='features'))
    assert [n.kind for n in nodes] == ['pretrain', 'stage', 'features', 'features']
    assert found['tables'] == [] and len(found['backbones']) == 2
    assert '| FT | 50.0 |' in (tmp_path / 'store/study.md').read_text()


LOG = '2026/01/01 {}:00:00 - mmengine - INFO - {}\n'


def test_hours_come_from_the_logs_of_all_starts(tmp_path, capsys):
    path = experiment_files.write(
        tmp_path, report=dict(kind='time', published='tmlr.table10')
    )
    session = Session(path, str(tmp_path / 'store'))
    store = Store(tmp_path / 'store')
    for node in session.graph:
        if node.kind == 'stage':
            for start, end in (('01', '03'), ('07', '08')):
                folder = store.run_folder(node.key) / start
                folder.mkdir()
                (folder / f'{start}.log').write_text(
                    LOG.format(start, 'Processes: 4 (x)') + LOG.format(end, 'end')
                )
        if node.kind == 'pretrain':
            folder = store.run_folder(node.key) / '02'
            folder.mkdir()
            (folder / '02.log').write_text(LOG.format('02', '') + LOG.format('05', ''))
    work(store, session.graph, invented)
    session.report()
    text = (tmp_path / 'store/study.md').read_text()
    assert '| pretraining | 3 [1464] | 1 | 1 | unknown |' in text
    # Three hours in two starts, on four devices.
    assert '| bilevel stage | 12 [83] | 1 | 4 | unknown |' in text
    assert '[1 to 9] | 14 | 1 | unknown |' in text


def test_released_backbone_and_head_bring_their_pixels(tmp_path):
    """By one path each; the content of the files counts, not their place."""
    keys, arms = [], ['FT', 'BiSSL+FT', 'Data mix']
    for folder, text in (('a', 'x'), ('b', 'x'), ('c', 'y')):
        files = {}
        (tmp_path / folder).mkdir()
        for part in ('backbone', 'head'):
            files[part] = str(tmp_path / folder / part)
            Path(files[part]).write_text(text if part == 'head' else 'x')
        settings = dict(experiment_files.SETTINGS, released=files)
        path = experiment_files.write(tmp_path, settings=settings, arms=arms)
        builder = build(path)
        graph = list(builder.graph())
        mix, stage = graph[:2]
        assert (mix.kind, stage.kind) == ('pretrain', 'stage')
        assert builder.config(stage.spec).model.unscaled_pixels
        mean = builder.config(mix.spec).model.data_preprocessor.mean
        assert mean == pytest.approx([0.485, 0.456, 0.406])
        for node in (mix, stage):
            assert [node.spec['file'], node.spec['head']] == list(files.values())
        tuned = next(n for n in graph if n.label['arm'] == 'FT')
        assert tuned.spec['file'] == files['backbone']
        keys.append((mix.key, stage.key))
    assert keys[0] == keys[1]
    assert not set(keys[0]) & set(keys[2])


def test_arm_for_some_tasks_alone(tmp_path):
    tasks = ['imagefolder-32px', 'masks-fcn8-128px']
    arms = {'FT': {}, 'BiSSL+FT': dict(tasks=['masks-fcn8-128px'])}
    cells = build(experiment_files.write(tmp_path, tasks=tasks, arms=arms)).cells
    assert [(cell.task, cell.arm) for cell in cells] == [
        ('imagefolder-32px', 'FT'),
        ('masks-fcn8-128px', 'FT'),
        ('masks-fcn8-128px', 'BiSSL+FT'),
    ]


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
    session.storage = session.experiment.name + '.py'
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match="'study.py' cannot be used"):
        session.status()


@pytest.mark.parametrize('number', [0, -1])
def test_no_workers_are_refused_before_anything(number, tmp_path):
    path = experiment_files.write(tmp_path)
    with pytest.raises(Refusal, match=f'--workers {number} is too small. Type 1'):
        Session(path, str(tmp_path / 'store'), workers=number).plan()


def test_images_that_a_list_names_are_looked_for_before_a_run(tmp_path, monkeypatch):
    make_folders(tmp_path)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'pretext'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(tmp_path / 'downstream'))
    names = ['circles/0.png', 'noise/1.png', 'noise/gone.png', 'a blank/2.png']
    blank = tmp_path / 'downstream/train/a blank'
    blank.mkdir()
    (blank / '2.png').touch()
    (tmp_path / 'list.txt').write_text(''.join(f'{name} 1\n' for name in names))
    key = 'train_dataloader.dataset.dataset.ann_file'
    options = dict(fine_tune={key: str(tmp_path / 'list.txt')})
    settings = dict(experiment_files.SETTINGS, options=options)
    path = experiment_files.write(tmp_path, settings=settings)
    session = Session(path, str(tmp_path / 'store'))
    with pytest.raises(Refusal, match="1 of its 4 images.*first '.*noise/gone.png'"):
        session.run()
    options['fine_tune'] = {'val_dataloader.dataset.dataset.classes': 'gone.txt'}
    path = experiment_files.write(tmp_path, settings=settings)
    with pytest.raises(Refusal, match="list of classes 'gone.txt' does not exist"):
        Session(path, str(tmp_path / 'store')).run()
    assert not (tmp_path / 'store').exists()


def test_published_numbers_are_those_of_the_papers():
    """Some cells, read off the text."""
    assert published('tmlr.table1').of('byol', 'bissl_ft', 'pets') == (80.1, 0.3)
    assert published('tmlr.table1').of('simclr', 'ft', 'dtd', measure='top5') == (
        85.8,
        0.6,
    )
    assert published('tmlr.table8').of('', 'pretext_downstream_sum', 'dtd', 0.25) == (
        62.2,
        0.3,
    )
    assert published('thesis.figure6_2').of('', 'bissl_ft', 'pets', 600) == (77.5, 0.3)
    assert 'without numbers' in published('tmlr.figure5').none
    with pytest.raises(Refusal, match="Did you mean 'tmlr.table1'"):
        published('tmlr.tabel1')
