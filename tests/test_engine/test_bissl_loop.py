"""The loop against Algorithm 1 written out by hand."""

import itertools
import json
import math
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from pretext_models import make
from small_run import StopAt, make_runner, small_config, weights
from task_configs import (
    CONFIGS,
    FIRST_VERSION,
    PUBLISHED,
    TEXT,
    THRIFTY,
    VARIANTS,
    shipped,
)
from toy import DictDataset, ToyDownstream, ToyPretext, nt_xent

from bissl_mm.analysis.scalars import read_scalars
from bissl_mm.engine import BiSSLOptimWrapper, BiSSLTrainLoop
from bissl_mm.engine.hooks import BiSSLCheckpointHook, ExportBackboneHook
from bissl_mm.engine.loop.first_weights import check_first_weights
from bissl_mm.engine.loop.progress import HUB_KEY
from bissl_mm.engine.loop.schedules import take_over_schedules
from bissl_mm.engine.loop.settings import LoopSettings
from bissl_mm.engine.loop.stock_parts import check_stock_parts
from bissl_mm.engine.steps.level_optimizers import check_plain
from bissl_mm.hypergradient import Hessian
from bissl_mm.models import BiSSLModel
from bissl_mm.models.checks import check_differentiable

pytestmark = pytest.mark.usefixtures('plain_config_text')

STAGES = [
    path
    for path in (*CONFIGS, *FIRST_VERSION, *PUBLISHED, *TEXT, *THRIFTY, *VARIANTS)
    if path.stem.startswith('bissl')
]


def batches(number, make, seed):
    generator = torch.Generator().manual_seed(seed)
    return [make(generator) for _ in range(number)]


def pretext_batch(generator):
    return dict(inputs=[torch.randn(6, 3, 8, 8, generator=generator) for _ in range(2)])


def downstream_batch(generator):
    return dict(
        inputs=torch.randn(6, 3, 8, 8, generator=generator),
        data_samples=torch.randint(5, (6,), generator=generator),
    )


def stream(samples):
    return dict(
        dataset=DictDataset(samples),
        batch_size=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type=lambda given: given[0]),
    )


def toy_model():
    torch.manual_seed(0)
    return BiSSLModel(ToyPretext(), ToyDownstream())


def toy_runner(tmp_path, model, lower, upper, wrapper, **settings):
    torch.manual_seed(1)
    settings = {
        **dict(
            num_alternations=2, num_lower_steps=2, num_upper_steps=2, head_warmup=None
        ),
        **settings,
    }
    return Runner(
        model,
        str(tmp_path),
        train_dataloader=stream(upper),
        train_cfg=dict(
            type=BiSSLTrainLoop, pretext_dataloader=stream(lower), **settings
        ),
        optim_wrapper=wrapper,
        default_hooks=dict(checkpoint=None, logger=None),
        randomness=dict(seed=0),
        log_level='ERROR',
        experiment_name=str(tmp_path).replace('/', '_'),
    )


def sgd(module, lr):
    return OptimWrapper(
        torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9),
        clip_grad=dict(max_norm=0.5),
    )


def hand_unrolled(lower, upper, options):
    """Two alternations of two steps each, for plain gradient descent."""
    model = toy_model()
    pretext, downstream = model.pretext, model.downstream
    downstream.backbone.load_state_dict(pretext.backbone.state_dict())
    optimizers = [
        torch.optim.SGD(m.parameters(), lr=lr, momentum=0.9)
        for m, lr in ((pretext, 0.1), (downstream, 0.2))
    ]
    reg, damping = 0.3, 2.0
    gamma = options.get('direct_weight', 1.0)
    indirect = options.get('indirect_weight', 1.0)
    count = options.get('num_batches', 1)
    first = options.get('batches', 'next') == 'first'
    theta_p = list(pretext.backbone.parameters())
    theta_d = list(downstream.backbone.parameters())
    lower, upper = iter(lower), iter(upper)

    def pretext_loss(batch):
        return nt_xent(
            torch.cat([pretext.head(pretext.backbone(x)) for x in batch['inputs']])
        )

    def downstream_loss(backbone, batch):
        logits = downstream.head(backbone(batch['inputs']))
        return F.cross_entropy(logits, batch['data_samples'])

    for alternation in range(2):
        phase = []
        for _ in range(2):
            phase.append(next(lower))
            optimizers[0].zero_grad()
            (
                pretext_loss(phase[-1])
                + reg
                / 2
                * sum((p - d.detach()).square().sum() for p, d in zip(theta_p, theta_d))
            ).backward()
            torch.nn.utils.clip_grad_norm_(pretext.parameters(), 0.5)
            optimizers[0].step()
        if 'adapt' in options:
            with torch.no_grad():
                for p, d in zip(theta_p, theta_d):
                    d.copy_((1 - options['adapt']) * d + options['adapt'] * p)
        hessian = phase[:count] if first else [next(lower) for _ in range(count)]
        for _ in range(2):
            batch = next(upper)
            head = list(downstream.head.parameters())
            at_lower = torch.autograd.grad(
                indirect * downstream_loss(pretext.backbone, batch), theta_p + head
            )
            v, head_lower = at_lower[: len(theta_p)], at_lower[len(theta_p) :]

            def operator(x):
                rows = [
                    torch.autograd.grad(
                        torch.autograd.grad(
                            pretext_loss(b), theta_p, create_graph=True
                        ),
                        theta_p,
                        x,
                    )
                    for b in hessian
                ]
                return [a + sum(r) / count / (reg + damping) for a, *r in zip(x, *rows)]

            # Two iterations of conjugate gradients.
            def dot(a, b):
                return sum((s * t).sum() for s, t in zip(a, b))

            x = [torch.zeros_like(t) for t in v]
            r = p = list(v)
            for _ in range(2):
                q = operator(p)
                alpha = dot(r, r) / dot(p, q)
                x = [a + alpha * b for a, b in zip(x, p)]
                r_next = [a - alpha * b for a, b in zip(r, q)]
                beta = dot(r_next, r_next) / dot(r, r)
                p = [a + beta * b for a, b in zip(r_next, p)]
                r = r_next
            optimizers[1].zero_grad()
            (gamma * downstream_loss(downstream.backbone, batch)).backward()
            for param, extra in zip(theta_d + head, x + list(head_lower)):
                param.grad += extra
            torch.nn.utils.clip_grad_norm_(downstream.parameters(), 0.5)
            optimizers[1].step()
    return model


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(num_batches=2),
        dict(num_batches=2, batches='first'),
        dict(direct_weight=0.01),
        dict(direct_weight=0.0, indirect_weight=2.0),
        dict(adapt=0.1),
    ],
    ids=lambda o: '-'.join(o) or 'published',
)
def test_two_alternations_equal_the_algorithm_by_hand(options, tmp_path, float64):
    count = options.get('num_batches', 1)
    per_phase = 2 + (0 if options.get('batches') == 'first' else count)
    lower = batches(2 * per_phase, pretext_batch, 1)
    upper = batches(4, downstream_batch, 2)
    expected = hand_unrolled(lower, upper, options)
    model = toy_model()
    settings = dict(options)
    weights_of_terms = {
        key: settings.pop(key)
        for key in ('direct_weight', 'indirect_weight')
        if key in settings
    }
    own = {
        key: settings.pop(key) for key in ('num_batches', 'batches') if key in settings
    }
    if 'adapt' in settings:
        settings['backbone_adaptation'] = dict(interval=1, alpha=settings.pop('adapt'))
    wrapper = BiSSLOptimWrapper(
        sgd(model.pretext, 0.1),
        sgd(model.downstream, 0.2),
        sgd(model.downstream, 0.2),
        regularizer=dict(weight=0.3),
        **weights_of_terms,
        hypergradient=dict(
            damping=2.0,
            solver=dict(type='CGSolver', max_iters=2, negative_curvature='continue'),
            **own,
        ),
    )
    toy_runner(tmp_path, model, lower, upper, wrapper, **settings).train()
    for (name, a), (_, b) in zip(
        model.named_parameters(), expected.named_parameters(), strict=True
    ):
        torch.testing.assert_close(
            a, b, rtol=1e-9, atol=1e-11, msg=lambda text: f'{name}: {text}'
        )


def supervised(upper, model, lr=0.2):
    """Training with only the direct term, by hand."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for batch in upper:
        optimizer.zero_grad()
        model(**batch, mode='loss')['loss'].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()


def test_the_upper_level_alone_is_supervised_training(tmp_path, float64):
    """The control "training twice": no lower steps, no indirect term."""
    lower = batches(2, pretext_batch, 1)
    upper = batches(4, downstream_batch, 2)
    expected = toy_model()
    expected.downstream.backbone.load_state_dict(expected.pretext.backbone.state_dict())
    supervised(upper, expected.downstream)
    model = toy_model()
    wrapper = BiSSLOptimWrapper(
        sgd(model.pretext, 0.1),
        sgd(model.downstream, 0.2),
        sgd(model.downstream, 0.2),
        regularizer=dict(weight=0.3),
        indirect_weight=0.0,
    )
    runner = toy_runner(tmp_path, model, lower, upper, wrapper, num_lower_steps=0)
    runner.register_hook(ExportBackboneHook(level='upper'))
    runner.train()
    for (name, a), (_, b) in zip(
        model.named_parameters(), expected.named_parameters(), strict=True
    ):
        torch.testing.assert_close(
            a, b, rtol=1e-9, atol=1e-11, msg=lambda text: f'{name}: {text}'
        )
    exported = torch.load(tmp_path / 'backbone.pth', weights_only=True)['state_dict']
    for name, value in model.downstream.backbone.state_dict().items():
        assert torch.equal(exported[f'backbone.{name}'], value), name


def test_ij_discarded_is_supervised_above_and_tied_below(tmp_path, float64):
    """B.9.5: theta_D and the head see no gradient at theta_P; the lower level is
    drawn to theta_D as before."""
    lower, upper = batches(4, pretext_batch, 1), batches(4, downstream_batch, 2)
    model = toy_model()
    pretext = deepcopy(model.pretext)
    downstream = deepcopy(model.downstream)
    downstream.backbone.load_state_dict(pretext.backbone.state_dict())
    wrapper = BiSSLOptimWrapper(
        sgd(model.pretext, 0.1),
        sgd(model.downstream, 0.2),
        sgd(model.downstream, 0.2),
        regularizer=dict(weight=0.3),
        indirect_weight=0.0,
        hypergradient=dict(damping=2.0, batches='first'),
    )
    toy_runner(tmp_path, model, lower, upper, wrapper).train()
    half = deepcopy(downstream)
    supervised(upper[:2], half)
    first = list(downstream.backbone.parameters())
    anchors = [[p.detach().clone() for p in first], list(half.backbone.parameters())]
    supervised(upper, downstream)
    optimizer = torch.optim.SGD(pretext.parameters(), lr=0.1, momentum=0.9)
    for i, batch in enumerate(lower):
        pairs = zip(pretext.backbone.parameters(), anchors[i // 2], strict=True)
        tie = sum((p - d.detach()).square().sum() for p, d in pairs)
        views = [pretext.head(pretext.backbone(x)) for x in batch['inputs']]
        optimizer.zero_grad()
        (nt_xent(torch.cat(views)) + 0.3 / 2 * tie).backward()
        torch.nn.utils.clip_grad_norm_(pretext.parameters(), 0.5)
        optimizer.step()
    for level, expected in (('downstream', downstream), ('pretext', pretext)):
        found = dict(getattr(model, level).named_parameters())
        for name, value in expected.named_parameters():
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11)


def test_one_backbone_of_both_levels_gets_both_gradients(tmp_path, float64):
    lower = batches(6, pretext_batch, 1)
    upper = batches(4, downstream_batch, 2)
    expected = toy_model()
    pretext, downstream = expected.pretext, expected.downstream
    downstream.backbone = pretext.backbone
    optimizers = [
        torch.optim.SGD(m.parameters(), lr=lr, momentum=0.9)
        for m, lr in ((pretext, 0.1), (downstream, 0.2))
    ]
    for alternation in range(2):
        # The third batch of a phase is the Hessian's.
        for batch in lower[3 * alternation : 3 * alternation + 2]:
            optimizers[0].zero_grad()
            pretext(**batch, mode='loss')['loss'].backward()
            torch.nn.utils.clip_grad_norm_(pretext.parameters(), 0.5)
            optimizers[0].step()
        for batch in upper[2 * alternation : 2 * alternation + 2]:
            optimizers[1].zero_grad()
            downstream(**batch, mode='loss')['loss'].backward()
            torch.nn.utils.clip_grad_norm_(downstream.parameters(), 0.5)
            optimizers[1].step()
    torch.manual_seed(0)
    model = BiSSLModel(ToyPretext(), ToyDownstream(), share_backbone=True)
    wrapper = BiSSLOptimWrapper(
        sgd(model.pretext, 0.1),
        sgd(model.downstream, 0.2),
        sgd(model.downstream, 0.2),
        regularizer=dict(weight=0.3),
        indirect_weight=0.0,
    )
    toy_runner(tmp_path, model, lower, upper, wrapper).train()
    for level in ('pretext', 'downstream'):
        for (name, a), (_, b) in zip(
            getattr(model, level).named_parameters(),
            getattr(expected, level).named_parameters(),
            strict=True,
        ):
            torch.testing.assert_close(
                a, b, rtol=1e-9, atol=1e-11, msg=lambda text: f'{name}: {text}'
            )


def test_an_upper_level_without_a_term_is_refused():
    model = toy_model()
    with pytest.raises(ValueError, match='the upper level has no loss'):
        BiSSLOptimWrapper(
            sgd(model.pretext, 0.1),
            sgd(model.downstream, 0.2),
            sgd(model.downstream, 0.2),
            direct_weight=0,
            indirect_weight=0,
        )


def test_a_solver_without_products_builds_no_graph(tmp_path, float64, monkeypatch):
    built = []
    close = Hessian.close

    def closed(self):
        # There is a loss only if a graph was built.
        built.append(self.loss is not None)
        close(self)

    monkeypatch.setattr(Hessian, 'close', closed)
    for solver, check, number in (
        ('IdentitySolver', 'never', 0),
        ('DiscardSolver', 'never', 0),
        ('IdentitySolver', 'always', 2),
        ('CGSolver', 'never', 2),
    ):
        built.clear()
        model = toy_model()
        wrapper = BiSSLOptimWrapper(
            sgd(model.pretext, 0.1),
            sgd(model.downstream, 0.2),
            sgd(model.downstream, 0.2),
            hypergradient=dict(solver=dict(type=solver), check_residual=check),
        )
        toy_runner(
            tmp_path / f'{solver}{check}',
            model,
            batches(6, pretext_batch, 1),
            batches(4, downstream_batch, 2),
            wrapper,
        ).train()
        assert sum(built) == number, (solver, check)


def test_warm_up_trains_the_head_alone(image_folders, tmp_path, monkeypatch):
    seen = {}

    class Look(Hook):
        def before_head_warmup(self, runner):
            seen['before'] = weights(runner)

        def after_head_warmup(self, runner):
            seen['after'] = weights(runner)

    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        train_cfg__head_warmup__num_epochs=2,
    )
    runner = make_runner(cfg, [Look()])
    runner.train()
    params = dict(runner.model.named_parameters())
    changed = {
        n for n in params if not torch.equal(seen['before'][n], seen['after'][n])
    }
    assert changed == {'downstream.head.fc.weight', 'downstream.head.fc.bias'}
    assert all(p.requires_grad for p in params.values())
    norm = 'downstream.backbone.bn1.num_batches_tracked'
    # 24 images in batches of 6, two passes.
    assert seen['after'][norm] - seen['before'][norm] == 8


@pytest.mark.parametrize('passes, steps', [(0.6, [2]), (1.3, [4, 1]), (0.01, [1])])
def test_warm_up_of_a_part_of_a_pass(
    passes, steps, image_folders, tmp_path, monkeypatch
):
    """A pass has four batches. Each pass, and the part at the end, is logged."""
    losses = []

    class Look(Hook):
        def after_head_warmup_step(self, runner, logs):
            losses.append(logs['loss'])

        def after_head_warmup(self, runner):
            raise KeyboardInterrupt

    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__head_warmup__num_epochs=passes
    )
    with pytest.raises(KeyboardInterrupt):
        make_runner(cfg, [Look()]).train()
    assert len(losses) == sum(steps)
    (path,) = tmp_path.glob('*/vis_data/scalars.json')
    rows = map(json.loads, path.read_text().splitlines())
    found = [row for row in rows if 'head_warmup/loss' in row]
    places = [sum(steps[:i]) for i in range(len(steps) + 1)]
    assert [row['head_warmup/loss'] for row in found] == pytest.approx(
        [np.mean(losses[a:b]) for a, b in itertools.pairwise(places)]
    )
    assert [row['step'] for row in found] == list(range(1, len(steps) + 1))


def test_frozen_norms_in_eval_mode_keep_their_statistics(
    image_folders, tmp_path, monkeypatch
):
    seen = []

    class Look(Hook):
        def after_head_warmup(self, runner):
            seen.append(weights(runner))

    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        train_cfg__head_warmup__backbone_mode='eval',
    )
    make_runner(cfg, [Look()]).train()
    prefix = 'downstream.backbone.'
    names = [name for name in seen[0] if name.startswith(prefix)]
    assert any(name.endswith('running_var') for name in names)
    for name in names:
        partner = 'pretext.backbone.' + name[len(prefix) :]
        assert torch.equal(seen[0][name], seen[0][partner]), name


def test_schedules_count_the_steps_of_their_level(image_folders, tmp_path, monkeypatch):
    rates = dict(lower=[], upper=[])

    class Look(Hook):
        def after_lower_step(self, runner, logs):
            rates['lower'].append(runner.optim_wrapper['lower'].get_lr())

        def after_upper_step(self, runner, logs):
            rates['upper'].append(runner.optim_wrapper['upper'].get_lr())

    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=3
    )
    make_runner(cfg, [Look()]).train()
    lower = [r['lr'][0] for r in rates['lower']]
    upper = [r['lr'][0] for r in rates['upper']]

    def cosine(peak, step, length):
        low = 0.001 * peak
        return low + (peak - low) * (1 + math.cos(math.pi * step / length)) / 2

    # The rest of the last step of each level is not used.
    assert lower[:3] == pytest.approx(
        [0.125 * (1e-4 + (1 - 1e-4) * i / 3) for i in (1, 2, 3)]
    )
    assert lower[3:8] == pytest.approx([cosine(0.125, i, 5) for i in range(5)])
    assert upper[:5] == pytest.approx([cosine(0.01, i, 6) for i in range(1, 6)])
    assert len(lower) == 9 and len(upper) == 6


def told_of_schedules(schedules, settings):
    """Warnings about the schedules of a stage."""
    lines = []
    runner = SimpleNamespace(
        hooks=[],
        _hooks=[],
        param_schedulers=deepcopy(schedules),
        logger=SimpleNamespace(warning=lines.append),
    )
    take_over_schedules(runner, settings)
    return lines


def loop_settings(alternations, lower, upper):
    return LoopSettings(alternations, lower, upper, None, 1, 'next', None, 1, 1)


def test_a_schedule_that_is_longer_than_its_level_is_told():
    def lines(end):
        upper = [dict(type='LinearLR', by_epoch=False, begin=0, **end)]
        return told_of_schedules(dict(upper=upper), loop_settings(30, 10, 4))

    (line,) = lines(dict(end=500))
    assert 'upper: LinearLR ends at step 500, but the run has 120 steps' in line
    assert 'param_scheduler.upper.0.end=120' in line
    assert not lines(dict(end=120)) and not lines({})


@pytest.mark.whole
def test_no_shipped_schedule_is_longer_than_its_level():
    assert STAGES
    for path in STAGES:
        cfg = shipped(path)
        loop = cfg.train_cfg
        settings = loop_settings(
            loop.num_alternations, loop.num_lower_steps, loop.num_upper_steps
        )
        assert not told_of_schedules(cfg.param_scheduler.to_dict(), settings), path


def test_a_hook_that_ignores_a_stop_is_told():
    stock, own = CheckpointHook(by_epoch=False), BiSSLCheckpointHook()
    for hooks, told in (([stock], True), ([stock, own], False), ([], False)):
        lines = []
        check_stock_parts(
            SimpleNamespace(
                auto_scale_lr=None,
                hooks=hooks,
                logger=SimpleNamespace(warning=lines.append),
            )
        )
        assert [
            'SIGTERM and Ctrl-C will end the stage without a checkpoint' in line
            for line in lines
        ] == [True] * told


def test_evaluations_are_logged_by_alternation_without_a_setting(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=4
    )
    cfg.log_processor, cfg.default_hooks.logger = None, dict(type='LoggerHook')
    runner = make_runner(cfg)
    runner.train()
    assert read_scalars(str(tmp_path))['accuracy/top1']['step'] == [2, 4]
    assert not runner.log_processor.by_epoch


def test_a_pretraining_of_the_downstream_backbone_alone_is_refused(
    image_folders, tmp_path, monkeypatch
):
    file = str(tmp_path / 'backbone.pth')
    init_cfg = dict(type='Pretrained', checkpoint=file)
    backbone = dict(init_cfg, prefix='backbone.')

    def config(**options):
        return small_config(monkeypatch, image_folders, tmp_path / 'run', **options)

    def check(**options):
        runner = make_runner(config(**options))
        check_first_weights(runner, runner.model)

    torch.save(make_runner(config()).model.downstream.state_dict(), file)
    remedy = f'Set model.pretrained={file!r}'
    cfg = config(model__downstream__backbone__init_cfg=backbone)
    with pytest.raises(ValueError, match=f'model.downstream.backbone.init_.*{remedy}'):
        make_runner(cfg).train()
    assert not list((tmp_path / 'run').glob('*.pth'))
    with pytest.raises(ValueError, match=f'^model.downstream.init_cfg.*{remedy}'):
        check(model__downstream__init_cfg=init_cfg)
    # Whatever theta_P begins with is copied.
    for other in (
        dict(model__pretrained=file),
        dict(load_from=file),
        dict(model__pretext__backbone__init_cfg=backbone),
        dict(model__init_cfg=init_cfg),
        dict(model__downstream__backbone__init_cfg=None),
    ):
        check(**{'model__downstream__backbone__init_cfg': backbone, **other})
    # The head's pretraining stays.
    check(model__downstream__head__init_cfg=dict(init_cfg, prefix='head.'))
    # Nothing is copied in a run that goes on.
    runner = make_runner(cfg)
    runner.message_hub.update_info(HUB_KEY, {})
    check_first_weights(runner, runner.model)


@pytest.mark.parametrize('where', ['lower', 'upper', 'at_lower', 'warmup'])
def test_nan_stops_within_the_step_and_names_the_site(
    where, image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch, image_folders, tmp_path, default_hooks__checkpoint__interval=1
    )
    runner = make_runner(cfg)
    model = runner.model
    part = model.pretext if where == 'lower' else model.downstream
    parse = part.parse_losses
    calls = []

    def poisoned(losses):
        total, log = parse(losses)
        calls.append(0)
        at = dict(lower=5, upper=10, at_lower=9, warmup=2)[where]
        return (total * float('nan') if len(calls) == at else total), log

    part.parse_losses = poisoned
    site = dict(
        lower='lower level: pretext_loss is nan',
        upper='upper level: loss_at_upper is nan',
        at_lower='upper level: loss_at_lower is nan',
        warmup='head warm-up: loss is nan',
    )[where]
    before = {}

    class Look(Hook):
        priority = 'VERY_LOW'

        def remember(self, runner, logs):
            before.update(weights(runner))

        after_lower_step = after_upper_step = remember
        after_head_warmup_step = remember

    runner.register_hook(Look())
    with pytest.raises(FloatingPointError, match=site):
        runner.train()
    for name, param in model.named_parameters():
        assert torch.equal(param, before[name]), name
    kept = sorted(p.name for p in tmp_path.glob('*.pth'))
    assert kept == ([] if where == 'warmup' else ['iter_1.pth'])
    for name in kept:
        state = torch.load(tmp_path / name, weights_only=False)['state_dict']
        assert all(v.isfinite().all() for v in state.values())


@pytest.mark.parametrize(
    'change, error, message',
    [
        (
            dict(train_cfg__num_alternations=0),
            ValueError,
            'num_alternations must be a whole number of at least 1, but is 0',
        ),
        (dict(train_cfg__num_lower_steps=-3), ValueError, 'num_lower_steps'),
        (dict(train_cfg__num_upper_steps=0.5), ValueError, 'num_upper_steps'),
        (
            dict(train_cfg__num_lower_step=3),
            TypeError,
            "unknown key 'num_lower_step'. Did you mean 'num_lower_steps'",
        ),
        (
            dict(train_cfg__head_warmup__num_epoch=3),
            TypeError,
            "Did you mean 'num_epochs'",
        ),
        (
            dict(train_cfg__head_warmup__num_epochs=0),
            ValueError,
            'num_epochs is 0. Set head_warmup=None',
        ),
        (
            dict(train_cfg__head_warmup__num_epochs=-0.5),
            ValueError,
            'num_epochs must be a number of at least 0, but is -0.5',
        ),
        (
            dict(train_cfg__backbone_adaptation=dict(alpha=2)),
            ValueError,
            'alpha must lie in',
        ),
        (
            dict(train_cfg__hessian_batches='last'),
            TypeError,
            'hessian_batches is now optim_wrapper.hypergradient.batches',
        ),
        (
            dict(optim_wrapper__hypergradient__batches='last'),
            ValueError,
            "'next', 'first'",
        ),
        (
            dict(
                optim_wrapper__hypergradient__batches='first',
                optim_wrapper__hypergradient__num_batches=4,
            ),
            ValueError,
            'exceeds',
        ),
        (
            dict(
                optim_wrapper__regularizer__weight=0.0,
                optim_wrapper__hypergradient__damping=0.0,
            ),
            ValueError,
            'is 0, but the Hessian is divided by this sum',
        ),
        (
            dict(optim_wrapper__hypergradient__dampning=1.0),
            TypeError,
            "Did you mean 'damping'",
        ),
        (
            dict(optim_wrapper__regularizer__wieght=1.0),
            TypeError,
            "Did you mean 'weight'",
        ),
        (
            dict(optim_wrapper__lower__clip_gard=dict(max_norm=1.0)),
            TypeError,
            "Did you mean 'clip_grad'",
        ),
        (
            dict(optim_wrapper__hypergradient__solver=dict(type='CGSolver', tol=1)),
            TypeError,
            'CGSolver: unknown key .*_delete_=True',
        ),
        (
            dict(optim_wrapper__regularizer__type='ScheduledDistance'),
            TypeError,
            r'ScheduledDistance: unknown key .weight.*_delete_=True',
        ),
        (
            dict(optim_wrapper__lower__accumulative_counts=2),
            TypeError,
            'accumulative_counts=2',
        ),
        (
            dict(optim_wrapper__upper=dict(type='AmpOptimWrapper', loss_scale=512.0)),
            TypeError,
            r"upper: AmpOptimWrapper scales its loss, .* Set type='OptimWrapper' without",
        ),
        (
            dict(
                optim_wrapper=dict(
                    type='OptimWrapper',
                    optimizer=dict(type='SGD', lr=0.1),
                    _delete_=True,
                )
            ),
            TypeError,
            'optim_wrapper serves only one model',
        ),
        (
            dict(param_scheduler__lower=[dict(type='LinearLR', end=3)]),
            ValueError,
            'needs by_epoch=False',
        ),
        (
            dict(param_scheduler=dict(middle=[], _delete_=True)),
            TypeError,
            "param_scheduler: unknown key 'middle'",
        ),
        (
            dict(
                param_scheduler__upper=[
                    dict(type='PolyLR', by_epoch=False, begin=12, end=80)
                ]
            ),
            ValueError,
            r'upper: PolyLR begins at step 12 and ends at step 80, .* the 12 steps.* '
            r'\(--cfg-options param_scheduler\.upper\.0\.begin=N, and the end',
        ),
        (
            dict(
                param_scheduler=dict(
                    upper=dict(type='PolyLR', by_epoch=False, begin=5, end=5),
                    _delete_=True,
                )
            ),
            ValueError,
            'upper: PolyLR begins at step 5 and ends at step 5, .*'
            r'param_scheduler\.upper\.begin=N',
        ),
        (dict(custom_hooks=[dict(type='EMAHook')]), TypeError, 'EMAHook'),
        (
            dict(
                custom_hooks=[
                    dict(
                        type='mmpretrain.SwitchRecipeHook',
                        schedule=[dict(action_epoch=2, batch_augments=None)],
                    )
                ]
            ),
            TypeError,
            'SwitchRecipeHook waits for an epoch, .* Remove it from custom_hooks',
        ),
        (
            dict(custom_hooks=[dict(type='mmpretrain.PreciseBNHook')]),
            TypeError,
            "PreciseBNHook waits for mmengine's own loops, .* fail or do nothing",
        ),
        (
            dict(
                custom_hooks=[
                    dict(
                        type='mmpretrain.WarmupParamHook',
                        param_name='loss_weight',
                        module_name='downstream.head.loss_module',
                        warmup_epochs=3,
                    )
                ]
            ),
            TypeError,
            'WarmupParamHook counts epochs, .* Remove it from custom_hooks',
        ),
        (
            dict(custom_hooks=[dict(type='mmpretrain.DenseCLHook')]),
            TypeError,
            'DenseCLHook looks for loss_lambda in the whole model, but',
        ),
        (
            dict(model__share_backbone=True),
            ValueError,
            r'would count twice\. Type .*optim_wrapper\.indirect_weight=0',
        ),
        (
            dict(optim_wrapper__type='bissl_mm.WeightedSumOptimWrapper'),
            ValueError,
            r'model\.share_backbone=True train_cfg\.num_lower_steps=1 .*batches=first',
        ),
        (
            dict(auto_scale_lr=dict(enable=True, base_batch_size=16)),
            ValueError,
            r'Set auto_scale_lr\.enable=False',
        ),
        (
            # mmengine's own hooks.
            dict(default_hooks=dict(_delete_=True)),
            TypeError,
            "CheckpointHook with by_epoch=True .*type='BiSSLCheckpointHook'",
        ),
        (
            dict(train_dataloader__batch_size=25),
            ValueError,
            'has 24 samples, fewer than one batch of 25',
        ),
        (
            dict(train_cfg__pretext_dataloader__batch_size=41),
            ValueError,
            'lower dataloader: the dataset has 40 samples',
        ),
        (dict(model__pretrian='x'), TypeError, "Did you mean 'pretrained'"),
        (dict(model__eval_backbone='both'), ValueError, "'upper', 'lower'"),
        (
            dict(model__downstream__backbone__depth=34),
            ValueError,
            'downstream parameters have no pretext partner',
        ),
        (
            dict(model__downstream__backbone__base_channels=8),
            ValueError,
            r'has shape \(4, 4, 3, 3\), but its downstream partner',
        ),
        (
            dict(model__downstream__backbone__frozen_stages=1),
            ValueError,
            'frozen in the downstream model only',
        ),
        (
            dict(model__pretext__backbone__with_cp=True),
            TypeError,
            're-entrant activation checkpointing',
        ),
        (
            dict(model__pretext__backbone__out_indices=(0, 1)),
            ValueError,
            r'out_indices=\[0, 1\], but its neck \(NonLinearNeck\) takes one output. '
            r'Set model.pretext.backbone.out_indices=\[1\]',
        ),
        (
            dict(model__downstream__backbone__with_cp=True),
            TypeError,
            'downstream model',
        ),
        (
            dict(default_hooks__checkpoint__intervall=3),
            TypeError,
            "Did you mean 'interval'",
        ),
    ],
    ids=lambda v: '-'.join(v) if isinstance(v, dict) else None,
)
def test_bad_settings_are_named_and_leave_nothing_behind(
    change, error, message, image_folders, tmp_path, monkeypatch
):
    options = dict(change)
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        **{
            k: v
            for k, v in options.items()
            if not (isinstance(v, dict) and '_delete_' in v)
        },
    )
    for key, value in options.items():
        if isinstance(value, dict) and '_delete_' in value:
            cfg[key] = {k: v for k, v in value.items() if k != '_delete_'}
    with pytest.raises(error, match=message):
        make_runner(cfg).train()
    assert not list(tmp_path.glob('*.pth'))
    assert not (tmp_path / 'last_checkpoint').exists()


def test_a_lambda_that_ends_at_zero_is_told_before_training(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(monkeypatch, image_folders, tmp_path)
    cfg.optim_wrapper.regularizer = dict(
        type='ScheduledDistance',
        schedule='cosine_decay',
        max_weight=0.1,
        min_weight=0.0,
    )
    cfg.optim_wrapper.hypergradient.damping = 0.0
    steps = StopAt('after_head_warmup_step', 1)
    with pytest.raises(ValueError, match=r'in alternation 6 of 6 lambda \(=0\)'):
        make_runner(cfg, [steps]).train()
    # Nothing was trained.
    assert steps.left == 1


def test_mixed_precision_is_refused():
    # Its constructor needs an accelerator.
    wrapper = AmpOptimWrapper.__new__(AmpOptimWrapper)
    with pytest.raises(TypeError, match='upper is an AmpOptimWrapper'):
        check_plain('upper', wrapper)


def test_sync_batch_norm_is_refused_at_the_lower_level():
    model = toy_model()
    check_differentiable(model.pretext, model.downstream)
    model.pretext.backbone[1] = torch.nn.SyncBatchNorm(8)
    with pytest.raises(TypeError, match="'backbone.1' is a .*SyncBatchNorm"):
        check_differentiable(model.pretext, model.downstream)


def test_activation_checkpointing_is_refused(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        activation_checkpointing='pretext.backbone.layer1',
    )
    with pytest.raises(TypeError, match="'backbone.layer1'"):
        make_runner(cfg).train()


def test_train_step_names_the_loop():
    with pytest.raises(RuntimeError, match='BiSSLTrainLoop'):
        toy_model().train_step({}, None)


@pytest.mark.parametrize(
    'name, better',
    [
        ('stock SimCLR', 'bissl_mm.SimCLR'),
        ('stock Barlow Twins', 'bissl_mm.CrossCorrelationHead'),
    ],
)
def test_losses_wrong_on_several_processes_are_refused(name, better):
    pretext, _ = make(name)
    downstream = torch.nn.Linear(1, 1)
    check_differentiable(pretext, downstream, num_processes=1)
    with pytest.raises(TypeError, match=f"2 processes .* Use type='{better}'"):
        check_differentiable(pretext, downstream, num_processes=2)
    check_differentiable(make(name[len('stock ') :])[0], downstream, num_processes=2)
