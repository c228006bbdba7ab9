"""What a stage reports about its settings, against closed forms."""

import copy
import math
import os.path as osp
from types import SimpleNamespace

import pytest
import torch
from pretext_models import bissl_model
from small_run import StopAt, make_runner, small_config, weights
from torch.utils.data import DataLoader

from bissl_mm.engine import LARS, RegimeHook, TransferHook
from bissl_mm.engine.hooks import transfer_hook
from bissl_mm.engine.hooks.transfer_hook import (
    NAME,
    batch_features,
    mixed_batches,
    neighbours_accuracy,
    pooled,
)
from bissl_mm.engine.steps.relaxation import (
    clipped_gain,
    gain_of_all,
    gains,
    learning_rates,
    median_of_elements,
    pull_of,
)
from bissl_mm.hypergradient import (
    ElasticDistance,
    FisherDistance,
    ScheduledDistance,
    SquaredDistance,
)
from bissl_mm.utils.checkpoint import load_checkpoint
from bissl_mm.utils.errors import ValueRefusal

pytestmark = pytest.mark.usefixtures('plain_config_text')


def param(*values):
    return torch.nn.Parameter(torch.tensor(values))


@pytest.mark.parametrize('momentum', [0.0, 0.9])
@pytest.mark.parametrize('lr, number', [(1e-3, 2000), (2e-3, 700)])
def test_r_is_the_number_of_relaxations_of_sgd(momentum, lr, number):
    weight, theta = 0.3, param(1.0)
    optimizer = torch.optim.SGD([theta], lr, momentum=momentum)
    for _ in range(number):
        theta.grad = weight * theta.detach()
        optimizer.step()
    (gain,) = gains(optimizer, [theta])
    times = pull_of([weight], learning_rates({}, lr, number)) * gain
    # Equal up to terms of the order of the step length.
    assert -math.log(theta.item()) == pytest.approx(times, rel=0.05)


def test_nothing_is_damped_without_momentum():
    theta = param(1.0)
    optimizer = torch.optim.SGD([theta], 0.1, dampening=0.5)
    assert gains(optimizer, [theta]) == [1.0]
    for _ in range(2):
        before, theta.grad = theta.item(), torch.ones(1)
        optimizer.step()
        assert before - theta.item() == pytest.approx(0.1)


def test_rates_are_those_of_the_schedule():
    schedules = [
        dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=10),
        dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=10, end=110),
    ]
    cfg = dict(param_scheduler=dict(lower=schedules))
    total = sum(learning_rates(cfg, 0.5, 110))
    warm = sum(1e-4 + (1 - 1e-4) * i / 9 for i in range(10))
    cosine = sum((1 + math.cos(math.pi * i / 100)) / 2 for i in range(100))
    assert total == pytest.approx(0.5 * (warm + cosine), rel=0.01)


def test_a_schedule_without_an_end_ends_with_the_stage():
    cosine = dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False)
    total = sum(learning_rates(dict(param_scheduler=dict(lower=cosine)), 0.5, 100))
    expected = sum((1 + math.cos(math.pi * i / 100)) / 2 for i in range(100))
    assert total == pytest.approx(0.5 * expected, rel=1e-6)


def test_a_schedule_of_lambda_is_weighed_with_its_steps_rates():
    regularizer = ScheduledDistance('exponential_increase', 0.1, 0.01, alpha=1.0)
    weights = regularizer.weights(3)
    assert weights[0] == 0.01 and weights[2] == 0.1
    assert pull_of(weights, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == pytest.approx(
        0.01 * 3 + weights[1] * 7 + 0.1 * 11
    )


@pytest.mark.parametrize('decay', [0.0, 0.1])
def test_gain_of_lars_is_how_far_a_unit_of_gradient_goes(decay):
    theta = param(3.0, 4.0)
    optimizer = LARS([theta], 1.0, momentum=0.8, weight_decay=decay, eta=0.01)
    theta.grad = torch.tensor([0.6, 0.8])
    (gain,) = gains(optimizer, [theta])
    slope = 1.0 + decay * 5
    assert gain == pytest.approx(0.01 * 5 / slope / 0.2)
    before = theta.detach().clone()
    optimizer.step()
    assert torch.allclose(
        before - theta.detach(), gain * 0.2 * slope * torch.tensor([0.6, 0.8])
    )


def test_gain_of_adam_is_one_over_the_scale():
    theta = param(1.0, 2.0, 3.0)
    optimizer = torch.optim.AdamW([theta], 0.1, weight_decay=0.0)
    assert gains(optimizer, [theta]) is None
    for _ in range(200):
        theta.grad = torch.tensor([0.5, 2.0, 8.0])
        optimizer.step()
    # Each element by its squared gradient.
    (gain,) = gains(optimizer, [theta])
    assert gain == pytest.approx((0.5 + 2 + 8) / (0.25 + 4 + 64), rel=1e-3)
    assert gains(torch.optim.LBFGS([theta]), [theta]) is None


@pytest.mark.parametrize('amsgrad', [False, True])
def test_gain_of_adam_is_that_of_its_next_step(amsgrad):
    theta = param(1.0).double().detach().requires_grad_()
    optimizer = torch.optim.Adam([theta], 1e-3, (0.9, 0.99), amsgrad=amsgrad)
    for slope in [8.0] * 20 + [0.5] * 600:
        theta.grad = torch.tensor([slope], dtype=torch.float64)
        optimizer.step()
    (gain,) = gains(optimizer, [theta])
    before = theta.item()
    optimizer.step()
    assert before - theta.item() == pytest.approx(1e-3 * 0.5 * gain, rel=1e-3)


@pytest.mark.parametrize('excluded', [False, True])
def test_gain_of_the_other_lars(excluded):
    from mmpretrain.engine.optimizers import LARS as OtherLARS

    theta = param(3.0, 4.0)
    optimizer = OtherLARS(
        [dict(params=[theta], lars_exclude=excluded)],
        lr=1e-6,
        momentum=0.8,
        dampening=0.5,
        eta=0.01,
    )
    theta.grad = torch.tensor([0.6, 0.8])
    (gain,) = gains(optimizer, [theta])
    assert gain == pytest.approx((1.0 if excluded else 0.01 * 5) * 0.5 / 0.2)
    theta.data = theta.data.double()
    theta.grad = theta.grad.double()
    for _ in range(200):
        before = theta.detach().clone()
        optimizer.step()
    assert (before - theta.detach()).norm().item() == pytest.approx(
        1e-6 * gain, rel=1e-3
    )


def test_a_group_that_lars_excludes_has_no_trust_ratio():
    theta, other = param(3.0, 4.0), param(3.0, 4.0)
    optimizer = LARS(
        [dict(params=[theta], lars_exclude=True), dict(params=[other])],
        lr=0.1,
        momentum=0.0,
        eta=0.01,
    )
    for p in (theta, other):
        p.grad = torch.tensor([0.6, 0.8])
    assert gains(optimizer, [theta, other]) == pytest.approx([1.0, 0.05])
    optimizer.step()
    moved = [(torch.tensor([3.0, 4.0]) - p.detach()).norm() for p in (theta, other)]
    assert moved == pytest.approx([0.1, 0.005], rel=1e-4)


@pytest.mark.parametrize('trust_dims, gain', [(0, 0.05), (2, 1.0)])
def test_gain_of_a_vector_that_lars_does_not_decay(trust_dims, gain):
    theta = param(3.0, 4.0)
    optimizer = LARS(
        [theta],
        lr=0.1,
        momentum=0.0,
        weight_decay=0.1,
        eta=0.01,
        min_decay_dims=2,
        min_trust_dims=trust_dims,
    )
    theta.grad = torch.tensor([0.6, 0.8])
    assert gains(optimizer, [theta]) == pytest.approx([gain])
    optimizer.step()
    moved = (torch.tensor([3.0, 4.0]) - theta.detach()).norm()
    assert moved == pytest.approx(0.1 * gain, rel=1e-4)


def test_multiples_of_the_rate_are_those_of_the_stage_and_not_of_its_warm_up():
    first, second = param(1.0), param(1.0)
    optimizer = torch.optim.SGD(
        [dict(params=[first]), dict(params=[second], lr=0.01)], lr=0.1
    )
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.001)
    for _ in range(2):
        assert gains(optimizer, [first, second]) == pytest.approx([1.0, 0.1])
        optimizer.step()
        warm_up.step()


def test_no_gain_of_optimizers_that_are_not_known():
    from mmpretrain.engine.optimizers import Lamb

    for make in (
        lambda p: Lamb(p, 0.1),
        lambda p: torch.optim.RMSprop(p, 0.1, momentum=0.9),
    ):
        theta = param(3.0, 4.0)
        optimizer = make([theta])
        theta.grad = torch.tensor([0.6, 0.8])
        optimizer.step()
        assert gains(optimizer, [theta]) is None


def test_large_tensors_count_more():
    params = [torch.zeros(1), torch.zeros(10), torch.zeros(2)]
    assert median_of_elements([9.0, 2.0, 1.0], params) == 2.0
    # Also over the gains of SGD and LARS.
    optimizer = torch.optim.SGD([param(0.0)], 0.1)
    assert gain_of_all(optimizer, [9.0, 2.0, 1.0], params) == 2.0


def test_tensors_with_large_gradients_count_more_with_adam():
    params = [param(1.0), param(1.0, 2.0)]
    optimizer = torch.optim.Adam(params, 0.1)
    for _ in range(200):
        params[0].grad = torch.tensor([4.0])
        params[1].grad = torch.tensor([1.0, 1.0])
        optimizer.step()
    found = gains(optimizer, params)
    assert found == pytest.approx([1 / 4, 1.0], rel=1e-3)
    assert gain_of_all(optimizer, found, params) == pytest.approx(
        (16 / 4 + 1 + 1) / (16 + 1 + 1), rel=1e-3
    )


def way_of_theta_p(kind, limit, steps=40, loud=1.0):
    """The gain in a simulated stage, and the way per lambda that was really gone.

    The noise of every second step is ``loud`` times that of the others.
    """

    def run(weight):
        theta = torch.zeros(50, dtype=torch.float64, requires_grad=True)
        settings = (
            dict(lr=1e-3, momentum=0.0, eta=0.01) if kind is LARS else dict(lr=1e-5)
        )
        optimizer = kind([theta], **settings)
        with torch.no_grad():
            theta.add_(1.0)
        start, clipping, gain = theta.detach().clone(), [], None
        draws = torch.Generator().manual_seed(0)
        for i in range(steps):
            # The pretext gradient is noise, and the pull is a constant direction.
            noise = torch.randn(50, generator=draws, dtype=torch.float64)
            theta.grad = noise * (loud if i % 2 else 1.0) - weight
            norm = torch.nn.utils.clip_grad_norm_([theta], limit)
            clipping.append(min(1.0, limit / (norm.item() + 1e-6)))
            gain = clipped_gain(optimizer, [theta], [1.0], clipping)
            optimizer.step()
        return gain, (theta.detach() - start).mean().item(), settings['lr']

    gain, way, lr = run(0.01)
    return gain, (way - run(0.0)[1]) / (0.01 * lr * steps)


@pytest.mark.parametrize('kind', [LARS, torch.optim.Adam], ids=['lars', 'adam'])
@pytest.mark.parametrize('limit', [math.inf, 1.0, 0.1], ids=str)
def test_gain_is_the_way_that_was_gone_with_clipping(kind, limit):
    gain, gone = way_of_theta_p(kind, limit)
    assert gain == pytest.approx(gone, rel=0.3)


def test_gain_of_adam_counts_the_clipping_of_all_steps():
    gain, gone = way_of_theta_p(torch.optim.Adam, 1.0, loud=10.0)
    assert gain == pytest.approx(gone, rel=0.3)


def test_no_gain_with_clipping_that_is_no_factor():
    optimizer = torch.optim.SGD([param(1.0)], 0.1)
    assert clipped_gain(optimizer, [], [], [None]) is None


class Lines:
    """The messages of a hook, by level."""

    def __init__(self, monkeypatch, runner):
        self.infos, self.warnings = [], []
        monkeypatch.setattr(runner.logger, 'info', self.infos.append)
        monkeypatch.setattr(runner.logger, 'warning', self.warnings.append)


@pytest.mark.parametrize(
    'optimizer, weak',
    [
        (dict(type='SGD', lr=0.05, momentum=0.9), 1e-5),
        pytest.param(
            *(dict(type='bissl_mm.LARS', lr=0.5, eta=0.01), 1e-5),
            marks=pytest.mark.whole,
        ),
        # An untrained network has gradients of zero, or of rounding: which of
        # the two is the processor's. So they are small against this eps.
        pytest.param(
            *(dict(type='AdamW', lr=0.01, eps=0.01), 1e-6), marks=pytest.mark.whole
        ),
    ],
    ids=lambda o: o['type'] if isinstance(o, dict) else '',
)
def test_a_stage_that_is_too_short_is_told_what_to_set(
    optimizer, weak, image_folders, tmp_path, monkeypatch
):
    def run(name, weight):
        cfg = small_config(
            monkeypatch,
            image_folders,
            tmp_path / name,
            train_cfg__num_alternations=2,
            optim_wrapper__regularizer__weight=weight,
        )
        cfg.optim_wrapper.lower.optimizer = optimizer
        runner = make_runner(cfg)
        lines = Lines(monkeypatch, runner)
        runner.train()
        (hook,) = (h for h in runner.hooks if isinstance(h, RegimeHook))
        return hook, lines

    hook, lines = run('weak', weak)
    (line,) = (w for w in lines.warnings if 'relaxes' in w)
    assert 'Aim at 2 to 10: set' in line
    assert 0 < hook.relaxation_times < 0.5
    proposed = float(line.split('regularizer.weight=')[1].split(',')[0])
    hook, lines = run('strong', proposed)
    assert not [w for w in lines.warnings if 'relaxes' in w]
    (line,) = (i for i in lines.infos if 'relaxes' in i)
    # Two digits are shown, and a gradient changes with the weight.
    assert 1.5 < hook.relaxation_times < 6


@pytest.mark.parametrize('times', [0.4, 1.0, 30.0, 5.0])
def test_outside_the_aim_a_line_proposes_what_is_inside(times):
    warnings, infos = [], []
    regularizer = SquaredDistance(0.1)
    runner = SimpleNamespace(
        optim_wrapper=SimpleNamespace(regularizer=regularizer),
        train_loop=SimpleNamespace(max_iters=2),
        logger=SimpleNamespace(info=infos.append, warning=warnings.append),
    )
    hook = RegimeHook()
    theta = param(1.0)
    # Its gain is 10.
    optimizer = torch.optim.SGD([theta], 0.1, momentum=0.9)
    hook.tell(runner, times / 10, optimizer, [theta])
    assert hook.relaxation_times == pytest.approx(times)
    (line,) = infos + warnings
    assert bool(warnings) == (times == 0.4)
    if times == 5.0:
        assert 'Aim' not in line
        return
    proposed = float(line.split('regularizer.weight=')[1].split(',')[0].rstrip('.'))
    assert proposed == pytest.approx(0.1 * hook.aim / times, rel=0.06)
    # A shorter stage would have fewer upper steps.
    assert ('num_alternations' in line) == (times < 5)


@pytest.mark.parametrize(
    'regularizer, text',
    [
        (SquaredDistance(0.1), None),
        (FisherDistance(0.1), 'leaves out the factors F'),
        (ElasticDistance(0.1), 'leaves out the l1 term'),
    ],
)
def test_what_r_leaves_out_is_said(regularizer, text):
    infos: list[str] = []
    theta = param(1.0)
    regularizer.tie(['theta'], [theta])
    runner = SimpleNamespace(
        optim_wrapper=SimpleNamespace(regularizer=regularizer),
        train_loop=SimpleNamespace(max_iters=2),
        logger=SimpleNamespace(info=infos.append),
    )
    optimizer = torch.optim.SGD([theta], 0.1, momentum=0.9)
    RegimeHook().tell(runner, 0.5, optimizer, [theta])
    assert (text in infos[0]) if text else ('leaves out' not in infos[0])


class Wrapper(dict):
    """Of a stage whose lower level has momentum."""

    def __init__(self, model, regularizer):
        optimizer = torch.optim.SGD(model.pretext.parameters(), 0.1, momentum=0.5)
        super().__init__(lower=SimpleNamespace(optimizer=optimizer))
        self.regularizer = regularizer


def test_r_counts_lambda_of_every_alternation():
    model = bissl_model('SimCLR', torch.float32)
    infos: list[str] = []
    runner = SimpleNamespace(
        iter=0,
        cfg={},
        model=model,
        train_loop=SimpleNamespace(
            max_iters=3,
            settings=SimpleNamespace(
                total_steps=dict(lower=12).__getitem__, num_alternations=3
            ),
        ),
        optim_wrapper=Wrapper(
            model, ScheduledDistance('cosine_increase', max_weight=4.0, min_weight=1.0)
        ),
        logger=SimpleNamespace(info=infos.append),
    )
    hook = RegimeHook()
    hook.before_train(runner)
    # Lambda is 1, 2.5 and 4 in four steps each.
    assert hook.relaxation_times == pytest.approx(0.1 * 4 * (1 + 2.5 + 4) / 0.5)
    assert 'R = 6 times' in infos[0]


def test_r_of_adam_is_told_with_one_lower_step(image_folders, tmp_path, monkeypatch):
    # Once something was compiled, torch 2.1 no longer calls the hooks of optimizers.
    torch.compile(torch.neg, backend='eager')(torch.ones(1))
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=6,
        train_cfg__num_lower_steps=1,
    )
    cfg.optim_wrapper.lower.optimizer = dict(type='AdamW', lr=0.01)
    runner = make_runner(cfg)
    lines = Lines(monkeypatch, runner)
    runner.train()
    said = [*lines.infos, *lines.warnings]
    assert any('theta_P relaxes' in line for line in said), said


@pytest.mark.parametrize('rate', [0.01, 100.0])
def test_a_head_that_diverges_in_its_warm_up_is_told(
    rate, image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        train_cfg__head_warmup=dict(num_epochs=2),
        optim_wrapper__head_warmup=dict(optimizer=dict(type='Adam', lr=rate)),
    )
    runner = make_runner(cfg)
    lines = Lines(monkeypatch, runner)
    runner.train()
    told = [line for line in lines.warnings if 'The head warm-up began' in line]
    assert len(told) == (rate == 100.0)
    assert not told or 'head_warmup.optimizer.lr, which is 100.' in told[0]


def test_the_last_line_has_the_means_of_the_run(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        optim_wrapper__lower__clip_grad=dict(max_norm=1e-3),
    )
    cfg.optim_wrapper.lower.optimizer = dict(type='SGD', lr=0.05)
    runner = make_runner(cfg)
    lines = Lines(monkeypatch, runner)
    pulls = []
    (hook,) = (h for h in runner.hooks if isinstance(h, RegimeHook))
    after = hook.after_train_iter

    def keep(*args, outputs=None, **kwargs):
        pulls.append(outputs['lower/pull'])
        after(*args, outputs=outputs, **kwargs)

    hook.after_train_iter = keep
    runner.train()
    (line,) = (i for i in lines.infos if i.startswith('In this stage theta_P went'))
    assert line.endswith('clipped.')
    assert f'{hook.moved(runner):.0%} of the way toward theta_D' in line
    assert f'was {sum(pulls) / 2:.2g} of the pretext gradient' in line
    assert '100% of the lower steps were clipped' in line
    (warning,) = (w for w in lines.warnings if 'lower steps of alternation' in w)
    assert 'R is lower than was said' in warning


def test_moved_is_the_share_of_the_way(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=2
    )
    runner = make_runner(cfg)
    (hook,) = (h for h in runner.hooks if isinstance(h, RegimeHook))
    runner.train()
    model = runner.model
    with torch.no_grad():
        for start, p, d in zip(
            hook.start, model.lower_backbone(), model.upper_backbone()
        ):
            d.copy_(start + 2.0)
            p.copy_(start + 0.5)
    assert hook.moved(runner) == pytest.approx(0.25, abs=1e-4)


def export_the_best(cfg):
    for hook in cfg.custom_hooks:
        if hook.type == 'TransferHook':
            hook.interval = 1
        if hook.type == 'ExportBackboneHook':
            hook.best = True


def test_first_backbone_and_best_value_outlive_a_resume(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        default_hooks__checkpoint__interval=1,
    )
    export_the_best(cfg)
    runner = make_runner(cfg)
    runner.train()
    history = next(h for h in runner.hooks if isinstance(h, TransferHook)).history
    assert [number for number, _ in history] == [0, 1, 2]
    best = max(history[1:], key=lambda item: item[1])
    exported = torch.load(tmp_path / 'best_backbone.pth', weights_only=True)
    assert exported['meta']['num_alternations'] == best[0]
    first = next(h for h in runner.hooks if isinstance(h, RegimeHook)).start
    cfg.resume = True
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_1.pth'))
    (tmp_path / 'iter_2.pth').unlink()
    again = make_runner(cfg)
    again.train()
    for a, b in zip(
        first, next(h for h in again.hooks if isinstance(h, RegimeHook)).start
    ):
        assert torch.equal(a, b)
    assert again.message_hub.get_info(NAME)[1] == history[-1][1]
    (hook,) = (h for h in again.hooks if isinstance(h, TransferHook))
    assert hook.history == history
    for name, value in weights(runner).items():
        assert torch.equal(weights(again)[name], value), name


def test_the_best_value_is_that_of_its_checkpoint(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=3,
        default_hooks__checkpoint__interval=1,
        default_hooks__checkpoint__max_keep_ckpts=3,
    )
    export_the_best(cfg)
    values = [10.0, 90.0, 50.0, 60.0]
    told = iter(values)
    monkeypatch.setattr(transfer_hook, 'neighbours_accuracy', lambda *_: next(told))
    make_runner(cfg).train()
    saved = load_checkpoint(str(tmp_path / 'iter_1.pth'))
    assert saved['bissl_best_transfer'] == 90.0
    best = torch.load(tmp_path / 'best_backbone.pth', weights_only=True)['state_dict']
    for name, value in best.items():
        assert torch.equal(value, saved['state_dict'][f'pretext.{name}']), name
    # Killed before the checkpoint after that.
    cfg.resume = True
    for number in (2, 3):
        (tmp_path / f'iter_{number}.pth').unlink()
    told = iter(values[2:])
    make_runner(cfg).train()
    best = torch.load(tmp_path / 'best_backbone.pth', weights_only=True)
    assert best['meta']['num_alternations'] == 1


@pytest.mark.parametrize('other', [False, True], ids=['same folder', 'other folder'])
def test_a_best_backbone_of_steps_that_are_done_anew_does_not_stay(
    other, image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path / 'run',
        train_cfg__num_alternations=2,
        train_cfg__num_lower_steps=1,
        train_cfg__num_upper_steps=1,
        param_scheduler__lower=[],
        default_hooks__checkpoint__interval=1,
    )
    export_the_best(cfg)
    told = iter([10.0, 80.0, 90.0])
    monkeypatch.setattr(transfer_hook, 'neighbours_accuracy', lambda *_: next(told))
    make_runner(cfg).train()
    # The second alternation is done anew, and goes another way.
    cfg.resume, cfg.load_from = True, str(tmp_path / 'run' / 'iter_1.pth')
    cfg.optim_wrapper.regularizer.weight *= 100
    if other:
        cfg.work_dir = str(tmp_path / 'other')
    told = iter([70.0])
    runner = make_runner(cfg)
    runner.train()
    best = load_checkpoint(osp.join(cfg.work_dir, 'best_backbone.pth'))
    assert best['meta']['num_alternations'] == 2
    for name, value in best['state_dict'].items():
        assert torch.equal(value, weights(runner)[f'pretext.{name}']), name


def test_a_run_that_stopped_within_its_first_alternation_looks_once(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=2
    )
    stopped = make_runner(cfg, [StopAt('after_upper_step', 1)])
    with pytest.raises(SystemExit):
        stopped.train()
    cfg.resume = True
    runner = make_runner(cfg)
    runner.train()
    (hook,) = (h for h in runner.hooks if isinstance(h, TransferHook))
    assert [number for number, _ in hook.history] == [0, 2]


def test_r_is_measured_once_and_kept(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=3,
        default_hooks__checkpoint__interval=1,
    )
    cfg.optim_wrapper.lower.optimizer = dict(type='bissl_mm.LARS', lr=0.5, eta=0.01)

    def hook_of(runner):
        return next(h for h in runner.hooks if isinstance(h, RegimeHook))

    stopped = make_runner(cfg, [StopAt('after_train_iter', 2)])
    with pytest.raises(SystemExit):
        stopped.train()
    first = hook_of(stopped)
    cfg.resume = True
    # The optimizer's state is that of the checkpoint.
    cfg.optim_wrapper.lower.optimizer.lr = 50.0
    again = make_runner(cfg)
    lines = Lines(monkeypatch, again)
    again.train()
    second = hook_of(again)
    assert first.relaxation_times
    assert (second.relaxation_times, second.gain) == (
        first.relaxation_times,
        first.gain,
    )
    assert not any('relaxes' in line for line in lines.infos + lines.warnings)
    (told,) = [line for line in lines.warnings if 'continues with the old' in line]
    assert 'lower.optimizer.lr is 50.0 now but was 0.5 when' in told


def test_another_lambda_of_a_resumed_run_is_told(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=4,
        default_hooks__checkpoint__interval=1,
    )
    cfg.optim_wrapper.regularizer.weight = 0.5
    cfg.optim_wrapper.lower.optimizer = dict(type='SGD', lr=0.1)
    cfg.param_scheduler.lower = []
    steps = 4 * cfg.train_cfg.num_lower_steps
    stopped = make_runner(cfg, [StopAt('after_train_iter', 1)])
    with pytest.raises(SystemExit):
        stopped.train()
    saved = load_checkpoint((tmp_path / 'last_checkpoint').read_text())
    done = saved['meta']['iter']
    assert 0 < done < 4
    cfg.resume = True
    cfg.optim_wrapper.regularizer.weight = 2.0
    again = make_runner(cfg)
    lines = Lines(monkeypatch, again)
    again.train()
    (hook,) = (h for h in again.hooks if isinstance(h, RegimeHook))
    expected = 0.1 * steps * (done * 0.5 + (4 - done) * 2.0) / 4
    assert hook.relaxation_times == pytest.approx(expected)
    assert any(f'R = {expected:.2g}' in line for line in lines.infos + lines.warnings)


def test_a_head_warm_up_that_was_interrupted_begins_where_it_began(monkeypatch):
    first, second = RegimeHook(), RegimeHook()
    warnings: list[str] = []
    runner = SimpleNamespace(
        _resume=True,
        cfg=dict(optim_wrapper=dict(head_warmup=dict(optimizer=dict(lr=0.1)))),
        logger=SimpleNamespace(warning=warnings.append),
        optim_wrapper=SimpleNamespace(
            head_warmup=SimpleNamespace(
                optimizer=SimpleNamespace(defaults=dict(lr=0.1))
            )
        ),
    )
    for loss in (1.0, 0.4, 0.01):
        first.after_head_warmup_step(runner, dict(loss=loss))
    checkpoint: dict = {}
    first.before_save_checkpoint(runner, checkpoint)
    second.after_load_checkpoint(runner, checkpoint)
    second.after_head_warmup_step(runner, dict(loss=0.03))
    second.after_head_warmup(runner)
    assert not warnings
    second.after_head_warmup_step(runner, dict(loss=9.0))
    second.after_head_warmup(runner)
    assert 'began with a loss of 1 and ended with 9' in warnings[0]


def test_best_without_an_estimate_is_refused(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=2
    )
    cfg.custom_hooks = [dict(type='ExportBackboneHook', best=True)]
    with pytest.raises(ValueError, match="dict\\(type='TransferHook'\\)"):
        make_runner(cfg).train()


def test_neighbours_are_counted_as_by_hand():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 4, generator=generator)
    labels = torch.arange(30) % 3
    right = 0
    for i in range(30):
        votes = {}
        order = sorted(
            (j for j in range(30) if j != i),
            key=lambda j: (
                -float(torch.cosine_similarity(features[i], features[j], dim=0))
            ),
        )
        for j in order[:5]:
            s = float(torch.cosine_similarity(features[i], features[j], dim=0))
            votes[int(labels[j])] = votes.get(int(labels[j]), 0) + math.exp(s / 0.1)
        right += max(votes, key=votes.get) == int(labels[i])
    assert neighbours_accuracy(features, labels, 5) == pytest.approx(100 * right / 30)
    # Fewer images than neighbours.
    assert neighbours_accuracy(features[:2], torch.tensor([1, 1]), 5) == 100
    features[3, 2] = math.nan
    with pytest.raises(ValueRefusal, match='1 of 30 images'):
        neighbours_accuracy(features, labels, 5)


def test_the_estimate_is_of_the_lower_backbone():
    model = bissl_model('SimCLR', torch.float64)
    with torch.no_grad():
        for p in model.upper_backbone():
            p.zero_()
    # Images of a class are alike, so that random features tell them apart.
    kinds = torch.randn(3, 3, 24, 24, dtype=torch.float64)
    labels = torch.arange(24) % 3
    images = kinds[labels] + 0.1 * torch.randn(24, 3, 24, 24, dtype=torch.float64)
    loader = [dict(inputs=images, data_samples=labels)]
    other = copy.deepcopy(model.downstream)
    blind = neighbours_accuracy(*batch_features(other, loader), 10)
    lower = {
        name.removeprefix('backbone.'): tensor
        for name, tensor in model.pretext.state_dict().items()
        if name.startswith('backbone.')
    }
    other.backbone.load_state_dict(lower)
    seeing = neighbours_accuracy(*batch_features(other, loader), 10)
    assert seeing > 90 > 50 > blind
    before = {n: t.clone() for n, t in model.state_dict().items()}
    runner = SimpleNamespace(
        model=model,
        train_loop=SimpleNamespace(iter=0),
        val_loop=SimpleNamespace(dataloader=loader),
        message_hub=SimpleNamespace(update_info=lambda *args: None),
        visualizer=SimpleNamespace(add_scalar=lambda *args, **kwargs: None),
        logger=SimpleNamespace(info=lambda text: None),
    )
    hook = TransferHook()
    hook.before_train(runner)
    assert hook.history == [(0, pytest.approx(seeing))]
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def test_features_are_means_over_the_places_of_the_last_stage():
    first, last = torch.rand(2, 3, 4, 4), torch.rand(2, 5, 2, 2)
    expected = torch.stack([image.reshape(5, -1).mean(1) for image in last])
    for outputs in (last, (first, last), [(first,), (first, last)]):
        assert torch.allclose(pooled(outputs), expected)
    assert torch.equal(pooled((first, expected)), expected)


class Normed(torch.nn.Module):
    """A backbone that is a norm without parameters."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.BatchNorm1d(2, affine=False)

    def data_preprocessor(self, batch, training):
        return batch


def sorted_loader(number, batch_size, **options):
    """Two classes, one after the other, whose features differ by their mean."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(number) * 2 // number
    features = torch.randn(number, 2, generator=generator)
    features[:, 0] += 20.0 * labels

    def collate(indices):
        samples = [SimpleNamespace(gt_label=labels[i : i + 1]) for i in indices]
        return dict(inputs=features[indices], data_samples=samples)

    return DataLoader(range(number), batch_size, collate_fn=collate, **options)


@pytest.mark.parametrize('batch_size', [50, 100])
def test_the_order_of_the_validation_set_does_not_hide_its_classes(batch_size):
    loader = sorted_loader(200, batch_size)
    found = batch_features(Normed(), loader)
    assert neighbours_accuracy(*found, 10) == 100
    # In batches of one class the norm takes away what tells them apart.
    if batch_size == 50:
        in_order = batch_features(Normed(), list(loader))
        assert neighbours_accuracy(*in_order, 10) < 80


def test_mixed_batches_are_a_draw_of_equal_parts():
    state = torch.get_rng_state()
    loader = DataLoader(range(257), batch_size=256)
    batches = list(mixed_batches(loader, 2000))
    assert [len(batch) for batch in batches] == [129, 128]
    # A batch of one image would have no statistics.
    others = mixed_batches(DataLoader(range(57), batch_size=8), 2000)
    assert [len(batch) for batch in others] == [8, 7, 7, 7, 7, 7, 7, 7]
    assert sorted(torch.cat(batches).tolist()) == list(range(257))
    (drawn,) = mixed_batches(loader, 40)
    assert len(set(drawn.tolist())) == 40 and drawn.max() > 200
    (same,) = mixed_batches(loader, 40)
    assert torch.equal(drawn, same)
    assert torch.equal(state, torch.get_rng_state())


def test_an_estimate_that_falls_warns():
    def warnings(*values):
        found = []
        hook = TransferHook()
        hook.history, hook.number_of_samples = list(enumerate(values)), 100
        logger = SimpleNamespace(warning=found.append)
        hook.after_train(SimpleNamespace(logger=logger))
        return found

    # The standard error is 5 points.
    assert not warnings(50.0, 46.0) and not warnings(50.0) and not warnings()
    (line,) = warnings(50.0, 60.0, 44.0)
    assert '44.0%' in line and '50.0%' in line and 'upper.optimizer.lr' in line


def test_no_best_backbone_without_an_estimate_is_said(
    image_folders, tmp_path, monkeypatch
):
    monkeypatch.setattr(transfer_hook, 'batch_features', lambda *args: None)
    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=2
    )
    cfg.custom_hooks = [
        dict(type='TransferHook', interval=1),
        dict(type='ExportBackboneHook', best=True),
    ]
    runner = make_runner(cfg)
    lines = Lines(monkeypatch, runner)
    runner.train()
    (line,) = (i for i in lines.infos if 'estimates nothing' in i)
    (line,) = (w for w in lines.warnings if 'no best_backbone.pth' in w)
    assert not (tmp_path / 'best_backbone.pth').exists()
    assert (tmp_path / 'backbone.pth').exists()


def test_the_estimate_changes_nothing(image_folders, tmp_path, monkeypatch):
    def run(name, interval):
        cfg = small_config(
            monkeypatch, image_folders, tmp_path / name, train_cfg__num_alternations=2
        )
        cfg.custom_hooks = (
            [dict(type='TransferHook', interval=interval)] if interval else []
        )
        runner = make_runner(cfg)
        runner.train()
        return weights(runner)

    expected = run('without', 0)
    for name, value in run('with', 1).items():
        assert torch.equal(value, expected[name]), name
