"""Arms against closed forms and two-line references."""

import math
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from task_configs import shipped
from toy import ToyDownstream

from bissl_mm.analysis.runs.fine_tune import set_checkpoint
from bissl_mm.experiments.definition import patches
from bissl_mm.experiments.definition.arms import ARMS, read_arms
from bissl_mm.experiments.runs.starts import NOISE, STARTS, backbone_parts
from bissl_mm.utils.errors import TypeRefusal, ValueRefusal

PRETEXT = 'pretext/simclr_r10_b256-60e_imagefolder-32px'
STAGE = 'bissl/bissl-simclr_r10_b128-10x4-30t_imagefolder-32px'
FINE_TUNE = 'fine_tune/r10_32px'


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ToyDownstream()


def begin(model, name, seed=3):
    """A runner whose fine-tuning begins, and its hook."""
    runner = SimpleNamespace(model=model)
    (hook,) = STARTS[name](seed)
    hook.before_train(runner)
    return runner, hook


def test_noisy_tune_adds_a_share_of_each_tensors_deviation(model):
    before = deepcopy(model)
    begin(model, 'noisy_tune')
    generator = torch.Generator().manual_seed(3)
    for old, new in zip(
        before.backbone.parameters(), model.backbone.parameters(), strict=True
    ):
        noise = torch.randn(old.shape, generator=generator)
        torch.testing.assert_close(new, old + NOISE * old.std(correction=0) * noise)
    assert torch.equal(before.head.weight, model.head.weight)
    other = deepcopy(before)
    begin(other, 'noisy_tune', seed=4)
    first = next(model.backbone.parameters())
    assert not torch.equal(first, next(other.backbone.parameters()))


def test_zero_head_starts_at_the_logarithm_of_the_number_of_classes(model):
    begin(model, 'zero_head')
    inputs, labels = torch.randn(6, 3, 8, 8), torch.arange(6) % 5
    loss = model(inputs, labels, mode='loss')['loss']
    assert loss.item() == pytest.approx(math.log(5), rel=1e-6)


def test_zero_head_is_refused_for_a_dense_head():
    dense = torch.nn.Module()
    dense.backbone = torch.nn.Linear(1, 1)
    with pytest.raises(ValueRefusal, match='no classification head'):
        begin(dense, 'zero_head')


def test_linear_probing_is_descent_on_fixed_features(model):
    before = deepcopy(model).eval()
    runner, hook = begin(model, 'linear_probing')
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, weight_decay=0.1)
    inputs, labels = torch.randn(6, 3, 8, 8), torch.arange(6) % 5
    head = deepcopy(model.head)
    for i in range(3):
        model.train()
        hook.before_train_iter(runner, i)
        optimizer.zero_grad()
        model(inputs, labels, mode='loss')['loss'].backward()
        optimizer.step()
        loss = F.cross_entropy(head(before.backbone(inputs)), labels)
        for param, grad in zip(
            head.parameters(),
            torch.autograd.grad(loss, list(head.parameters())),
            strict=True,
        ):
            param.data -= 0.3 * (grad + 0.1 * param.data)
    torch.testing.assert_close(model.head.weight, head.weight)
    for name, value in before.backbone.state_dict().items():
        assert torch.equal(value, model.backbone.state_dict()[name]), name


def test_random_initialization_reads_no_file():
    cfg = shipped(FINE_TUNE)
    assert 'Pretrained' in str(cfg.model)
    set_checkpoint(cfg.model, None)
    assert 'Pretrained' not in str(cfg.model)


def test_shared_heads_belong_to_the_backbone():
    detector = SimpleNamespace(backbone=1, roi_head=SimpleNamespace(shared_head=2))
    assert backbone_parts(detector) == [1, 2]
    assert backbone_parts(SimpleNamespace(backbone=1)) == [1]


def test_data_mix_shows_downstream_images_to_the_pretext_views():
    cfg, task = shipped(PRETEXT), shipped(FINE_TUNE)
    patches.data_mix(cfg, task)
    own, other = cfg.train_dataloader.dataset.datasets
    assert other.dataset.data_prefix == 'train' and own.dataset.data_prefix == ''
    assert other.dataset.pipeline == own.dataset.pipeline
    assert cfg.train_cfg.max_epochs == 10
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.3 / 4.8)
    (schedule,) = cfg.param_scheduler
    assert schedule['type'] == 'CosineAnnealingLR'
    assert (schedule['begin'], schedule['end']) == (0, 10)


def test_data_mix_has_the_papers_learning_rate_in_its_setting():
    cfg = shipped('pretext/simclr_r50_8xb128-500e_in1k-96px')
    patches.data_mix(cfg, shipped('fine_tune/r50_96px'))
    assert cfg.optim_wrapper.optimizer.lr == 1.0


def test_longer_pretraining_stretches_its_schedule():
    cfg = shipped(PRETEXT)
    patches.longer_pretraining(cfg, cfg)
    assert cfg.train_cfg.max_epochs == 160
    assert [s.end for s in cfg.param_scheduler] == [3, 160]


def test_ij_discarded_and_training_twice_drop_the_first_term():
    """What indirect_weight=0 does is tested in test_engine/test_bissl_loop.py."""
    cfg = shipped(STAGE)
    patches.ij_discarded(cfg, cfg)
    assert cfg.optim_wrapper.indirect_weight == 0.0
    assert cfg.train_cfg.num_lower_steps == 10
    patches.training_twice(cfg, cfg)
    assert cfg.train_cfg.num_lower_steps == 0
    (export,) = [h for h in cfg.custom_hooks if h.type == 'ExportBackboneHook']
    assert export.level == 'upper'


def test_weighted_sum_makes_as_many_steps_as_the_upper_level():
    cfg = shipped(STAGE)
    lower = deepcopy(cfg.optim_wrapper.lower)
    patches.weighted_sum(cfg, cfg)
    loop, wrapper = cfg.train_cfg, cfg.optim_wrapper
    assert (loop.num_alternations, loop.num_lower_steps, loop.num_upper_steps) == (
        120,
        1,
        1,
    )
    assert wrapper.lower.optimizer == lower.optimizer == wrapper.upper.optimizer
    assert cfg.param_scheduler.upper == cfg.param_scheduler.lower
    assert cfg.model.share_backbone and wrapper.weight == 0.25


@pytest.mark.parametrize(
    'given, error, text',
    [
        (['FT', 'BiSSL'], TypeRefusal, "'BiSSL'.*Did you mean 'BiSSL\\+FT'"),
        ([], ValueRefusal, 'arms is empty'),
        (['FT', 3], TypeRefusal, 'must be a list of names'),
        ({'Mine': {}}, ValueRefusal, "'Mine'. has no checkpoint"),
        ({'Mine': dict(chekpoint='x')}, TypeRefusal, "Did you mean 'checkpoint'"),
        ({'Mine': dict(like='Ft')}, TypeRefusal, "Did you mean 'FT'"),
        ({'FT': dict(stage={'a': 1})}, ValueRefusal, 'stage has no.*no bilevel stage'),
        (
            {'Mine': dict(like='BiSSL+FT', checkpoint='x', pretext={'a': 1})},
            ValueRefusal,
            "arms.'Mine'.: pretext has no effect, because the arm has no pretraining",
        ),
        ({'Data mix': dict(stage={'a': 1})}, ValueRefusal, 'no effect'),
    ],
)
def test_wrong_arms_are_refused(given, error, text):
    with pytest.raises(error, match=text):
        read_arms(given, 'file.py')


def test_own_file_is_fine_tuned_as_the_arm_that_it_is_like():
    (arm,) = read_arms({'Mine': dict(like='Zero head', checkpoint='x')}, 'file.py')
    assert (arm.source, arm.checkpoint, arm.start) == ('file', 'x', 'zero_head')
    (arm,) = read_arms({'Mine': dict(checkpoint='x')}, 'file.py')
    assert (arm.source, arm.checkpoint, arm.start) == ('file', 'x', None)


@pytest.mark.parametrize('name', ['FT', 'Data mix', 'Longer pretraining', 'BiSSL+FT'])
def test_options_that_a_run_of_the_arm_reads_are_taken(name):
    levels = ['pretext', 'fine_tune'] + ['stage'] * (name == 'BiSSL+FT')
    (arm,) = read_arms({name: {level: {'a': 1} for level in levels}}, 'file.py')
    assert all(getattr(arm, level) == {'a': 1} for level in levels)


def test_every_patch_is_found_by_its_arm():
    patched = [arm for arm in ARMS.values() if arm.patch is not None]
    assert patched
    for arm in patched:
        assert ARMS[arm.patched].patch is arm.patch
