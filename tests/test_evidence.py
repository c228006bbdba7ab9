"""The study's arms, lists and tables; accuracies are not tested."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from look_data import write_parts

from bissl_mm.experiments.commands import Session
from bissl_mm.experiments.definition.experiment import read_experiment
from bissl_mm.experiments.queue.store import Store
from bissl_mm.experiments.runs.graph import Builder

FOLDER = ROOT / 'benchmarks/evidence'


@pytest.fixture(scope='module')
def study():
    """Its modules."""
    sys.path.insert(0, str(FOLDER))
    try:
        import arms
        import best_tables
        import campaign
        import devices
        import experiment_file
        import kinds
        import looks
        import packs
        import regime
        import regime_tables
        import run
        import runs
        import store
        import study_tasks
        import tables
        import wide_tables

        yield SimpleNamespace(
            arms=arms,
            best_tables=best_tables,
            wide_tables=wide_tables,
            campaign=campaign,
            devices=devices,
            file=experiment_file,
            kinds=kinds,
            looks=looks,
            packs=packs,
            regime=regime,
            regime_tables=regime_tables,
            run=run,
            runs=runs,
            store=store,
            tables=tables,
            tasks=study_tasks,
        )
    finally:
        sys.path.remove(str(FOLDER))


def patched(study, arm):
    cfg = study.packs.read(study.packs.STAGE)
    study.arms.StageSettings(0.1, 0.06, 60).put(cfg)
    study.arms.STAGES[arm](cfg)
    return cfg


def test_arms_are_what_the_protocol_says(study):
    protocol = (FOLDER / 'PROTOCOL.md').read_text()
    found = {}
    for arm in study.arms.STAGES:
        assert arm in protocol
        # Applied twice, because a patch must not use itself up.
        patched(study, arm)
        cfg = patched(study, arm)
        wrapper = cfg.optim_wrapper
        found[arm] = (
            wrapper.regularizer.weight,
            wrapper.hypergradient.get('damping'),
            wrapper.hypergradient.solver.type,
            wrapper.get('direct_weight', 1.0),
            wrapper.get('indirect_weight', 1.0),
            wrapper.upper.optimizer.lr,
            cfg.train_cfg.num_alternations,
            cfg.train_cfg.num_lower_steps,
        )
    v = (0.1, 0.0, 'IdentitySolver', 1.0, 1.0, 0.06, 60, 10)
    assert found['v'] == v
    assert found['further'][0] == found['further-time'][0] == 0.0
    assert found['further-time'][6] == 80
    assert found['twice'][4] == 0.0 and found['twice'][7] == 0
    assert found['discard'][2] == 'DiscardSolver'
    assert found['published'][1:3] == (10.0, 'LayerwiseCGSolver')
    assert found['recommended'][1:3] == (1.0, 'RecyclingSolver')
    assert found['indirect-2x'][3] == 0.0
    for arm in ('twice-2x', 'discard-2x', 'indirect-2x'):
        assert found[arm][5] == 0.12
    for arm in ('twice', 'discard', 'published', 'recommended', 'sum'):
        assert found[arm][5] == 0.06
    assert patched(study, 'sum').model.share_backbone
    hooks = {h.type: h for h in patched(study, 'twice-2x').custom_hooks}
    assert hooks['ExportBackboneHook'].level == 'upper'
    assert (
        patched(study, 'recommended').optim_wrapper.hypergradient.curvature
        == 'gauss_newton'
    )
    for total in (0.3, 1):
        patch = patched(study, f'gn-{total}')
        own = patch.optim_wrapper.hypergradient
        assert np.isclose(own.damping + 0.1, total)
        assert own.curvature == 'gauss_newton' and own.num_batches == 2
    for arm in study.arms.ARMS:
        assert f'\n| {arm} | ' in protocol


def test_units_draw_labels_of_each_class(study, tmp_path):
    write_parts(tmp_path, number=9)
    pack = study.packs.Pack('own', str(tmp_path), 10, labels=4)
    drawn = []
    for unit in (0, 0, 1):
        cfg = study.packs.read(study.packs.FINE_TUNE)
        pack.put(cfg, unit, tmp_path / 'lists')
        lines = (
            Path(cfg.train_dataloader.dataset.dataset.ann_file).read_text().splitlines()
        )
        drawn.append(lines)
        assert len(set(lines)) == len(lines) == 12 == pack.number
        for number, kind in enumerate(pack.classes):
            own = [line for line in lines if line.startswith(f'{kind}/')]
            assert len(own) == 4
            assert all(line.endswith(f' {number}') for line in own)
        assert cfg.train_dataloader.batch_size == 12
        assert cfg.model.head.num_classes == 3
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.fixture
def own_images(study, tmp_path, monkeypatch):
    """A small set, and a short search of run.py."""
    write_parts(tmp_path / 'data', ['train', 'val', 'test'], number=4)
    write_parts(tmp_path / 'data', ['images'], number=90)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'data/images'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(tmp_path / 'data'))
    monkeypatch.setenv('BISSL_NUM_CLASSES', '3')
    for module in (study.run, study.tasks):
        monkeypatch.setattr(module, 'SEARCH', study.tasks.SEARCH[::7])
        monkeypatch.setattr(module, 'SEEDS', (1, 2))
    monkeypatch.setattr(study.kinds, 'LEAST_STEPS', 15)


GIVEN = ['--epochs', '2', '--alternations', '1', '--stages', '2', '--workers', '1']
VARIABLES = ('BISSL_PRETEXT_DIR', 'BISSL_DOWNSTREAM_DIR', 'BISSL_NUM_CLASSES')


def test_experiment_file_has_the_configs_of_the_command(
    study, own_images, tmp_path, monkeypatch
):
    """Of all arms. The folder has no part for validation, so a list is drawn."""
    root, file = tmp_path / 'data', tmp_path / 'own.py'
    shutil.rmtree(root / 'val')
    study.run.main([*GIVEN, '--experiment', str(file)])
    pack = study.kinds.own_pack('own', str(root), None, 3)
    settings = study.arms.StageSettings(num_alternations=1, **pack.stage)
    images, lists = str(root / 'images'), tmp_path / 'own_lists'
    theirs = {
        study.run.NAMES[arm]: study.runs.stage_config(
            arm, settings, pack, 0, images, lists
        )
        for arm in ('further', 'twice', 'v')
    }
    for name in VARIABLES:
        monkeypatch.delenv(name)
    builder = Builder(read_experiment(str(file)))
    seen = set()
    for node in builder.graph():
        if node.kind == 'pretrain':
            other = study.runs.pretrain_config(images, 2)
        elif node.kind == 'stage':
            other = theirs[node.label['arm']]
        else:
            other = study.runs.fine_tune_config('v', pack, 0, lists)
        own = builder.config(node.spec)
        for key in study.file.READ:
            if key == 'model' and node.kind == 'stage':
                # A run sets it.
                own.model.pretrained = other.model.pretrained
            assert own.get(key) == other.get(key), (node, key)
        seen.add((node.kind, node.label.get('arm')))
    assert len(seen) == 1 + 3 + 2 * 4


@pytest.mark.long
@pytest.mark.whole
def test_experiment_file_has_the_numbers_of_the_command(
    study, own_images, tmp_path, monkeypatch
):
    """Bit for bit: search, choice and final runs, on two stages."""
    arms = {'FT': 'FT', 'v': 'BiSSL+FT'}
    monkeypatch.setattr(study.run, 'NAMES', arms)
    monkeypatch.setattr(study.run.OwnPack, 'arms_of_tables', tuple(arms))
    monkeypatch.setattr(study.file, 'ARMS', dict.fromkeys(arms.values(), {}))
    for module in (study.run, study.tasks):
        monkeypatch.setattr(module, 'SEEDS', (1,))
    file, folder = tmp_path / 'own.py', tmp_path / 'run'
    study.run.main([*GIVEN, '--experiment', str(file)])
    study.run.main([*GIVEN, '--work-dir', str(folder)])
    # The file alone says everything.
    for name in VARIABLES:
        monkeypatch.delenv(name)
    session = Session(str(file), str(tmp_path / 'store'), workers=1)
    session.run()
    store = Store(tmp_path / 'store')
    ours = {}
    for node in session.graph:
        result = store.result(node.key)
        if node.kind in ('search', 'seed'):
            setting = result['setting']
            place = (node.label['arm'], node.spec['seed'], *setting.values())
            ours[place] = result['val'], result.get('test')
    theirs = {}
    for line in (folder / 'runs.jsonl').read_text().splitlines():
        record = json.loads(line)
        key = record['key']
        if key['kind'] in ('search', 'final'):
            arm, seed = arms[key['arm']], 100 * key['unit'] + key['seed']
            place = (arm, seed, key['lr'], key['weight_decay'])
            theirs[place] = record['val'], record.get('test')
    assert ours == theirs and len(theirs) == 2 * (2 * 2 + 2)
    assert len(set(theirs.values())) > 2


@pytest.mark.parametrize('diverged, tested', [(None, 3), ('twice', 2), ('v', 0)])
def test_command_plans_its_runs_and_reports_them(
    study, own_images, tmp_path, monkeypatch, capsys, diverged, tested
):
    """The training itself is that of the test below."""

    def run(campaign, steps, workers, done, libraries):
        while left := [
            task
            for step in steps
            for task in getattr(campaign, step)()
            if campaign.store.get(task) is None and campaign.is_ready(task)
        ]:
            task = left[0]
            if task.makes:
                task.makes.parent.mkdir(parents=True, exist_ok=True)
                task.makes.touch()
            val = 50.0 + 10 * (task.key.get('lr') == 0.3)
            result = dict(val=val, test=60.0 + (task.key.get('arm') == 'v'))
            if (task.key['kind'], task.key.get('arm')) == ('final', diverged):
                result['test'] = float('nan') if task.key['unit'] else 60.0
            campaign.store.add(task, result)
            done(task, result)

    monkeypatch.setattr(study.run, 'run', run)
    study.run.main([*GIVEN, '--work-dir', str(tmp_path / 'run')])
    shown = capsys.readouterr().out
    assert shown.count('BiSSL+FT +1.0, p = ') == tested
    # Two of the four: those of one stage.
    assert shown.count('no p value: 2 fine-tunings of the two') == 3 - tested
    text = (tmp_path / 'run/runs.jsonl').read_text()
    keys = [json.loads(line)['key'] for line in text.splitlines()]
    kinds = [key['kind'] for key in keys]
    numbers = dict(pretraining=1, stage=6, search=16, final=16)
    assert {kind: kinds.count(kind) for kind in kinds} == numbers
    assert {key['lr'] for key in keys if key['kind'] == 'final'} == {0.3}


@pytest.mark.long
@pytest.mark.whole
def test_own_images_from_pretraining_to_the_report(study, own_images, tmp_path, capsys):
    command = [
        '--epochs',
        '2',
        '--alternations',
        '1',
        '--stages',
        '2',
        '--workers',
        '1',
        '--work-dir',
        str(tmp_path / 'run'),
    ]
    study.run.main(command)
    shown = capsys.readouterr().out
    for name in study.run.NAMES.values():
        assert f'\n{name}' in shown
    assert shown.count('p = ') == 3
    records = (tmp_path / 'run/runs.jsonl').read_text()
    kinds = [json.loads(line)['key']['kind'] for line in records.splitlines()]
    assert [kinds.count(k) for k in ('pretraining', 'stage', 'search', 'final')] == [
        1,
        6,
        16,
        16,
    ]
    # The same command finds that everything is finished.
    study.run.main(command)
    assert (tmp_path / 'run/runs.jsonl').read_text() == records


def test_tables_compare_units_in_pairs(study, tmp_path):
    def record(arm, unit, seed, test):
        return dict(
            key=dict(
                kind='final',
                arm=arm,
                set='s',
                unit=unit,
                seed=seed,
                settings='',
                lr=1,
                weight_decay=1,
            ),
            val=0.0,
            test=test,
        )

    records = [
        record(arm, unit, seed, 50.0 + unit + seed + gain)
        for arm, gain in (('FT', 0.0), ('v', 2.0))
        for unit in range(6)
        for seed in range(5)
    ]
    records.append(records[0] | dict(test=99.0))
    path = tmp_path / 'runs.jsonl'
    path.write_text(''.join(json.dumps(r) + '\n' for r in records))
    found = study.tables.read(path)
    # A run that was repeated counts once, the first.
    assert len(found) == 60
    runs = study.tables.final_runs(found)['s']
    text = study.tables.compare(runs, 'v', 'FT')
    assert text.startswith('+2.0 | +2.0 to +2.0 | 0.031 | ')
    # Another six pretrainings have a table of their own.
    assert list(study.tables.by_group(runs)) == ['']
    more = {
        arm: found | {6 + u: [t + 10 for t in tests] for u, tests in found.items()}
        for arm, found in runs.items()
    }
    more['v'] = more['v'] | {11: [t - 4 for t in more['FT'][11]]}
    # An arm of the first six alone is not in the table of all.
    more['twice'] = runs['FT']
    groups = study.tables.by_group(more)
    assert [set(group) for group in groups.values()] == [
        {'FT', 'twice', 'v'},
        {'FT', 'v'},
        {'FT', 'v'},
    ]
    assert list(groups) == [
        f', units {text}' for text in ('0 to 5', '6 to 11', '0 to 11')
    ]
    first, second, both = (study.tables.compare(g, 'v', 'FT') for g in groups.values())
    assert first == text
    # Five differences of 2 and one of -4: 34 of 64 signs give a sum of 6 or more.
    assert second.startswith('+1.0 |') and second.split('|')[2] == ' 0.531 '
    assert both.startswith('+1.5 |')
    table = study.tables.table_of_arms(
        found, 's', groups[', units 6 to 11'], ('FT', 'v'), group=', units 6 to 11'
    )
    assert '### s, units 6 to 11\n' in table and '| FT | 64.5 ± 1.9 |' in table
    differences = [1.0, 2.0, 3.0]
    low, high = study.tables.interval(differences)
    # t(0.975, 2) = 4.3027.
    assert np.allclose(
        [low, high], [2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5], atol=1e-3
    )


def test_a_table_has_the_fine_tunings_of_one_search(study):
    def run(arm, unit, lr, test):
        key = dict(kind='final', arm=arm, settings='', set='s', unit=unit, lr=lr)
        return dict(key=dict(key, weight_decay=0.1, seed=0), test=test)

    groups = study.tables.GROUPS
    # Units 6 and 7 were looked at; of units 0 to 5 each group has its own search.
    early = [run('v', 6, 0.3, 50.0), run('v', 7, 0.3, 60.0)]
    whole = [run('v', unit, 0.1, 70.0) for unit in (6, 7, 8)]
    others = [run('v', 0, 0.3, 40.0), run('FT', 6, 0.3, 40.0)]
    assert study.looks.looks(early + whole + others, groups) == early
    assert study.looks.looks(whole + others, groups) == []
    rows = study.looks.text(early).splitlines()[-2:]
    assert rows == [
        '| s | v | 0.3 | 0.1 | 6 | 50.0 | 1 |',
        '| s | v | 0.3 | 0.1 | 7 | 60.0 | 1 |',
    ]
    assert study.looks.text([]) == ''
    with pytest.raises(ValueError, match='2 units each'):
        study.looks.looks(early + whole[:2], groups)


def campaign_of(study, folder, records=(), units=range(6), **given):
    folder.mkdir(exist_ok=True)
    (folder / 'runs.jsonl').write_text(''.join(json.dumps(r) + '\n' for r in records))
    return study.campaign.Campaign(
        SimpleNamespace(
            runs=folder / 'runs.jsonl',
            state=folder,
            units=units,
            **dict(
                sets=study.campaign.SETS,
                arms=('FT', 'FT-long', *study.arms.STAGES),
                factors=study.regime.FACTORS,
                data='packs',
            )
            | given,
        )
    )


def choices(study, best):
    """Records of a finished choice."""
    return [
        dict(
            key=dict(
                kind='choose',
                arm='v',
                settings=str(settings),
                set=name,
                unit=unit,
                seed=seed,
            ),
            val=60.0 + (settings == best),
            test=60.0,
        )
        for settings in study.regime.CHOICES
        for name in study.regime.DEVELOPMENT
        for unit in (0, 1)
        for seed in (1, 2, 3)
    ]


def test_committed_runs_are_found_again(study, tmp_path):
    records = study.tables.read(FOLDER / 'runs.jsonl')
    study_of = campaign_of(study, tmp_path, units=range(12))
    later = campaign_of(study, tmp_path / 'later', records, range(6, 12))
    keys = {
        json.dumps(task.key, sort_keys=True)
        for step in (study_of.pretrain, study_of.choose, later.others)
        for task in step()
    }
    known = [
        json.dumps(r['key'], sort_keys=True)
        for r in records
        if r['key']['kind'] in ('pretraining', 'stage', 'choose')
        and r['key'].get('arm', 'v') == 'v'
        and r['key'].get('epochs', 100) == 100
    ]
    assert len(known) > 2
    stages = [k for k in known if k not in keys]
    assert all(json.loads(k)['kind'] == 'stage' for k in stages)


def test_nothing_begins_with_a_file_that_has_no_record(study, tmp_path, monkeypatch):
    """Half of a pretraining's last file may be left by a kill."""

    class Pool:
        def __init__(self, *args):
            self.sent = []

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def submit(self, text, function):
            self.sent.append(text)

        def next(self):
            sizes.append(len(self.sent))
            return self.sent.pop(0), dict(val=1.0)

    sizes: list[int] = []
    monkeypatch.setattr(study.store, 'start_workers', Pool)
    steps = campaign_of(study, tmp_path, choices(study, study.arms.StageSettings()))
    tasks = list(steps.pretrain())[:1] + list(steps.common())[:1]
    makes, begins = tasks[0].makes, steps.begins_with(tasks[1])
    assert makes == begins
    makes.parent.mkdir(parents=True)
    makes.write_bytes(b'half')
    steps.only = lambda: tasks
    order = []
    study.store.run(
        steps, ['only'], 2, done=lambda task, result: order.append(task.key['kind'])
    )
    # The pretraining alone at first, although a second worker was free.
    assert order == ['pretraining', 'common'] and sizes == [1, 1]


def test_sets_and_arms_restrict_the_tables(study, tmp_path):
    records = choices(study, study.arms.StageSettings(0.1, 0.06, 60))

    def keys(step, **given):
        return [
            {k: task.key[k] for k in ('arm', 'set', 'unit')}
            for task in getattr(campaign_of(study, tmp_path, records, **given), step)()
            if task.key['kind'] == 'stage'
        ]

    every = keys('held_back')
    assert {k['set'] for k in every} == {'dtd5'} and len(every) == 6 * 11
    some = keys('held_back', arms=('FT', 'twice', 'v'))
    assert some == [k for k in every if k['arm'] in ('twice', 'v')]
    assert keys('held_back', sets=('cifar10-25',)) == []
    # One setting of fine-tuning for all, from the stages of the tables.
    found = campaign_of(study, tmp_path, records, arms=('FT', 'v'), sets=('dtd5',))
    tasks = list(found.common())
    runs = [task.key for task in tasks if task.key['kind'] == 'common']
    assert len(runs) == 2 * 6 * 5 and {k['arm'] for k in runs} == {'FT', 'v'}
    assert {(k['lr'], k['weight_decay']) for k in runs} == {(0.08, 0.002)}
    stages = [task.key for task in tasks if task.key['kind'] == 'stage']
    table = [t.key for t in found.held_back() if t.key['kind'] == 'stage']
    assert stages == table and len(stages) == 6
    # An estimate of each backbone of the table, once.
    estimates = [task.key for task in found.transfer()]
    arms = [k.get('arm', 'FT') for k in estimates]
    assert sorted(arms) == ['FT'] * 6 + ['v'] * 6
    assert {(k['kind'], k['set']) for k in estimates} == {('transfer', 'dtd5')}
    # The regime has its own arms.
    own = keys('regime', arms=('v',), sets=('cifar10-25',))
    assert {k['arm'] for k in own} == {'further', 'twice', 'v'}
    assert {k['set'].split('-')[0] for k in own} == {'cifar10'}
    # A part of it: labels, whose runs are a part of the whole's.
    part = keys('regime', sets=('cifar10-25',), factors=('labels',))
    assert all(k in own for k in part) and len(part) == 2 * 5 * 3
    assert own[: len(part) // 2] == part[: len(part) // 2]
    # The held-back set with few labels has no search.
    few = campaign_of(study, tmp_path, records, arms=('FT', 'v'), sets=('dtd5-5',))
    assert not list(few.held_back()) and not list(few.arms())
    assert {task.key['set'] for task in few.common()} == {'dtd5-5'}
    assert few.packs['dtd5-5'].labels == 5


def test_choices_are_in_the_order_of_their_means_over_runs(study):
    records = [
        dict(key=dict(kind='choose', settings=settings, set=name), val=val)
        for settings, name, val in (
            ('a', 's', 60.0),
            ('a', 's', 63.0),
            ('a', 't', 72.0),
            ('b', 's', 66.0),
            ('c', 't', 64.0),
        )
    ]
    assert study.tables.table_of_choices(records).splitlines()[4:] == [
        '| b | 66.0 | – | 66.0 | 1 |',
        '| a | 61.5 | 72.0 | 65.0 | 3 |',
        '| c | – | 64.0 | 64.0 | 1 |',
    ]


def test_a_search_passes_over_a_setting_that_diverged_once(study, tmp_path):
    records = choices(study, study.arms.StageSettings(0.1, 0.06, 60))

    def found(records):
        tasks = campaign_of(study, tmp_path, records, range(6, 12), arms=('FT',))
        return [t.key for t in tasks.arms() if t.key['kind'] in ('search', 'final')]

    keys = found(records)
    settings = list(dict.fromkeys((k['lr'], k['weight_decay']) for k in keys))
    for key in keys:
        number = settings.index((key['lr'], key['weight_decay']))
        val = {0: 99.0, 2: 60.0}.get(number, 50.0)
        if number == 0 and key['unit'] == 7:
            val = float('nan')
        records.append(dict(key=key, val=val))
    final = [k for k in found(records) if k['kind'] == 'final']
    assert final and {(k['lr'], k['weight_decay']) for k in final} == {settings[2]}


@pytest.mark.parametrize('arm, share', [('v', 1.0), ('FT-long', 1.8)])
def test_fine_tunings_have_the_unit_of_their_stage(
    study, tmp_path, monkeypatch, arm, share
):
    write_parts(tmp_path, number=9)
    pack = study.packs.Pack('own', str(tmp_path), 10, labels=4)
    given = []
    monkeypatch.setattr(study.runs, 'timed_fine_tune', lambda *args: given.append(args))
    setting, lists = study.runs.Setting(0.1, 0.2), tmp_path / 'lists'
    study.runs.fine_tune(
        arm, pack, 2, Path('a.pth'), setting, 3, lists, tmp_path, False
    )
    cfg, *others = given[0]
    assert others == ['a.pth', setting, 203, str(tmp_path), pack.metric, False]
    assert cfg.train_dataloader.dataset.dataset.ann_file.endswith('own-u2.txt')
    # FT-long has the upper steps of a stage besides.
    assert cfg.train_cfg.max_epochs == round(share * pack.epochs)
    assert cfg.param_scheduler.end == cfg.train_cfg.max_epochs
    looks = cfg.train_cfg.max_epochs / cfg.train_cfg.val_interval
    assert looks == pytest.approx(pack.evaluations, rel=0.2)


def regime_records(frozen, kind, values, **changed):
    """Records of arms at settings that differ from the frozen ones."""
    return [
        dict(
            key=dict(
                kind=kind,
                arm=arm,
                set='sign_digits-5',
                unit=unit,
                settings=str(replace(frozen, **changed)),
            ),
            **numbers,
        )
        for arm, unit, numbers in values
    ]


def test_cells_of_the_regime_are_over_the_units_that_v_has(study):
    frozen = study.arms.StageSettings(0.03, 0.06, 30)
    found = dict(v={0: 60.0, 1: 70.0}, further={0: 58.0, 2: 90.0}, twice={1: 66.0})
    records = regime_records(
        frozen,
        'regime',
        [(arm, u, dict(test=x)) for arm, own in found.items() for u, x in own.items()],
    )
    records += regime_records(
        frozen, 'regime', [('v', 0, dict(test=61.0))], num_alternations=5
    )
    results = study.regime_tables.Results(records, frozen)
    assert results.gain(frozen, 'sign_digits-5', 'further') == 2.0
    assert results.gain(frozen, 'sign_digits-5', 'twice') == 4.0
    rows = study.regime_tables.text(results).splitlines()
    (row,) = [row for row in rows if row.startswith('| 30 |')]
    assert row.split('|', 3)[3] == ' – | 58.0 | 66.0 | 65.0 | +2.0 | +4.0 | 2 |'


def test_an_estimate_is_held_against_the_stages_of_its_unit(study):
    frozen = study.arms.StageSettings(0.03, 0.06, 30)
    records = []
    for unit, estimates in ((0, (1, 2, 3, 5, 4)), (1, (5, 4, 3, 2, 1))):
        for i, estimate in enumerate(estimates):
            weight = dict(reg_weight=study.regime.WEIGHTS[i])
            numbers = dict(
                regime=dict(test=60.0 + i + 20 * unit),
                stage=dict(neighbours=[[0, 9.0], [30, 99.0 if i == 0 else 0.0]]),
                transfer=dict(neighbours=float(estimate)),
            )
            # What is measured anew goes before what the stage said.
            for kind, own in numbers.items():
                records += regime_records(frozen, kind, [('v', unit, own)], **weight)
    # Fine-tuning alone is no stage.
    for kind, own in (('regime', dict(test=0.0)), ('transfer', dict(neighbours=99.0))):
        records += regime_records(frozen, kind, [('FT', 0, own)])
    rows = study.regime_tables.correlations(
        study.regime_tables.Results(records, frozen)
    ).splitlines()
    assert rows[4:] == [
        '| sign_digits-5 | 0 | 5 | 0.90 | 63.0 | 62.0 | 64.0 |',
        '| sign_digits-5 | 1 | 5 | -1.00 | 80.0 | 82.0 | 84.0 |',
    ]


def test_estimates_stand_beside_the_accuracy_of_their_units(study):
    def record(kind, arm, unit, **values):
        own = dict(settings='a', arm=arm) if arm != 'FT' or kind == 'final' else {}
        key = dict(kind=kind, set='s', unit=unit, **own)
        if arm == 'FT' and kind == 'final':
            key['settings'] = ''
        return dict(key=key, **values)

    records = [
        record('final', arm, unit, test=60.0 + unit + (arm == 'v'))
        for arm in ('FT', 'v')
        for unit in (6, 7)
    ]
    records += [
        record('transfer', 'FT', 6, neighbours=40.0),
        record('transfer', 'v', 6, neighbours=50.0),
        record('transfer', 'v', 7, neighbours=54.0),
    ]
    # Of another setting, set, or length of pretraining.
    for key in (dict(settings='b'), dict(set='t'), dict(epochs=20)):
        other = record('transfer', 'v', 7, neighbours=0.0)
        other['key'] |= key
        records.append(other)
    # A setting that another set alone has fine-tunings of.
    elsewhere = record('final', 'v', 7, test=0.0)
    elsewhere['key'] |= dict(settings='b', set='t')
    records.append(elsewhere)
    runs = study.tables.final_runs(records)
    text = study.tables.table_of_estimates(records, 's', runs['s'])
    assert text.splitlines()[4:] == [
        '| FT | 40.0 | 66.0 | 1 |',
        '| v | 52.0 | 67.5 | 2 |',
    ]
    assert study.tables.table_of_estimates(records[:4], 's', runs['s']) == ''


@pytest.mark.parametrize('card', ['NVIDIA H100', None])
def test_records_name_the_gpu_and_tables_keep_its_times_apart(
    study, tmp_path, monkeypatch, card
):
    monkeypatch.setattr(study.store.torch.cuda, 'is_available', lambda: bool(card))
    monkeypatch.setattr(study.store.torch.cuda, 'get_device_name', lambda: card)
    store = study.store.Store(tmp_path / 'runs.jsonl', tmp_path / 'state')
    key = dict(arm='v', set='s', unit=0, settings='a')
    for kind in ('stage', 'final'):
        task = study.store.Task(dict(key, kind=kind), dict)
        store.add(task, dict(seconds=9.0, cpu_seconds=5.0))
    records = study.tables.read(tmp_path / 'runs.jsonl')
    assert [record.get('device') for record in records] == [card, card]
    times = study.devices.seconds(records, 's', 'v', [0])
    assert times == ('– / 9' if card else '5 / –')
    places = study.devices.places(records, 'final', 's', 'v', [0])
    assert places == ('0 / 1' if card else '1 / 0')
    assert study.devices.seconds(records, 's', 'v', [6]) == '– / –'
    assert study.devices.places(records, 'final', 's', 'v', [6]) == '0 / 0'


def test_committed_pretrainings_are_taken(study, tmp_path):
    folder = tmp_path / 'pretrainings'
    folder.mkdir()
    for unit in (6, 7):
        (folder / f'unit-{unit}.pth').write_text(f'new {unit}')
    records = [
        dict(key=dict(kind='pretraining', unit=unit, epochs=100)) for unit in (6, 8)
    ]
    found = campaign_of(study, tmp_path / 'state', records, range(6, 9))
    tasks = list(found.pretrain())
    tasks[1].makes.parent.mkdir()
    tasks[1].makes.write_text('old 7')
    found.take_pretrainings(folder)
    assert tasks[0].makes.read_text() == 'new 6'
    assert tasks[1].makes.read_text() == 'old 7'
    # The file alone is no finished run, nor is a record without its file.
    assert [found.store.get(task) is not None for task in tasks] == [True, False, False]


def test_steps_wait_for_the_choice_and_repeat_nothing(study, tmp_path):
    with pytest.raises(SystemExit, match='step choose'):
        next(campaign_of(study, tmp_path).regime())
    best = study.arms.StageSettings(0.1, 0.06, 60)
    found = campaign_of(study, tmp_path, choices(study, best))
    for step in ('arms', 'regime', 'jacobian', 'best'):
        tasks = list(getattr(found, step)())
        stages = [str(t.makes) for t in tasks if 'stage' in t.key['kind']]
        assert stages and len(set(stages)) == len(stages), step
        keys = [
            json.dumps(t.key, sort_keys=True)
            for t in tasks
            if t.key['kind'] not in ('pretraining', 'choose')
        ]
        assert len(set(keys)) == len(keys), step
    regime = list(found.regime())
    # At least 120 stages, and all factors of the protocol.
    stages = [t.key for t in regime if t.key['kind'] == 'stage']
    assert len(stages) >= 120
    assert {k['arm'] for k in stages} == {'further', 'twice', 'v'}
    assert {k.get('epochs', 100) for k in stages} == {5, 20, 100, 200}
    grid = {k['settings'] for k in stages if k['arm'] == 'v'}
    for time in study.regime.TIMES:
        for weight in study.regime.WEIGHTS:
            assert str(study.arms.StageSettings(weight, 0.06, time)) in grid
    # Later pretrainings leave the choice as it was made.
    later = campaign_of(study, tmp_path, choices(study, best), range(6, 12))
    tasks = [*later.regime(), *later.arms()]
    assert {t.key['unit'] for t in tasks if t.key['kind'] == 'regime'} == {6, 7}
    assert {t.key['unit'] for t in tasks if t.key['kind'] == 'search'} == {6, 7, 8}
    assert not any(t.key['kind'] == 'choose' for t in tasks)
    more = [dict(key=t.key, val=99.0) for t in later.choose() if 'seed' in t.key]
    assert study.regime.chosen(choices(study, best) + more) == best
    # Training twice does not depend on lambda.
    assert all(
        'reg_weight=0.1,' in k['settings'] for k in stages if k['arm'] == 'twice'
    )


def test_the_longer_stage_has_arms_of_its_own(study, tmp_path):
    best = study.arms.StageSettings(0.01, 0.06, 60)
    longer = campaign_of(study, tmp_path, choices(study, best), range(6, 12)).longer()
    keys = [task.key for task in longer if task.key['kind'] == 'stage']
    assert {key['settings'] for key in keys} == {
        str(study.arms.StageSettings(0.03, 0.06, 200))
    }
    assert {key['arm'] for key in keys} == {'further-long', 'twice-long', 'v-long'}
    assert {key['unit'] for key in keys} == set(range(6, 12))
    assert list(dict.fromkeys(key['set'] for key in keys)) == [
        'sign_digits-5',
        'cifar10-25',
        'dtd5',
    ]
    assert len(keys) == 3 * 6 * 3
    for kind in ('further', 'twice', 'v'):
        as_long = patched(study, f'{kind}-long').to_dict()
        assert patched(study, kind).to_dict() == as_long


def test_the_wide_search_has_every_rate_on_every_unit(study, tmp_path):
    best = study.arms.StageSettings(0.01, 0.06, 60)
    found = campaign_of(study, tmp_path, choices(study, best), range(6, 12))
    tasks = [*found.wide()]
    runs = [task.key for task in tasks if task.key['kind'] == 'wide']
    sets = list(dict.fromkeys(key['set'] for key in runs))
    assert sets == ['dtd5', 'sign_digits-5', 'cifar10-25', 'bccd', 'camvid']
    for name in sets:
        arms = {'FT', 'further', 'twice', 'v'} | (
            set() if name in ('bccd', 'camvid') else {'twice-2x'}
        )
        own = [key for key in runs if key['set'] == name]
        assert {key['arm'] for key in own} == arms
        assert len(own) == len(arms) * 6 * 4 * 3
    # From the stages of the tables of arms.
    table = {t.makes for t in found.held_back() if t.key['kind'] == 'stage'}
    own = {
        t.makes for t in tasks if t.key['kind'] == 'stage' and 'dtd5' in str(t.makes)
    }
    assert len(own) == 6 * 4 and own <= table


def wide_records(values: dict) -> list[dict]:
    """Of an arm, a rate and a unit the validation and the test accuracy."""
    return [
        dict(
            key=dict(
                kind='wide', arm=arm, set='dtd5', unit=unit, lr=lr, weight_decay=0.002,
                seed=seed,
            ),
            val=val,
            test=test,
        )
        for (arm, lr, unit), (val, test) in values.items()
        for seed in (1, 2)
    ]  # fmt: skip


def test_the_wide_search_takes_the_rate_by_validation_over_all_units(study):
    wide = study.wide_tables
    records = wide_records(
        {
            ('v', 0.1, 6): (60, 50), ('v', 0.1, 7): (70, 51),
            ('v', 0.2, 6): (66, 40), ('v', 0.2, 7): (63, 41),
            ('FT', 0.1, 6): (61, 30), ('FT', 0.1, 7): (62, 31),
            ('FT', 0.2, 6): (60, 99), ('FT', 0.2, 7): (float('nan'), float('nan')),
        }
    )  # fmt: skip
    found = wide.cells(records)
    # The rate with the best unit, or the best test, is not taken.
    assert wide.chosen(found) == {
        ('dtd5', 'v'): (0.1, 0.002),
        ('dtd5', 'FT'): (0.1, 0.002),
    }
    kept = study.tables.final_runs(wide.of_tables(records), 'wide')['dtd5']
    assert {arm: dict(units) for arm, units in kept.items()} == {
        'v': {6: [50, 50], 7: [51, 51]},
        'FT': {6: [30, 30], 7: [31, 31]},
    }
    lines = wide.grid(records, 'dtd5', ('FT', 'twice', 'v')).splitlines()
    assert lines[2] == '| FT | **61.5, 30.5** | nan, nan |'
    assert lines[3] == '| v | **65.0, 50.5** | 64.5, 40.5 |' and len(lines) == 4
    # An arm whose runs are not all there is in no table.
    part = [r for r in records if r['key'] != records[0]['key']]
    assert set(wide.cells(part)) == {('dtd5', 'FT')}
    assert set(study.tables.final_runs(wide.of_tables(part), 'wide')['dtd5']) == {'FT'}
    # Other records stay.
    other = dict(key=dict(kind='final', arm='v', set='dtd5', unit=6), test=1)
    assert other in wide.of_tables([other])


@pytest.mark.whole
def test_tables_of_the_regime(study, tmp_path):
    frozen = study.arms.StageSettings(0.03, 0.06, 30)
    assert study.arms.StageSettings.parse(str(frozen)) == frozen
    records = choices(study, frozen)
    gains = {}
    for unit in (0, 1):
        for task in campaign_of(study, tmp_path / str(unit), records).regime():
            key = task.key
            if key['kind'] == 'regime' and key['unit'] == unit:
                settings = study.arms.StageSettings.parse(
                    key['settings'] or str(frozen)
                )
                gain = dict(FT=-2.0, further=0.0, twice=1.0).get(
                    key['arm'], 1 + settings.reg_weight + unit
                )
                gains[key['settings'], key['set']] = gain
                records.append(dict(key=key, val=0.0, test=60.0 + gain))
    results = study.regime_tables.Results(records, frozen)
    assert study.tables.chosen(records) == frozen
    # Where the regime has units of its own, those of the choice are no part of it.
    moved = [
        dict(r, key=dict(r['key'], unit=6 + r['key']['unit']))
        for r in records
        if r['key']['kind'] == 'regime'
    ]
    own = study.regime_tables.Results(
        records[: len(choices(study, frozen))] + moved, frozen
    )
    assert own.units == [6, 7] and results.units == [0, 1]
    assert not own.at('v', frozen, 'sign_digits-5')
    assert 'Means over units 6 and 7 of' in study.regime_tables.text(own)
    strong = study.arms.StageSettings(1.0, 0.06, 5)
    name = 'sign_digits-5'
    # 1 + lambda + unit, the mean over units, over 0 and over 1.
    assert np.isclose(results.gain(strong, name, 'further'), 2.5)
    assert np.isclose(results.gain(strong, name, 'twice'), 1.5)
    assert results.gain(strong, 'dtd5', 'further') is None
    # lambda * lr / (1 - momentum) * steps / 2, except at the schedule's ends.
    assert np.isclose(
        study.regime_tables.relaxation_times(frozen),
        0.03 * 0.15 / 0.1 * 300 / 2,
        rtol=0.06,
    )
    text = study.regime_tables.text(results)
    assert '| 1.0 | ' in text and '+2.5 | +1.5 | 2 |' in text
    # A factor that was not run yet has no table, and one point is no map.
    labels = [
        r
        for r in moved
        if r['key']['set'].startswith('sign_digits') and 'epochs' not in r['key']
        if r['key']['settings'] in ('', str(frozen))
    ]
    short = study.regime_tables.Results(choices(study, frozen) + labels, frozen)
    found = study.regime_tables.text(short)
    assert found.count('| --- ') == 9 and '| labels a class | R |' in found
    assert study.regime_tables.heat_maps(short, tmp_path / 'none') == []
    paths = study.regime_tables.heat_maps(results, tmp_path)
    assert [p.name for p in paths] == [
        'regime-cifar10-25.png',
        'regime-sign_digits-5.png',
    ]
    # Stages have an estimate of their own, but for those that export theta_D.
    ends = [
        dict(key=dict(r['key'], kind='stage'), neighbours=[[0, 1.0], [30, r['test']]])
        for r in records
        if r['key']['kind'] == 'regime' and r['key']['arm'] != 'FT'
    ]
    for record in ends:
        for name in ('lr', 'weight_decay', 'seed'):
            record['key'].pop(name)
    stages = study.regime_tables.Results(records + ends, frozen)
    assert {point.arm for point, _ in stages.estimates} == {'further', 'v'}
    row = study.regime_tables.correlations(stages).splitlines()[4]
    assert [cell.strip() for cell in row.split('|')][4] == '1.00'
    # An earlier alternation is held against the last one of the same stage, where
    # there is one.
    assert study.best_tables.table(results, records) == ''
    strongest = study.arms.StageSettings(0.3, 0.06, 30)
    longer = study.arms.StageSettings(0.03, 0.06, 77)
    for settings, taken in ((strongest, 12), (longer, 70)):
        key = dict(arm='v', settings=str(settings), set='sign_digits-5', unit=1)
        records.append(dict(key=dict(key, kind='best-stage'), alternation=taken))
        for seed, accuracy in enumerate((63.0, 64.0)):
            # 60 and 1 + lambda + unit, see above.
            final = dict(key, kind='best', lr=0.1, weight_decay=0.0, seed=seed)
            records.append(dict(key=final, test=accuracy))
    found = study.best_tables.table(results, records).splitlines()[4:]
    assert found == [
        '| sign_digits-5 | 30 | 0.3 | 1 | 12 | 63.5 | 62.3 | +1.2 |',
        '| sign_digits-5 | 77 | 0.03 | 1 | 70 | 63.5 | – | – |',
    ]
    # The estimate follows the accuracy in unit 0 and contradicts it in 1.
    for record in [r for r in records if r['key']['kind'] == 'regime']:
        key = {
            k: v
            for k, v in record['key'].items()
            if k not in ('lr', 'weight_decay', 'seed')
        }
        sign = 1 if key['unit'] == 0 else -1
        records.append(
            dict(key=dict(key, kind='transfer'), neighbours=sign * record['test'])
        )
    rows = study.regime_tables.correlations(
        study.regime_tables.Results(records, frozen)
    ).splitlines()[4:]
    for row in rows:
        cells = [cell.strip() for cell in row.split('|')[1:-1]]
        assert abs(float(cells[3])) > 0.9
        assert (float(cells[3]) > 0) == (cells[1] == '0')
