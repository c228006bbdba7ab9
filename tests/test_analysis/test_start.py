"""A recommended start: the stage then has what the tool says."""

import copy
from contextlib import nullcontext

import pytest
import torch
from small_run import make_runner, small_config

from bissl_mm.analysis.start import Start, start_of
from bissl_mm.engine import RegimeHook
from bissl_mm.hypergradient import ScheduledDistance, SquaredDistance
from bissl_mm.models.bissl_model import unwrap
from bissl_mm.utils.errors import Refusal

pytestmark = pytest.mark.usefixtures('plain_config_text')


def config(monkeypatch, image_folders, tmp_path, optimizer, **options):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        train_cfg__head_warmup=None,
        **options,
    )
    cfg.optim_wrapper.lower.optimizer = optimizer
    return cfg


@pytest.mark.parametrize(
    'optimizer',
    [
        dict(type='SGD', lr=0.05, momentum=0.9),
        dict(type='SGD', lr=0.05, momentum=0.5, dampening=0.5),
        dict(type='bissl_mm.LARS', lr=0.5, eta=0.01),
        dict(type='AdamW', lr=0.01),
    ],
    ids=lambda o: o['type'] + str(o.get('dampening', '')),
)
def test_r_is_that_of_the_stage(optimizer, image_folders, tmp_path, monkeypatch):
    cfg = config(monkeypatch, image_folders, tmp_path / 'a', optimizer)
    start = start_of(cfg)
    assert start.images == (40, 4) and start.labels == (24, 6)
    runner = make_runner(cfg)
    (hook,) = (h for h in runner.hooks if isinstance(h, RegimeHook))
    runner.train()
    # A gradient of an untrained network rounds differently with other threads.
    assert start.relaxation_times == pytest.approx(hook.relaxation_times, rel=0.01)


@pytest.mark.parametrize('warmup', [24, 4])
def test_the_few_steps_have_the_schedule_of_the_stage(
    warmup, image_folders, tmp_path, monkeypatch, capsys
):
    """Their own number of steps is smaller, so a schedule could begin after it."""
    lars = dict(type='bissl_mm.LARS', lr=0.5, eta=0.01)
    cfg = config(monkeypatch, image_folders, tmp_path, lars)
    cfg.train_cfg.update(num_alternations=3, num_lower_steps=12)
    cfg.param_scheduler.lower = [
        dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=warmup),
        dict(type='CosineAnnealingLR', by_epoch=False, begin=warmup),
    ]
    before = copy.deepcopy(cfg.to_dict())
    start = start_of(cfg)
    assert start.gain > 0 and (start.alternations, start.lower_steps) == (3, 12)
    assert cfg.to_dict() == before
    out = ''.join(capsys.readouterr())
    assert 'ends at step' not in out


def test_r_counts_factors_and_multiples_of_the_rate(
    image_folders, tmp_path, monkeypatch
):
    sgd = dict(type='SGD', lr=0.05, momentum=0.9)
    whole = start_of(config(monkeypatch, image_folders, tmp_path / 'a', sgd))
    cfg = config(monkeypatch, image_folders, tmp_path / 'b', sgd)
    cfg.optim_wrapper.regularizer = dict(
        type='WeightedDistance',
        weight=whole.regularizer.weight,
        factors={'backbone': 0.5},
    )
    cfg.optim_wrapper.lower.paramwise_cfg = dict(
        custom_keys={'backbone': dict(lr_mult=0.1)}
    )
    start = start_of(cfg)
    assert start.relaxation_times == pytest.approx(0.05 * whole.relaxation_times)
    runner = make_runner(cfg)
    (hook,) = (h for h in runner.hooks if isinstance(h, RegimeHook))
    runner.train()
    assert hook.relaxation_times == pytest.approx(start.relaxation_times)


@pytest.mark.parametrize(
    'paramwise, measured',
    [
        # A name of the user's, not a setting.
        (dict(custom_keys=dict(my_lr_mult=dict(decay_mult=0.0))), False),
        (dict(norm_decay_mult=0.0, bias_decay_mult=0.0), False),
        (dict(custom_keys=dict(backbone=dict(lr=0.01))), True),
        (dict(bias_lr_mult=2.0), True),
    ],
)
def test_rates_of_their_own_are_found_by_their_keys(
    paramwise, measured, image_folders, tmp_path, monkeypatch
):
    cfg = config(monkeypatch, image_folders, tmp_path, dict(type='SGD', lr=0.05))
    cfg.optim_wrapper.lower.paramwise_cfg = paramwise
    # Only a measurement needs images.
    cfg.train_cfg.pretext_dataloader.dataset.data_root = 'nowhere'
    with pytest.raises(Refusal) if measured else nullcontext():
        assert start_of(cfg, images=1000, labels=90).gain == 1.0


def test_factors_are_measured_without_rates_of_their_own(
    image_folders, tmp_path, monkeypatch
):
    """Half of a tie is half of R, although all tensors have one rate."""
    cfg = config(monkeypatch, image_folders, tmp_path, dict(type='SGD', lr=0.05))
    cfg.optim_wrapper.regularizer = dict(
        type='WeightedDistance', weight=0.1, factors={'backbone': 0.5}
    )
    assert start_of(cfg).gain == pytest.approx(0.5)


def test_without_data_for_sgd(image_folders, tmp_path, monkeypatch):
    # There is no momentum to dampen.
    sgd = dict(type='SGD', lr=0.05, dampening=0.5)
    cfg = config(monkeypatch, image_folders, tmp_path, sgd)
    cfg.train_cfg.pretext_dataloader.dataset.data_root = 'nowhere'
    cfg.train_dataloader.dataset.data_root = 'nowhere'
    start = start_of(cfg, images=1000, labels=90)
    assert start.images == (1000, 4) and start.labels == (90, 6)
    assert start.gain == 1.0


@pytest.mark.parametrize(
    'key, given', [('train_dataloader', 'images'), ('pretext_dataloader', 'labels')]
)
def test_a_folder_that_would_be_counted_must_be_there(
    key, given, image_folders, tmp_path, monkeypatch
):
    cfg = config(monkeypatch, image_folders, tmp_path, dict(type='SGD', lr=0.05))
    cfg.train_cfg.pretext_dataloader.dataset.data_root = 'nowhere'
    cfg.train_dataloader.dataset.data_root = 'nowhere'
    with pytest.raises(Refusal, match=f"{key}.*'nowhere'.* does not exist"):
        start_of(cfg, **{given: 1000})


def stage(**changed) -> Start:
    if 'weight' in changed:
        weight = changed.pop('weight')
        changed['pull'] = weight / 0.03 * changed.get('pull', 0.6)
        changed['regularizer'] = SquaredDistance(weight)
    return Start(
        **{
            **dict(
                alternations=30,
                lower_steps=10,
                upper_steps=4,
                regularizer=SquaredDistance(0.03),
                pull=0.6,
                gain=10.0,
                images=(10000, 128),
                labels=(500, 50),
            ),
            **changed,
        }
    )


@pytest.mark.parametrize(
    'changed, options',
    [
        (dict(), []),
        (dict(weight=0.001), ['optim_wrapper.regularizer.weight=0.022']),
        (dict(weight=0.3), ['optim_wrapper.regularizer.weight=0.022']),
        (dict(alternations=15, pull=0.3), ['train_cfg.num_alternations=30']),
        (
            dict(alternations=10, pull=0.03),
            ['train_cfg.num_alternations=30', 'optim_wrapper.regularizer.weight=0.15'],
        ),
        (
            dict(alternations=60, upper_steps=2, pull=1.5),
            ['optim_wrapper.regularizer.weight=0.0089'],
        ),
    ],
)
def test_what_is_recommended_has_two_to_ten_and_steps_enough(changed, options):
    start = stage(**changed)
    assert start.options() == options
    text = '\n'.join(start.lines())
    assert all(option in text for option in options)
    assert f'R = {start.relaxation_times:.2g} ' in text
    ((low, high),) = start.weights().values()
    assert stage(**{**changed, 'weight': low}).relaxation_times == pytest.approx(2)
    assert stage(**{**changed, 'weight': high}).relaxation_times == pytest.approx(10)


def test_the_lengths_are_the_shortest_that_have_two_and_ten():
    start = stage(alternations=7, pull=0.25)
    for length, least in zip(start.lengths(), (2, 10), strict=True):
        assert start.relaxation_times * length / 7 >= least
        assert start.relaxation_times * (length - 1) / 7 < least
    text = '\n'.join(start.lines())
    assert 'at T = {} to {}.'.format(*start.lengths()) in text


def test_recommended_alternations_have_upper_steps_enough():
    (option,) = stage(alternations=10, upper_steps=7, pull=0.3).options()
    # 17 times 7 are 119 upper steps.
    assert option == 'train_cfg.num_alternations=18'


def test_a_schedule_is_scaled_as_a_whole():
    """Its lower end, too: a recommendation that left it could not be typed."""
    schedule = ScheduledDistance('cosine_decay', 0.3, 0.29)
    start = stage(regularizer=schedule, pull=6.0)
    assert start.relaxation_times == pytest.approx(60)
    assert start.options() == [
        'optim_wrapper.regularizer.min_weight=0.022',
        'optim_wrapper.regularizer.max_weight=0.022',
    ]
    assert all(option in '\n'.join(start.lines()) for option in start.options())
    halved = ScheduledDistance('cosine_decay', **schedule.scaled(0.5))
    assert halved.weights(5) == pytest.approx([w / 2 for w in schedule.weights(5)])


@pytest.mark.parametrize(
    'change, words',
    [
        (dict(optim_wrapper__regularizer__weight=0.0), 'regularizer.weight=0'),
        (dict(train_cfg__num_lower_steps=0), 'num_lower_steps=0'),
        (dict(train_cfg__num_upper_steps=0), 'num_upper_steps'),
        (dict(train_cfg__num_upper_steps=1.5), 'num_upper_steps'),
    ],
)
def test_refusals(change, words, image_folders, tmp_path, monkeypatch):
    sgd = dict(type='SGD', lr=0.05)
    cfg = config(monkeypatch, image_folders, tmp_path, sgd, **change)
    with pytest.raises(Refusal, match=words):
        start_of(cfg)


def test_a_checkpoint_needs_no_note(image_folders, tmp_path, monkeypatch):
    lars = dict(type='bissl_mm.LARS', lr=0.5, eta=0.01)
    cfg = config(monkeypatch, image_folders, tmp_path / 'a', lars)
    runner = make_runner(cfg)
    torch.save(
        dict(state_dict=unwrap(runner.model).pretext.state_dict()), tmp_path / 'a.pth'
    )
    cfg.model.pretrained = str(tmp_path / 'a.pth')
    assert not start_of(cfg).note


def test_an_unknown_optimizer(image_folders, tmp_path, monkeypatch):
    cfg = config(monkeypatch, image_folders, tmp_path, dict(type='Rprop', lr=0.01))
    with pytest.raises(Refusal, match="type='Rprop'.*SGD, LARS"):
        start_of(cfg)
