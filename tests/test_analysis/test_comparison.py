"""Budgets and bookkeeping of a comparison."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config

from bissl_mm.analysis import permutation_test, report
from bissl_mm.analysis.demo.digits import write_digits
from bissl_mm.analysis.features import nearest_neighbour_accuracy
from bissl_mm.analysis.json_file import write_json
from bissl_mm.analysis.permutation_test import significance
from bissl_mm.analysis.runs import fine_tune
from bissl_mm.analysis.runs.arms import ArmResult, Setting, draw_settings
from bissl_mm.analysis.runs.best_epoch import percent
from bissl_mm.analysis.runs.comparison import compare
from bissl_mm.analysis.runs.needed_parts import check_parts
from bissl_mm.analysis.scalars import read_scalars


def test_settings_are_log_uniform_and_repeatable():
    settings = draw_settings(400, (1e-4, 1.0), (1e-5, 1e-2), 3)
    assert settings == draw_settings(400, (1e-4, 1.0), (1e-5, 1e-2), 3)
    logs = np.log10([s.lr for s in settings])
    assert logs.min() > -4 and logs.max() < 0
    # A quarter of them in each decade.
    counts = np.histogram(logs, bins=[-4, -3, -2, -1, 0])[0]
    assert counts.min() > 70


def test_settings_of_a_grid_are_all_its_points_or_some_of_them():
    grid = draw_settings(6, (1e-3, 1e-1), (1e-4, 1e-2), 0, (3, 2))
    assert [(s.lr, s.weight_decay) for s in grid] == [
        pytest.approx((lr, decay))
        for lr in (1e-3, 1e-2, 1e-1)
        for decay in (1e-4, 1e-2)
    ]
    some = draw_settings(4, (1e-3, 1e-1), (1e-4, 1e-2), 0, (3, 2))
    assert len(some) == 4 and all(s in grid for s in some)
    assert len({(s.lr, s.weight_decay) for s in some}) == 4
    assert some == draw_settings(4, (1e-3, 1e-1), (1e-4, 1e-2), 0, (3, 2))


def test_each_arm_gets_the_same_budget_and_its_own_choice(monkeypatch, tmp_path):
    calls = []

    def fake(cfg, checkpoint, setting, seed, work_dir, metric, test=True, inspect=None):
        calls.append((checkpoint, setting.lr, seed, test))
        good = 0.1 if checkpoint == 'a' else 0.2
        val = 50.0 + 10 * (setting.lr == good)
        return dict(val=val, test=val + seed)

    monkeypatch.setattr(fine_tune, 'fine_tune', fake)
    settings = [Setting(lr, 0.0) for lr in (0.1, 0.2, 0.3)]
    outcome = compare(None, dict(A='a', B='b'), settings, [1, 2], str(tmp_path))
    for name in ('a', 'b'):
        mine = [c[1:] for c in calls if c[0] == name]
        assert [c[0] for c in mine[:3]] == [0.1, 0.2, 0.3]
        assert all(seed == 0 and not test for _, seed, test in mine[:3])
        assert [c[1] for c in mine[3:]] == [1, 2]
    assert [a['setting']['lr'] for a in outcome['arms']] == [0.1, 0.2]
    assert outcome['difference'] == 0.0 and outcome['p_value'] == 1.0
    json.dumps(outcome)


def test_seeds_are_shared_out_among_the_backbones_of_an_arm(monkeypatch, tmp_path):
    calls = []

    def fake(cfg, checkpoint, setting, seed, *args, **kwargs):
        calls.append((checkpoint, seed))
        return dict(val=50.0, test=50.0)

    monkeypatch.setattr(fine_tune, 'fine_tune', fake)
    compare(
        None,
        dict(A='a', B=['b1', 'b2', 'b3']),
        [Setting(0.1, 0.0)],
        range(1, 7),
        str(tmp_path),
    )
    assert sorted(calls) == [
        *(('a', seed) for seed in range(7)),
        ('b1', 0),
        ('b1', 1),
        ('b1', 2),
        ('b2', 3),
        ('b2', 4),
        ('b3', 5),
        ('b3', 6),
    ]
    # 49 * (2 / 98) is below 1.
    calls.clear()
    seeds = range(1, 99)
    compare(None, dict(A=['a', 'b']), [Setting(0.1, 0.0)], seeds, str(tmp_path))
    assert [name for name, _ in calls[1:]] == ['a'] * 49 + ['b'] * 49


def test_the_difference_is_the_second_arm_minus_the_first(monkeypatch, tmp_path):
    found, words = outcome_of(
        {('b', seed): 60.0 + seed for seed in (1, 2, 3)}, monkeypatch, tmp_path
    )
    assert [arm['mean'] for arm in found['arms']] == [52.0, 62.0]
    assert found['difference'] == 10.0
    # Two of the 20 assignments are as extreme.
    assert found['p_value'] == pytest.approx(2 / 20)
    assert words == 'exact permutation test, p = 0.1'


def test_interrupted_comparison_goes_on_where_it_was(monkeypatch, tmp_path):
    calls = []

    def fake(cfg, checkpoint, setting, seed, work_dir, metric, **kwargs):
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        calls.append((checkpoint, setting.lr, seed))
        value = setting.lr + seed + len(checkpoint)
        return dict(val=value, test=value)

    def run(**kwargs):
        return compare(
            None,
            dict(A='a', B='bb'),
            [Setting(lr, 0.0) for lr in (0.1, 0.2)],
            [1, 2, 3],
            str(tmp_path),
            **kwargs,
        )

    def without_times(outcome):
        return [
            {k: v for k, v in arm.items() if k != 'seconds'} for arm in outcome['arms']
        ]

    monkeypatch.setattr(fine_tune, 'fine_tune', fake)
    stop_at = None
    whole, number = run(), len(calls)
    calls.clear()
    stop_at = 4
    with pytest.raises(KeyboardInterrupt):
        run()
    with open(tmp_path / 'runs.jsonl', 'a') as file:
        file.write('{"key": "torn')
    stop_at = None
    assert without_times(run(resume=True)) == without_times(whole)
    finished = (tmp_path / 'runs.jsonl').read_text()
    assert len(calls) == number == 10
    # Without resume it repeats everything, and with another checkpoint, too.
    calls.clear()
    run()
    assert len(calls) == 10
    assert (tmp_path / 'runs.jsonl.old').read_text() == finished
    (tmp_path / 'a').write_text('new')
    monkeypatch.chdir(tmp_path)
    calls.clear()
    run(resume=True)
    assert [c[0] for c in calls] == ['a'] * 5


def test_a_failed_run_names_arm_setting_and_seed(monkeypatch, tmp_path):
    def fake(cfg, checkpoint, setting, seed, work_dir, metric, **kwargs):
        if (checkpoint, seed) == ('b', 2):
            raise FloatingPointError('never a number.')
        return dict(val=1.0, test=1.0)

    monkeypatch.setattr(fine_tune, 'fine_tune', fake)
    with pytest.raises(
        FloatingPointError,
        match='^arm B, learning rate 0.1, weight decay 0.02, seed 2: never a number',
    ):
        compare(
            None, dict(A='a', B='b'), [Setting(0.1, 0.02)], [1, 2, 3], str(tmp_path)
        )
    lines = (tmp_path / 'runs.jsonl').read_text().splitlines()
    # Both searches, the seeds of A and the first of B.
    assert len(lines) == 6


def test_mean_and_deviation_are_those_of_the_sample():
    arm = ArmResult('x', 'y', test=[1.0, 2.0, 3.0, 6.0])
    assert arm.mean == 3.0
    assert arm.std == pytest.approx(np.sqrt(14 / 3))


@pytest.mark.parametrize(
    'metric, value, expected',
    [
        ('coco/bbox_mAP_50', 0.25, 25.0),
        ('pascal_voc/mAP', 0.5, 50.0),
        ('cityscapes/mAP', 0.25, 25.0),
        ('crowd_human/mAP', 0.5, 50.0),
        ('mIoU', 32.8, 32.8),
        ('accuracy/top1', 90.0, 90.0),
        # pycocotools has -1 where there is no box of that size.
        ('coco/bbox_mAP_s', -1.0, float('nan')),
    ],
)
def test_metrics_become_percent(metric, value, expected):
    found = percent(metric, {metric: value, 'other': 1.0})
    assert found == pytest.approx(expected, nan_ok=True)


def test_an_evaluation_without_detections_counts_as_zero():
    assert percent('coco/bbox_mAP_50', {}) == 0.0


class Weighing:
    """Replaces mmengine's runner: the metric of epoch e is ``CURVE[e]`` on the
    validation data, and the model's only weight, which is e, on the test data."""

    CURVE = (10.0, 30.0, 20.0, 30.0)

    def __init__(self, randomness, optim_wrapper, **kwargs):
        self.seed, self.optimizer = randomness['seed'], optim_wrapper['optimizer']
        self.hooks, self.val_dataloader = [], 'validation images'
        self.model = torch.nn.Linear(1, 1, bias=False)
        self.model.init_weights = lambda: None

    def register_hook(self, hook):
        self.hooks.append(hook)

    def build_train_loop(self, loop):
        return loop

    def train(self):
        for epoch, value in enumerate(self.CURVE):
            with torch.no_grad():
                self.model.weight.fill_(epoch)
            for hook in self.hooks:
                hook.after_val_epoch(self, dict(mIoU=value))

    def test(self):
        return dict(mIoU=self.model.weight.item())


def test_the_test_metric_is_that_of_the_best_epoch(monkeypatch, tmp_path):
    monkeypatch.setattr(fine_tune, 'Runner', Weighing)
    monkeypatch.setattr(
        fine_tune, 'mean_loss', lambda model, data: (model.weight.item(), data)
    )
    cfg = Config(
        dict(model=dict(backbone=dict()), optim_wrapper=dict(optimizer=dict(lr=1.0)))
    )
    seen = []
    found = fine_tune.fine_tune(
        cfg,
        'a.pth',
        Setting(2.0, 0.5),
        7,
        str(tmp_path),
        'mIoU',
        inspect=seen.append,
        history=True,
        loss=True,
    )
    # The first of two equal ones.
    assert (found['val'], found['test']) == (30.0, 1.0)
    assert found['curve'] == list(Weighing.CURVE)
    assert found['loss'] == (1.0, 'validation images')
    (runner,) = seen
    assert runner.model.weight.item() == 1.0
    assert runner.seed == 7
    assert runner.optimizer == dict(lr=2.0, weight_decay=0.5)
    assert cfg.optim_wrapper.optimizer == dict(lr=1.0)


class NeverANumber:
    """Replaces mmengine's runner: every evaluation gives NaN."""

    def __init__(self, **kwargs):
        self.hooks = []
        self.model = torch.nn.Linear(1, 1)
        self.model.init_weights = lambda: None

    def register_hook(self, hook):
        self.hooks.append(hook)

    def build_train_loop(self, loop):
        return loop

    def train(self):
        for hook in self.hooks:
            hook.after_val_epoch(self, dict(mIoU=float('nan')))


class PassedBy(NeverANumber):
    """Replaces mmengine's runner: the model does not take its checkpoint."""

    def __init__(self, model, **kwargs):
        super().__init__()
        backbone = torch.nn.Linear(1, 1)
        backbone.init_cfg = model.backbone.init_cfg
        self.model = torch.nn.ModuleDict(dict(backbone=backbone))
        self.model.init_weights = lambda: None

    def train(self):
        self.model.init_weights()
        super().train()


def test_a_checkpoint_that_the_backbone_passes_by_ends_a_comparison(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(fine_tune, 'Runner', PassedBy)
    path = str(tmp_path / 'backbone.pth')
    given = {'backbone.weight': torch.ones(1, 1), 'backbone.bias': torch.ones(1)}
    torch.save(dict(state_dict=given), path)
    cfg = Config(
        dict(model=dict(backbone=dict()), optim_wrapper=dict(optimizer=dict()))
    )
    with pytest.raises(ValueError, match='did not take 2 of 2 fitting parameters'):
        fine_tune.fine_tune(cfg, path, Setting(2.0, 0.0), 5, str(tmp_path), 'mIoU')


def test_a_metric_that_is_never_a_number_ends_no_comparison(monkeypatch, tmp_path):
    monkeypatch.setattr(fine_tune, 'Runner', NeverANumber)
    cfg = Config(
        dict(model=dict(backbone=dict()), optim_wrapper=dict(optimizer=dict()))
    )

    def run(test):
        return fine_tune.fine_tune(
            cfg, 'a.pth', Setting(2.0, 0.0), 5, str(tmp_path), 'mIoU', test=test
        )

    assert str(run(False)) == "{'val': nan}"
    assert str(run(True)) == "{'val': nan, 'test': nan}"


class Diverging(Weighing):
    """Its weight becomes NaN or infinite before an epoch."""

    CURVE = (10.0, 20.0, 0.0)
    BAD = dict(epoch=2, value=float('nan'))

    def train(self):
        for epoch, value in enumerate(self.CURVE):
            bad = epoch >= self.BAD['epoch']
            with torch.no_grad():
                self.model.weight.fill_(self.BAD['value'] if bad else epoch)
            for hook in self.hooks:
                hook.after_val_epoch(self, dict(mIoU=value))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize(
    'epoch, expected',
    [
        # The best epoch before counts.
        (2, dict(val=20.0, curve=[10.0, 20.0, None], test=1.0)),
        (0, dict(val=None, curve=[None] * 3, test=None)),
    ],
)
def test_an_accuracy_of_weights_that_are_not_finite_is_no_number(
    epoch, value, expected, monkeypatch, tmp_path
):
    monkeypatch.setattr(fine_tune, 'Runner', Diverging)
    monkeypatch.setattr(Diverging, 'BAD', dict(epoch=epoch, value=value))
    cfg = Config(
        dict(model=dict(backbone=dict()), optim_wrapper=dict(optimizer=dict()))
    )
    setting = Setting(2.0, 0.0)
    found = fine_tune.fine_tune(
        cfg, 'a.pth', setting, 5, str(tmp_path), 'mIoU', history=True
    )
    found.pop('metrics', None)
    write_json(str(tmp_path / 'found.json'), found)
    assert json.loads((tmp_path / 'found.json').read_text()) == expected


NAN, INF = float('nan'), float('inf')


def outcome_of(values, monkeypatch, tmp_path, seeds=(1, 2, 3)):
    """A comparison whose runs reach ``values[checkpoint, seed]``, else 50
    plus the seed; as it is found in the file."""

    def fake(cfg, checkpoint, setting, seed, work_dir, metric, test=True, inspect=None):
        value = values.get((checkpoint, seed), 50.0 + seed)
        return dict(val=value if seed == 0 else 50.0, test=value)

    monkeypatch.setattr(fine_tune, 'fine_tune', fake)
    outcome = compare(
        None,
        dict(A='a', B='b'),
        [Setting(0.1, 0.0), Setting(0.2, 0.0)],
        seeds,
        str(tmp_path),
    )
    write_json(str(tmp_path / 'new/comparison.json'), outcome)

    def refuse(text):
        raise AssertionError(f'{text} is no JSON')

    found = json.loads(
        (tmp_path / 'new/comparison.json').read_text(), parse_constant=refuse
    )
    # Its table and picture can be made, too.
    report.result_rows(outcome)
    report.strip_plot(outcome, 'accuracy')
    return found, significance(outcome)


@pytest.mark.parametrize('bad', [NAN, INF])
@pytest.mark.parametrize('checkpoint, arm', [('a', 'A'), ('b', 'B')])
def test_a_test_metric_that_is_no_number_costs_the_p_value_alone(
    checkpoint, arm, bad, monkeypatch, tmp_path
):
    found, words = outcome_of({(checkpoint, 2): bad}, monkeypatch, tmp_path)
    index = 'ab'.index(checkpoint)
    assert found['arms'][index]['test'] == [51.0, None, 53.0]
    assert found['arms'][1 - index]['test'] == [51.0, 52.0, 53.0]
    assert found['p_value'] is None and found['difference'] is None
    assert words.startswith(
        f'no p value: accuracy/top1 of arm {arm}, seed 2, is {bad}. '
    )


def test_an_arm_whose_search_gave_no_number_has_no_final_runs(monkeypatch, tmp_path):
    found, words = outcome_of({('b', 0): NAN}, monkeypatch, tmp_path)
    assert [len(arm['test']) for arm in found['arms']] == [3, 0]
    assert [s['val'] for s in found['arms'][1]['search']] == [None, None]
    assert 'no setting of the search gave arm B a number for ' in words


def test_a_search_passes_over_settings_without_a_number(monkeypatch, tmp_path):
    def fake(cfg, checkpoint, setting, seed, work_dir, metric, **kwargs):
        value = NAN if setting.lr > 0.15 else 40.0
        return dict(val=value, test=value)

    monkeypatch.setattr(fine_tune, 'fine_tune', fake)
    outcome = compare(
        None,
        dict(A='a'),
        [Setting(lr, 0.0) for lr in (0.3, 0.1, 0.2)],
        [1],
        str(tmp_path),
    )
    assert outcome['arms'][0]['setting']['lr'] == 0.1


@pytest.mark.parametrize('number', [1, 12, 20, 40])
def test_every_number_of_seeds_gives_a_file(number, monkeypatch, tmp_path):
    monkeypatch.setattr(permutation_test, 'NUM_RESAMPLES', 500)
    found, words = outcome_of({}, monkeypatch, tmp_path, range(1, number + 1))
    if number == 1:
        assert found['p_value'] is None and 'Run more seeds' in words
    else:
        assert found['p_value'] == 1.0
        assert '500 of' in found['test'] and '500 of' in words


def test_what_the_last_run_needs_is_looked_for_first(image_folders):
    cfg = Config.fromfile(ROOT / 'configs/fine_tune/r18_64px.py')
    folder = str(image_folders / 'downstream')
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].dataset.data_root = folder
    check_parts(cfg)
    for key in (
        'test_dataloader',
        'test_evaluator',
        'test_cfg',
        'val_dataloader',
        'train_dataloader',
    ):
        for is_absent in (False, True):
            changed = cfg.copy()
            changed[key] = None
            if is_absent:
                changed.pop(key)
            with pytest.raises(
                ValueError,
                match=f'has no {key}, but a '
                f'comparison needs the {key.split("_")[0]} '
                f'split, .* Write {key} in the config',
            ):
                check_parts(changed)
    for evaluator, message in (
        (dict(type='CocoMetric', format_only=True), 'CocoMetric has form'),
        (
            [dict(type='mmseg.IoUMetric')],
            'is IoUMetric, but val_evaluator is Accuracy, ',
        ),
    ):
        changed = cfg.copy()
        changed.test_evaluator = evaluator
        with pytest.raises(ValueError, match=message):
            check_parts(changed)
    cfg.test_evaluator = dict(
        type='Evaluator',
        metrics=[dict(type='SingleLabelMetric'), dict(type='mmpretrain.Accuracy')],
    )
    check_parts(cfg)
    cfg.test_dataloader.dataset.data_prefix = 'no_such'
    with pytest.raises(FileNotFoundError, match='no_such'):
        check_parts(cfg)


def test_an_unknown_metric_is_named_with_the_choices():
    with pytest.raises(
        KeyError, match="not report the metric 'mAP'. Type --metric with one of a, b"
    ):
        percent('mAP', dict(b=1.0, a=2.0))


def test_digits_are_split_without_overlap(tmp_path):
    counts = write_digits(str(tmp_path))
    assert counts == dict(pretext=997, train=50, val=150, test=600)
    files = {p.name for p in tmp_path.rglob('*.png')}
    assert len(files) == 1797
    for part, number in (('train', 5), ('val', 15), ('test', 60)):
        for digit in range(10):
            folder = tmp_path / 'downstream' / part / str(digit)
            assert len(list(folder.iterdir())) == number


def test_scalars_of_restarts_are_merged(tmp_path):
    for name, lines in (('1', [(1, 5.0), (2, 4.0)]), ('2', [(2, 3.0), (3, 2.0)])):
        folder = tmp_path / name / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text(
            '\n'.join(json.dumps(dict(loss=value, step=step)) for step, value in lines)
        )
    assert read_scalars(str(tmp_path)) == dict(
        loss=dict(step=[1, 2, 3], value=[5.0, 3.0, 2.0])
    )


def test_nearest_neighbours():
    features = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    assert nearest_neighbour_accuracy(features, np.array([0, 0, 1, 1])) == 100
    assert nearest_neighbour_accuracy(features, np.array([0, 1, 0, 1])) == 0
