"""Public releases: names converted, features unchanged, heads trained."""

import argparse
import re

import pytest
import torch
import torchvision
from conftest import ROOT
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from pretext_models import VIT
from small_models import backbone, build, simclr_cfg
from task_configs import shipped
from torch import nn

from bissl_mm.command_line import add_cfg_options
from bissl_mm.engine.launch import load_config
from bissl_mm.models import check_pretrained_init, load_pretrained
from bissl_mm.models.weights.pretrained import backbone_report
from bissl_mm.models.weights.public_weights import UnknownLayoutError, to_mmpretrain
from bissl_mm.utils.checkpoint import load_checkpoint, state_dict_of


def tensors(*names):
    return {name: torch.ones(1) for name in names}


@pytest.fixture(scope='module')
def bare():
    """A small ResNet-18 in torchvision's naming, without ``fc``."""
    init_default_scope('mmpretrain')
    return MODELS.build(backbone()).state_dict()


def under(prefix, state):
    return {prefix + name: value for name, value in state.items()}


def moved(prefix, state):
    return {prefix + name: value + 1 for name, value in state.items()}


def sequential(state, first):
    places = {
        'conv1': '0',
        'bn1': '1',
        **{f'layer{i + 1}': str(first + i) for i in range(4)},
    }
    return {
        '.'.join([places[k.split('.')[0]], *k.split('.')[1:]]): v
        for k, v in state.items()
    }


# What the releases hold: name of the layout -> prefix and keys.
RESNETS = {
    'torchvision, timm, Barlow Twins, VICReg, SimCLR': (
        '',
        lambda s: {**s, **tensors('fc.weight', 'fc.bias')},
    ),
    'MoCo': (
        'module.encoder_q.',
        lambda s: {
            **moved('module.encoder_k.', s),
            **under('module.encoder_q.', s),
            **tensors(
                'module.queue',
                'module.encoder_q.fc.0.weight',
                'module.encoder_q.fc.2.weight',
            ),
        },
    ),
    'MoCo v3': (
        'module.base_encoder.',
        lambda s: {
            **moved('module.momentum_encoder.', s),
            **under('module.base_encoder.', s),
            **tensors('module.predictor.0.weight'),
        },
    ),
    'SimSiam': (
        'encoder.',
        lambda s: {
            **under('encoder.', s),
            **tensors('encoder.fc.0.weight', 'predictor.0.weight'),
        },
    ),
    'SwAV': (
        'module.',
        lambda s: {
            **under('module.', s),
            **tensors('module.projection_head.0.weight', 'module.prototypes.weight'),
        },
    ),
    'VISSL': ('_feature_blocks.', lambda s: under('_feature_blocks.', s)),
    'lightly, parts': (
        'backbone.',
        lambda s: {
            **under('backbone.', sequential(s, 4)),
            **moved('backbone_momentum.', sequential(s, 4)),
            **tensors('projection_head.layers.0.weight'),
        },
    ),
    'small images, parts': (
        'f.',
        lambda s: {**under('f.', sequential(s, 3)), **tensors('g.0.weight')},
    ),
    'projection within': (
        'backbone.',
        lambda s: {**under('backbone.', s), **tensors('backbone.fc.0.weight')},
    ),
    'DINO': (
        'teacher.module.backbone.',
        lambda s: {
            **moved('student.module.backbone.', s),
            **under('teacher.module.backbone.', s),
        },
    ),
    'DINO, lightly': (
        'teacher_backbone.',
        lambda s: {**moved('student_backbone.', s), **under('teacher_backbone.', s)},
    ),
    'BYOL, lightly': (
        'backbone.',
        lambda s: {
            **under('backbone.', sequential(s, 4)),
            **moved('teacher_backbone.', sequential(s, 4)),
        },
    ),
    'BYOL, encoder': (
        'online_encoder.net.',
        lambda s: {
            **under('online_encoder.net.', s),
            **moved('net.', s),
            **moved('target_encoder.net.', s),
        },
    ),
    'BYOL, network': (
        'online_network.encoder.',
        lambda s: {
            **moved('target_network.encoder.', s),
            **under('online_network.encoder.', s),
        },
    ),
    'BYOL, backbone': (
        'online_backbone.',
        lambda s: {**moved('target_backbone.', s), **under('online_backbone.', s)},
    ),
}


@pytest.mark.parametrize('layout', RESNETS)
def test_resnets_of_releases(layout, bare):
    prefix, rename = RESNETS[layout]
    converted, description = to_mmpretrain(rename(bare))
    assert converted.keys() == under('backbone.', bare).keys()
    assert all(converted['backbone.' + k] is v for k, v in bare.items())
    assert (f"under '{prefix}'" if prefix else 'without a prefix') in description
    if layout in ('MoCo', 'DINO'):
        other = prefix.replace('_q', '_k').replace('teacher', 'student')
        assert description.endswith(f", not '{other}'")


@pytest.mark.parametrize(
    'extra',
    [
        ['neck.fc0.weight'],
        ['projector.0.weight', 'momentum_backbone.conv1'],
        ['teacher_backbone.conv1.weight', 'teacher_backbone.layer1.0.conv1.weight'],
    ],
    ids=['mmpretrain', 'solo-learn', 'BYOL, lightly'],
)
def test_names_of_mmpretrain_stay(extra, bare):
    state = {**under('backbone.', bare), **tensors(*extra)}
    converted, description = to_mmpretrain(state)
    assert converted is state and description == 'mmpretrain'


@pytest.mark.parametrize(
    'keys, message',
    [
        (
            ['encoder.a', 'encoder.b'],
            "2 keys, which begin with 'encoder.a', "
            "'encoder.b'. Known: mmpretrain; ResNets named as in torchvision",
        ),
        (
            [
                p + n
                for p in ('first.', 'second.')
                for n in ('conv1.weight', 'layer1.0.conv1.weight')
            ],
            "several backbones, under 'first.', 'second.'",
        ),
        (
            ['conv1.weight', 'layer1.0.conv1.weight', 'layer1.0.se.fc1.weight'],
            "'layer1.0.se.fc1.weight' has no counterpart in mmpretrain's ResNet",
        ),
        (
            [
                'vit.patch_embed.proj.weight',
                'vit.blocks.0.attn.qkv.weight',
                'vit.dist_token',
            ],
            "'vit.dist_token' has no counterpart in mmpretrain's VisionTransf",
        ),
        (
            ['patch_embed.proj.weight', 'blocks.0.attn.qkv.weight', 'blocks.0.gamma_1'],
            "'blocks.0.gamma_1' has no counterpart",
        ),
    ],
)
def test_what_cannot_be_converted_is_named(keys, message):
    with pytest.raises(ValueError, match=message) as error:
        to_mmpretrain(tensors(*keys))
    assert isinstance(error.value, UnknownLayoutError) == ('Known' in message)


class Block(nn.Module):
    """One block of a vision transformer, with the names of timm."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict(
            dict(qkv=nn.Linear(width, 3 * width), proj=nn.Linear(width, width))
        )
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict(
            dict(fc1=nn.Linear(width, hidden), fc2=nn.Linear(hidden, width))
        )

    def forward(self, x):
        q, k, v = (
            t.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for t in self.attn['qkv'](self.norm1(x)).chunk(3, dim=2)
        )
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        mixed = (scores.softmax(3) @ v).transpose(1, 2).flatten(2)
        x = x + self.attn['proj'](mixed)
        hidden = nn.functional.gelu(self.mlp['fc1'](self.norm2(x)))
        return x + self.mlp['fc2'](hidden)


class TimmViT(nn.Module):
    """A vision transformer, with the names of timm."""

    def __init__(self, width=16, depth=2, heads=2, hidden=32, patches=16):
        super().__init__()
        self.patch_embed = nn.ModuleDict(dict(proj=nn.Conv2d(3, width, 8, stride=8)))
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, patches + 1, width))
        self.blocks = nn.Sequential(
            *[Block(width, heads, hidden) for _ in range(depth)]
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        tokens = self.patch_embed['proj'](x).flatten(2).transpose(1, 2)
        first = self.cls_token.expand(len(x), -1, -1)
        x = torch.cat([first, tokens], dim=1) + self.pos_embed
        return self.norm(self.blocks(x))


def randomised(model):
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            if value.is_floating_point():
                value.add_(0.05 * torch.randn_like(value))
    model.eval()
    return model


def loaded(cfg, state):
    init_default_scope('mmpretrain')
    model = MODELS.build(cfg).double()
    converted, _ = to_mmpretrain(state)
    model.load_state_dict(
        {k.removeprefix('backbone.'): v for k, v in converted.items()}
    )
    model.eval()
    return model


def vit(**kwargs):
    return dict(
        type='VisionTransformer', arch=dict(VIT), img_size=32, patch_size=8, **kwargs
    )


@torch.no_grad()
def test_vit_computes_the_same_features():
    torch.manual_seed(0)
    theirs = randomised(TimmViT().double())
    ours = loaded(vit(out_type='raw'), theirs.state_dict())
    images = torch.randn(2, 3, 32, 32).double()
    expected = theirs(images)
    assert (expected - expected.mean()).abs().mean() > 0.1
    torch.testing.assert_close(ours(images)[0], expected, atol=1e-10, rtol=0)


@torch.no_grad()
def test_resnet_computes_the_same_features():
    torch.manual_seed(0)
    theirs = randomised(torchvision.models.resnet18().double())
    ours = loaded(
        dict(type='ResNet', depth=18), under('module.encoder_q.', theirs.state_dict())
    )
    images = torch.randn(2, 3, 48, 48).double()
    features = nn.Sequential(*list(theirs.children())[:-2])
    expected = features(images)
    scale = expected.abs().max().item()
    torch.testing.assert_close(ours(images)[-1], expected, rtol=0, atol=1e-10 * scale)


# From mmpretrain's names to those of timm and of MAE, by hand.
NAMES = [
    ('.ffn.layers.0.0.', '.mlp.fc1.'),
    ('.ffn.layers.1.', '.mlp.fc2.'),
    ('.ln1.', '.norm1.'),
    ('.ln2.', '.norm2.'),
    ('.attn.gamma1.weight', '.ls1.gamma'),
    ('.ffn.gamma2.weight', '.ls2.gamma'),
    ('patch_embed.projection.', 'patch_embed.proj.'),
    ('backbone.layers.', 'blocks.'),
    ('backbone.norm1.', 'norm.'),
    ('backbone.norm2.', 'fc_norm.'),
    ('neck.norm1.', 'decoder_norm.'),
    ('backbone.pre_norm.', 'norm_pre.'),
    ('backbone.', ''),
    ('neck.', ''),
]


def released(model, prefix=''):
    state = {}
    for name, value in model.state_dict().items():
        name = prefix + name
        for ours, theirs in NAMES:
            name = name.replace(ours, theirs)
        state[name] = value
    return state


@pytest.mark.parametrize('norm', ['last', 'average'])
def test_vit_names(norm):
    init_default_scope('mmpretrain')
    model = MODELS.build(
        vit(
            layer_scale_init_value=0.1,
            pre_norm=norm == 'last',
            out_type='raw' if norm == 'last' else 'avg_featmap',
            final_norm=norm == 'last',
        )
    )
    state = released(model, 'backbone.')
    assert 'blocks.1.ls2.gamma' in state
    assert ('norm.weight' in state) != ('fc_norm.weight' in state)
    converted, description = to_mmpretrain(
        {**under('encoder_q.', state), **tensors('encoder_q.head.weight')}
    )
    expected = under('backbone.', model.state_dict())
    assert converted.keys() == expected.keys()
    assert all(torch.equal(converted[k], v) for k, v in expected.items())
    assert description == "ViT in the naming of timm, under 'encoder_q.'"


def mae(size=32):
    init_default_scope('mmpretrain')
    return MODELS.build(
        dict(
            type='MAE',
            backbone=dict(type='MAEViT', arch=dict(VIT), img_size=size, patch_size=8),
            neck=dict(
                type='MAEPretrainDecoder',
                num_patches=(size // 8) ** 2,
                patch_size=8,
                embed_dim=16,
                decoder_embed_dim=8,
                decoder_depth=1,
                decoder_num_heads=2,
            ),
            head=dict(
                type='MAEPretrainHead',
                patch_size=8,
                loss=dict(type='PixelReconstructionLoss', criterion='L2'),
            ),
        )
    )


def names_of(model):
    return [n for n in model.state_dict() if n.startswith('backbone.')]


def save(tmp_path, content):
    path = str(tmp_path / 'release.pth')
    torch.save(content, path)
    return path


def test_mae_loads_with_its_decoder(tmp_path, log_lines):
    source, model = randomised(mae()), mae()
    path = save(
        tmp_path,
        dict(model=released(source), epoch=800, args=argparse.Namespace(lr=1e-3)),
    )
    load_pretrained(model, path, names_of(model))
    for name, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    (line,) = log_lines
    assert 'ViT in the naming of timm with the decoder of MAE' in line
    assert 'left at their initialisation: nothing; not used: nothing' in line


def test_another_grid_is_an_error_with_a_remedy(tmp_path):
    model = mae(48)
    path = save(tmp_path, dict(model=released(mae())))
    before = model.state_dict()['backbone.cls_token'].clone()
    with pytest.raises(
        ValueError,
        match=r"'backbone.pos_embed' has shape "
        r'\(1, 17, 16\) in the file and \(1, 37, 16\) in the '
        'model.*img_size and patch_size of the checkpoint',
    ):
        load_pretrained(model, path, names_of(model))
    assert torch.equal(model.state_dict()['backbone.cls_token'], before)


@pytest.mark.parametrize(
    'theirs, ours, remedy',
    [
        ('ResNet_CIFAR', 'ResNet', "3 x 3 in the file. Set type='ResNet_CIFAR'"),
        ('ResNet', 'ResNet_CIFAR', "7 x 7 in the file. Set type='ResNet'"),
    ],
)
def test_another_stem_is_an_error(theirs, ours, remedy, tmp_path):
    # 99 of 100 tensors fit, but a random stem makes all of them useless.
    init_default_scope('mmpretrain')
    given = MODELS.build(dict(backbone(), type=theirs)).state_dict()
    path = save(tmp_path, under('backbone.', given))
    init = dict(type='Pretrained', checkpoint=path, prefix='backbone.')

    def models(kind):
        pretext = MODELS.build(dict(simclr_cfg(), backbone=dict(backbone(), type=kind)))
        part = MODELS.build(dict(backbone(), type=kind, init_cfg=init))
        return pretext, nn.ModuleDict(dict(backbone=part))

    pretext, tuned = models(ours)
    with pytest.raises(
        ValueError,
        match="fits 99 of 100 .*in another shape: 'backbone.conv1.weight'.*" + remedy,
    ):
        load_pretrained(pretext, path, names_of(pretext))
    with pytest.raises(ValueError, match='fits 99 of 100 .*' + remedy):
        check_pretrained_init(tuned)
    # What the sentence names fits.
    pretext, tuned = models(theirs)
    load_pretrained(pretext, path, names_of(pretext))
    assert check_pretrained_init(tuned) == [('backbone', 100, 100)]


@torch.no_grad()
def test_a_resnet_for_small_images_computes_the_same_features():
    # As many releases on CIFAR make it of torchvision's.
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18()
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    theirs = randomised(theirs.double())
    ours = loaded(dict(type='ResNet_CIFAR', depth=18), theirs.state_dict())
    images = torch.randn(2, 3, 16, 16).double()
    expected = nn.Sequential(*list(theirs.children())[:-2])(images)
    scale = expected.abs().max().item()
    torch.testing.assert_close(ours(images)[-1], expected, rtol=0, atol=1e-10 * scale)


def test_unknown_layout_is_told_as_a_misfit(tmp_path):
    model = build(simclr_cfg()).float()
    path = save(tmp_path, tensors('stem.weight'))
    with pytest.raises(
        ValueError,
        match="'.*release.pth' fits 0 of 100 .*"
        "in the file, which begins with 'stem.weight'",
    ):
        load_pretrained(model, path, names_of(model))


# Where the releases keep their weights in the file.
FILES = {
    'MoCo': lambda s: dict(
        epoch=200,
        arch='resnet50',
        state_dict={**under('module.encoder_q.', s), **moved('module.encoder_k.', s)},
    ),
    'VISSL': lambda s: dict(
        classy_state_dict=dict(
            base_model=dict(
                model=dict(
                    trunk=under('_feature_blocks.', s), heads=tensors('0.clf.0.weight')
                )
            )
        )
    ),
    'DINO': lambda s: dict(
        student=moved('module.backbone.', s),
        teacher=under('module.backbone.', s),
        args=argparse.Namespace(a=1),
        dino_loss=tensors('center'),
    ),
    'BYOL': lambda s: dict(
        online_network_state_dict=under('encoder.', sequential(s, 4)),
        target_network_state_dict=moved('encoder.', sequential(s, 4)),
    ),
}


@pytest.mark.parametrize('release', FILES)
def test_files_of_releases_load(release, bare, tmp_path, log_lines):
    path = save(tmp_path, FILES[release](bare))
    model = build(simclr_cfg()).float()
    load_pretrained(model, path, names_of(model))
    for name, value in bare.items():
        assert torch.equal(model.state_dict()['backbone.' + name], value)
    assert '(ResNet ' in log_lines[0] and '100 of 100' in log_lines[0]


def test_a_teacher_beside_a_plain_name_is_no_network_of_its_own(bare, tmp_path):
    # The stage and the converter take the same copy.
    state = {**under('backbone.', bare), **moved('teacher_backbone.', bare)}
    model = build(simclr_cfg()).float()
    load_pretrained(model, save(tmp_path, state), names_of(model))
    converted, _ = to_mmpretrain(state)
    for name in names_of(model):
        assert torch.equal(model.state_dict()[name], state[name])
        assert torch.equal(converted[name], state[name])


def test_what_mmengine_would_not_find_is_an_error(bare, tmp_path):
    path = save(tmp_path, dict(model=bare))
    assert state_dict_of(load_checkpoint(path), path).keys() == bare.keys()
    init_default_scope('mmpretrain')
    model = MODELS.build(
        dict(backbone(), init_cfg=dict(type='Pretrained', checkpoint=path))
    )
    with pytest.raises(
        ValueError,
        match='no weights where .*at the top and '
        "under 'state_dict'.*convert_checkpoint.py",
    ):
        check_pretrained_init(model)


@pytest.mark.parametrize(
    'layout, remedy',
    [
        ('lightly, parts', 'Type python tools/convert_checkpoint.py {} OUT --config'),
        ('MoCo', 'Type python tools/convert_checkpoint.py {} OUT --config'),
        ('mmpretrain', 'Correct the path, the prefix or the depth'),
        ('unknown', 'Correct the path, the prefix or the depth'),
    ],
)
def test_a_release_given_to_fine_tuning_is_to_be_converted(
    layout, remedy, bare, tmp_path
):
    layouts = {
        'mmpretrain': lambda s: under('backbone.', s),
        'unknown': lambda s: under('backbone.', tensors('stem.weight')),
    }
    rename = layouts[layout] if layout in layouts else RESNETS[layout][1]
    path = save(tmp_path, rename(bare))
    # The prefix is wrong for mmpretrain's names.
    prefix = None if layout == 'mmpretrain' else 'backbone.'
    init = dict(type='Pretrained', checkpoint=path, prefix=prefix)
    init_default_scope('mmpretrain')
    model = nn.ModuleDict(dict(backbone=MODELS.build(dict(backbone(), init_cfg=init))))
    with pytest.raises(ValueError, match='fits 0 of 100 .*' + remedy.format(path)):
        check_pretrained_init(model)


HEADS = [
    'simclr_r50_head_8xb128-20e_in1k-224px',
    'simclr_r18_head_b64-20e_imagefolder-64px',
]


@pytest.mark.parametrize('name', HEADS)
def test_head_config_trains_the_head_alone(name, tmp_path):
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / f'configs/pretext/{name}.py')
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.update(stem_channels=4, base_channels=4)
    cfg.model.neck.update(
        in_channels=cfg.model.neck.in_channels // 16, hid_channels=8, out_channels=8
    )
    plain = {k: v for k, v in cfg.model.backbone.items() if k != 'init_cfg'}
    given = randomised(MODELS.build(plain)).state_dict()
    path = str(tmp_path / 'public.pth')
    torch.save(dict(state_dict=under('backbone.', given)), path)
    cfg.model.backbone.init_cfg.checkpoint = path
    model = MODELS.build(cfg.model)
    model.init_weights()
    assert check_pretrained_init(model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.train()
    images = [torch.randint(0, 256, (6, 3, 48, 48)) for _ in range(2)]
    for _ in range(2):
        model.train_step(dict(inputs=images, data_samples=[None] * 6), wrapper)
    for key, value in model.state_dict().items():
        if key.startswith('backbone.'):
            assert torch.equal(value, given[key[len('backbone.') :]]), key
        else:
            assert not torch.equal(value, before[key]), key
    assert {
        n.split('.')[0] for n, p in model.named_parameters() if p.requires_grad
    } == {'neck'}


def test_configs_have_the_figures_of_c6():
    head = Config.fromfile(ROOT / f'configs/pretext/{HEADS[0]}.py')
    bissl = shipped('bissl/bissl-simclr_r50_8xb128-10x4-200t_in1k-224px')
    loop = bissl.train_cfg
    assert head.train_cfg.max_epochs == head.param_scheduler[-1].end == 20
    assert (loop.num_alternations, loop.num_upper_steps, loop.num_lower_steps) == (
        200,
        4,
        10,
    )
    assert bissl.param_scheduler.lower[0].end == 10 * loop.num_lower_steps
    for loader in (head.train_dataloader, loop.pretext_dataloader):
        assert loader.total_batch_size == 1024
        views = loader.dataset.pipeline[1]
        assert (views.type, views.size) == ('bissl_mm.SimCLRViews', 224)
    assert bissl.train_dataloader.total_batch_size == 256
    assert f'/{HEADS[0]}/epoch_20.pth' in bissl.model.pretrained
    assert 'frozen_stages' not in bissl.model.pretext.backbone


def commands_of_the_page():
    """Config and options of each command on the page of public weights."""
    text = (ROOT / 'docs/public_weights.md').read_text().replace('\\\n', ' ')
    for line in re.findall(
        r'^(?:python|tools/dist_train).*--cfg-options.*$', text, re.M
    ):
        words = line.split()
        config = next(w for w in words if re.match(r'configs/\S+\.py$', w))
        yield config, words[words.index('--cfg-options') + 1 :]


def test_commands_on_the_page_suit_the_networks_that_they_name(monkeypatch):
    # Shapes are compared. Random weights would take most of the time.
    monkeypatch.setattr(nn.Conv2d, 'reset_parameters', lambda layer: None)
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    parser.set_defaults(launcher='none', local_rank=0, work_dir=None, config=None)
    seen, releases = set(), {}
    for config, given in commands_of_the_page():
        arguments = parser.parse_args(['--cfg-options', *given])
        arguments.config = str(ROOT / config)
        # It refuses a key that nothing reads.
        cfg = load_config(arguments)
        found = re.search(r'(?:=resnet|depth=)(\d+)', ' '.join(given))
        if found is None:
            continue
        depth = int(found[1])
        if depth not in releases:
            # Names and shapes are those of torchvision's.
            plain = MODELS.build(dict(type='mmpretrain.ResNet', depth=depth))
            releases[depth] = under('backbone.', plain.state_dict())
        init_default_scope(cfg.default_scope)
        model = MODELS.build(cfg.model)
        whole = hasattr(model, 'pretext')
        for level in (model.pretext, model.downstream) if whole else (model,):
            names = names_of(level)
            report = backbone_report(level, releases[depth], names, where='')
            assert 'missing: nothing' in report
            first = getattr(level.neck, 'fc0', None) or level.head.fc
            assert first.in_features == level.backbone.feat_dim
        seen.add((depth, whole))
    assert seen == {(18, True), (50, True), (50, False)}
