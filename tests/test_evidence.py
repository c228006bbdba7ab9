"""The study's arms, lists and tables; no accuracy is judged."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from look_data import write_parts

FOLDER = ROOT / 'benchmarks/evidence'


@pytest.fixture(scope='module')
def study():
    """Its modules."""
    sys.path.insert(0, str(FOLDER))
    try:
        import arms
        import campaign
        import packs
        import run
        import runs
        import tables
        yield SimpleNamespace(arms=arms, campaign=campaign, packs=packs,
                              run=run, runs=runs, tables=tables)
    finally:
        sys.path.remove(str(FOLDER))


def patched(study, arm):
    cfg = study.packs.read(study.packs.STAGE)
    study.arms.StageSettings(0.1, 0.06, 60).put(cfg)
    study.arms.STAGES[arm](cfg)
    return cfg


def test_arms_are_what_the_protocol_says(study):
    found = {}
    for arm in study.arms.STAGES:
        # Twice: a patch must not use itself up.
        patched(study, arm)
        cfg = patched(study, arm)
        wrapper = cfg.optim_wrapper
        found[arm] = (
            wrapper.reg_weight, wrapper.get('damping'), wrapper.solver.type,
            wrapper.get('direct_weight', 1.),
            wrapper.get('indirect_weight', 1.),
            wrapper.upper.optimizer.lr, cfg.train_cfg.num_alternations,
            cfg.train_cfg.num_lower_steps)
    v = (0.1, 0., 'IdentitySolver', 1., 1., 0.06, 60, 10)
    assert found['v'] == v
    assert found['further'][0] == found['further-time'][0] == 0.
    assert found['further-time'][6] == 80
    assert found['twice'][4] == 0. and found['twice'][7] == 0
    assert found['discard'][2] == 'DiscardSolver'
    assert found['published'][1:3] == (10., 'LayerwiseCGSolver')
    assert found['recommended'][1:3] == (1., 'RecyclingSolver')
    assert found['indirect-2x'][3] == 0.
    for arm in ('twice-2x', 'discard-2x', 'indirect-2x'):
        assert found[arm][5] == 0.12
    for arm in ('twice', 'discard', 'published', 'recommended', 'sum'):
        assert found[arm][5] == 0.06
    assert patched(study, 'sum').model.share_backbone
    hooks = {h.type: h for h in patched(study, 'twice-2x').custom_hooks}
    assert hooks['ExportBackboneHook'].level == 'upper'
    assert patched(study, 'recommended').optim_wrapper.curvature \
        == 'gauss_newton'
    protocol = (FOLDER / 'PROTOCOL.md').read_text()
    for arm in study.arms.ARMS:
        assert f'\n| {arm} | ' in protocol


def test_units_draw_labels_of_each_class(study, tmp_path):
    write_parts(tmp_path, number=9)
    pack = study.packs.Pack('own', str(tmp_path), 10, labels=4)
    drawn = []
    for unit in (0, 0, 1):
        cfg = study.packs.read(study.packs.FINE_TUNE)
        pack.put(cfg, unit, tmp_path / 'lists')
        lines = Path(cfg.train_dataloader.dataset.dataset.ann_file
                     ).read_text().splitlines()
        drawn.append(lines)
        assert len(set(lines)) == len(lines) == 12 == pack.number
        for number, kind in enumerate(pack.classes):
            own = [line for line in lines if line.startswith(f'{kind}/')]
            assert len(own) == 4
            assert all(line.endswith(f' {number}') for line in own)
        assert cfg.train_dataloader.batch_size == 12
        assert cfg.model.head.num_classes == 3
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.whole
def test_own_images_from_pretraining_to_the_report(
        study, tmp_path, monkeypatch, capsys):
    write_parts(tmp_path / 'data', ['train', 'val', 'test'], number=4)
    write_parts(tmp_path / 'data', ['images'], number=90)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'data/images'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(tmp_path / 'data'))
    monkeypatch.setenv('BISSL_NUM_CLASSES', '3')
    monkeypatch.setattr(study.run, 'SEARCH', study.campaign.SEARCH[::7])
    monkeypatch.setattr(study.campaign, 'SEARCH',
                        study.campaign.SEARCH[::7])
    monkeypatch.setattr(study.campaign, 'SEEDS', (1, 2))
    monkeypatch.setattr(study.run, 'SEEDS', (1, 2))
    monkeypatch.setattr(study.run, 'LEAST_STEPS', 15)
    command = ['--epochs', '2', '--alternations', '1', '--stages', '2',
               '--workers', '1', '--work-dir', str(tmp_path / 'run')]
    study.run.main(command)
    shown = capsys.readouterr().out
    for name in study.run.NAMES.values():
        assert f'\n{name}' in shown
    assert shown.count('p = ') == 3
    records = (tmp_path / 'run/runs.jsonl').read_text()
    kinds = [json.loads(line)['key']['kind']
             for line in records.splitlines()]
    assert [kinds.count(k) for k in (
        'pretraining', 'stage', 'search', 'final')] == [1, 6, 16, 16]
    # The same command finds everything finished.
    study.run.main(command)
    assert (tmp_path / 'run/runs.jsonl').read_text() == records


def test_tables_compare_units_in_pairs(study, tmp_path):
    def record(arm, unit, seed, test):
        return dict(key=dict(kind='final', arm=arm, set='s', unit=unit,
                             seed=seed, settings='', lr=1, weight_decay=1),
                    val=0., test=test)

    records = [record(arm, unit, seed, 50. + unit + seed + gain)
               for arm, gain in (('FT', 0.), ('v', 2.))
               for unit in range(6) for seed in range(5)]
    records.append(records[0] | dict(test=99.))
    path = tmp_path / 'runs.jsonl'
    path.write_text(''.join(json.dumps(r) + '\n' for r in records))
    found = study.tables.read(path)
    # A run that was repeated counts once, the first.
    assert len(found) == 60
    runs = study.tables.final_runs(found)['s']
    text = study.tables.compare(runs, 'v', 'FT')
    assert text.startswith('+2.0 | +2.0 to +2.0 | 0.031 | ')
    differences = [1., 2., 3.]
    low, high = study.tables.interval(differences)
    # t(0.975, 2) = 4.3027.
    assert np.allclose([low, high], [2 - 4.3027 / 3**.5, 2 + 4.3027 / 3**.5],
                       atol=1e-3)
