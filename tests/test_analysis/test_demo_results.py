"""Stages as units, and the settings of the demos' stages."""

import pytest
import torch
from task_configs import shipped

pytest.importorskip('sklearn')

from bissl_mm.analysis.demo.results import arm_line, comparison_line, with_stages
from bissl_mm.engine.steps.relaxation import gains, learning_rates


def arm(name, *test):
    return dict(
        name=name,
        test=list(test),
        seeds=list(range(len(test))),
        mean=sum(test) / len(test),
        std=1.0,
        setting=dict(lr=0.1),
    )


def test_stages_are_the_units():
    outcome = with_stages(
        dict(
            metric='accuracy/top1',
            arms=[
                arm('FT', 50.0, 52.0, 50.0, 52.0, 50.0, 52.0),
                arm('training twice', 56.0, 56.0, 60.0, 60.0, 55.0, 55.0),
                arm('BiSSL+FT', 58.0, 60.0, 56.0, 58.0, 57.0, 59.0),
            ],
        ),
        3,
    )
    assert [a['stage_means'] for a in outcome['arms']] == [
        [51.0, 51.0, 51.0],
        [56.0, 60.0, 55.0],
        [59.0, 57.0, 58.0],
    ]
    ft, twice = outcome['comparisons']
    assert ft['stage_differences'] == [8.0, 6.0, 7.0]
    assert twice['stage_differences'] == [3.0, -3.0, 3.0]
    assert ft['difference'] == pytest.approx(7.0)
    # Only the observed one of 924 assignments and its mirror are as far apart.
    assert ft['p_value'] == pytest.approx(2 / 924)
    assert 'ahead in 2 of 3 stages (+3.0, -3.0, +3.0)' in comparison_line(twice)
    assert 'stages: 59.0, 57.0, 58.0' in arm_line(outcome['arms'][2], 'top-1')


def test_an_arm_without_results_costs_its_p_value_alone():
    none = dict(arm('training twice', 1.0), test=[], seeds=[], setting=None)
    outcome = with_stages(
        dict(metric='m', arms=[arm('FT', 1.0, 2.0), none, arm('BiSSL+FT', 3.0, 4.0)]), 2
    )
    ft, twice = outcome['comparisons']
    assert ft['p_value'] is not None and twice['p_value'] is None
    assert 'no setting of the search' in comparison_line(twice)


@pytest.mark.parametrize(
    'name, task',
    [
        ('demo/bissl-simclr_digits', None),
        ('demo/bissl-simclr_digit-scenes', 'digit-scenes-detection'),
        ('demo/bissl-simclr_digit-scenes', 'digit-scenes-segmentation'),
        ('bissl/bissl-simclr_r10_b128-10x4-30t_imagefolder-32px', None),
    ],
)
def test_the_demos_let_theta_p_follow(name, task):
    cfg = shipped(name, task)
    wanted = dict(cfg.optim_wrapper.lower.optimizer)
    param = torch.zeros(1, requires_grad=True)
    optimizer = getattr(torch.optim, wanted.pop('type'))([param], **wanted)
    steps = cfg.train_cfg.num_alternations * cfg.train_cfg.num_lower_steps
    rates = sum(learning_rates(cfg, wanted['lr'], steps))
    times = cfg.optim_wrapper.regularizer.weight * rates * gains(optimizer, [param])[0]
    assert 2 <= times <= 10
