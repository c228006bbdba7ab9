"""Loading pretrained weights and counting what matched."""

import pytest
import torch
import torchvision
from mmengine.model import BaseModule
from mmengine.registry import MODELS, init_default_scope
from small_models import backbone, build, classifier_cfg, simclr_cfg

from bissl_mm.models import BiSSLModel, check_pretrained_init, load_pretrained
from bissl_mm.models.weights.pretrained import check_load_from
from bissl_mm.models.weights.taken import init_with_checks


def save(tmp_path, content):
    path = str(tmp_path / 'weights.pth')
    torch.save(content, path)
    return path


def names_of(model):
    return [n for n in model.state_dict() if n.startswith('backbone.')]


def source():
    return build(simclr_cfg(), seed=7).float().state_dict()


LAYOUTS = {
    'mmpretrain': lambda s: dict(state_dict=s, meta=dict(epoch=1)),
    'distributed': lambda s: {'module.' + k: v for k, v in s.items()},
    'bilevel': lambda s: dict(
        state_dict={
            **{'pretext.' + k: v for k, v in s.items()},
            **{'downstream.' + k: v + 1 for k, v in s.items()},
        }
    ),
    'backbone': lambda s: dict(
        state_dict={k: v for k, v in s.items() if k.startswith('backbone.')}
    ),
    'bare': lambda s: {
        k[len('backbone.') :]: v for k, v in s.items() if k.startswith('backbone.')
    },
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_known_layouts_load(layout, tmp_path, log_lines):
    state = source()
    path = save(tmp_path, LAYOUTS[layout](state))
    model = build(simclr_cfg()).float()
    load_pretrained(model, path, names_of(model))
    for name in names_of(model):
        assert torch.equal(model.state_dict()[name], state[name]), name
    with_neck = layout not in ('backbone', 'bare')
    assert (
        torch.equal(model.state_dict()['neck.fc0.weight'], state['neck.fc0.weight'])
        == with_neck
    )
    (out,) = log_lines
    assert '100 of 100 backbone tensors' in out
    assert ('left at their initialisation: nothing' in out) == with_neck


def test_torchvision_checkpoint_loads(tmp_path):
    torch.manual_seed(0)
    state = torchvision.models.resnet18().state_dict()
    path = save(tmp_path, state)
    model = MODELS.build(
        dict(
            type='bissl_mm.SimCLR',
            _scope_='mmpretrain',
            backbone=dict(type='ResNet', depth=18),
        )
    )
    load_pretrained(model, path, names_of(model))
    own = model.state_dict()
    assert torch.equal(
        own['backbone.layer3.0.downsample.0.weight'],
        state['layer3.0.downsample.0.weight'],
    )


def test_no_matching_key_is_an_error(tmp_path):
    path = save(tmp_path, dict(state_dict=dict(encoder=torch.ones(2))))
    model = build(simclr_cfg()).float()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(
        ValueError,
        match='fits 0 of 100 backbone tensors.*'
        "'backbone.conv1.weight' is not in the file, which "
        "begins with 'backbone.encoder'|'encoder'",
    ):
        load_pretrained(model, path, names_of(model))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_another_width_is_an_error(tmp_path):
    path = save(tmp_path, source())
    model = MODELS.build(
        dict(
            type='bissl_mm.SimCLR',
            _scope_='mmpretrain',
            backbone=dict(type='ResNet', depth=18),
        )
    )
    with pytest.raises(
        ValueError,
        match=r'has shape \(4, 3, 7, 7\) in the '
        r'file and \(64, 3, 7, 7\) in the model',
    ):
        load_pretrained(model, path, names_of(model))


@pytest.mark.parametrize('prefix', ['', 'pretext.backbone.', 'encoder_q.'])
def test_a_misfit_in_all_shapes_is_not_told_of_the_names(prefix, tmp_path):
    # Not one tensor fits under any reading of the names.
    init_default_scope('mmpretrain')
    wide = MODELS.build(dict(backbone(), base_channels=8, stem_channels=8))
    path = save(tmp_path, {prefix + k: v for k, v in wide.state_dict().items()})
    model = build(simclr_cfg()).float()
    with pytest.raises(
        ValueError,
        match=r"fits 0 of 100 .*'backbone.conv1.weight' has shape \(8, 3, 7, 7\) in "
        r'the file and \(4, 3, 7, 7\) in the model. Missing: nothing; in another '
        'shape: .*depth and width',
    ):
        load_pretrained(model, path, names_of(model))


def test_file_without_tensors_is_an_error(tmp_path):
    path = save(tmp_path, dict(state_dict=dict()))
    with pytest.raises(ValueError, match='holds no weights'):
        load_pretrained(build(simclr_cfg()), path, [])


def test_model_setting_loads_and_reaches_both_backbones(tmp_path):
    state = source()
    path = save(tmp_path, dict(state_dict=state))
    model = BiSSLModel(simclr_cfg(), classifier_cfg(), pretrained=path)
    model.init_weights()
    model.copy_backbone_to_upper()
    for name in names_of(model.pretext):
        assert torch.equal(model.downstream.state_dict()[name], state[name])


def classifier_with_init(path, prefix='backbone.'):
    cfg = classifier_cfg()
    cfg['backbone']['init_cfg'] = dict(
        type='Pretrained', checkpoint=path, prefix=prefix
    )
    model = MODELS.build(cfg)
    model.init_weights()
    return model


def test_pretrained_init_is_counted(tmp_path):
    path = save(tmp_path, dict(state_dict=source()))
    report = check_pretrained_init(classifier_with_init(path))
    assert report == [('backbone', 100, 100)]


def test_blocks_with_the_init_cfg_of_their_backbone_are_counted_with_it(tmp_path):
    cfg = classifier_cfg()
    cfg['neck'] = None
    cfg['backbone'] = dict(
        type='RepVGG',
        arch=dict(
            num_blocks=[1, 1, 1, 1],
            width_factor=[0.1] * 4,
            group_layer_map=None,
            se_cfg=None,
        ),
    )
    state = build(cfg).float().state_dict()
    path = save(tmp_path, dict(state_dict=state))
    cfg['backbone']['init_cfg'] = dict(
        type='Pretrained', checkpoint=path, prefix='backbone.'
    )
    model = build(cfg, seed=1, perturb=0.0).float()
    ((where, found, total),) = check_pretrained_init(model)
    assert where == 'backbone'
    assert found == total > 0
    for name in names_of(model):
        assert torch.equal(model.state_dict()[name], state[name]), name


def test_pretrained_init_of_another_model_is_an_error(tmp_path):
    state = {k.replace('layer', 'stage'): v for k, v in source().items()}
    path = save(tmp_path, dict(state_dict=state))
    model = classifier_with_init(path)
    with pytest.raises(
        ValueError,
        match=r'backbone: init_cfg checkpoint .* '
        r'fits 5 of 100 tensors',
    ):
        check_pretrained_init(model)


def test_own_last_norm_is_allowed_but_another_stem_is_not(tmp_path):
    # Both miss less than 5% of their tensors.
    init_default_scope('mmpretrain')
    path = str(tmp_path / 'backbone.pth')
    init = dict(type='Pretrained', checkpoint=path, prefix='backbone.')
    vit = dict(
        type='VisionTransformer',
        img_size=16,
        patch_size=8,
        arch=dict(embed_dims=8, num_layers=4, num_heads=2, feedforward_channels=8),
    )

    def save(cfg):
        state = MODELS.build(cfg).state_dict()
        torch.save({f'backbone.{k}': v for k, v in state.items()}, path)

    save(dict(vit, out_type='cls_token'))
    report = check_pretrained_init(
        MODELS.build(dict(vit, out_type='avg_featmap', final_norm=False, init_cfg=init))
    )
    assert report == [('VisionTransformer', 52, 54)]
    wide = dict(stem_channels=2, base_channels=2, depth=101)
    save(dict(type='ResNet', **wide))
    model = torch.nn.ModuleDict(
        dict(backbone=MODELS.build(dict(type='ResNetV1c', init_cfg=init, **wide)))
    )
    with pytest.raises(ValueError, match='fits 515 of 530 tensors'):
        check_pretrained_init(model)


def test_load_from_without_a_matching_tensor_is_an_error(tmp_path):
    model = build(classifier_cfg()).float()
    good = save(tmp_path, dict(state_dict=source()))
    check_load_from(model, good, 0.0)
    with pytest.raises(ValueError, match='fits 120 of 122 tensors'):
        check_load_from(model, good, 0.99)
    both = BiSSLModel(simclr_cfg(), classifier_cfg())
    with pytest.raises(
        ValueError, match=r"fits 0 of .* set as model\.pretrained='.*weights\.pth' in "
    ):
        check_load_from(both, good, 0.0)
    bad = save(tmp_path, dict(encoder=torch.ones(2)))
    with pytest.raises(ValueError, match='fits 0 of 122 tensors.* of this config'):
        check_load_from(model, bad, 0.0)


def resnet(depth, **kwargs):
    return dict(backbone(), depth=depth, **kwargs)


def pretext_of(backbone_cfg):
    return MODELS.build(dict(simclr_cfg(), backbone=backbone_cfg))


def vit(num_layers):
    return dict(
        type='VisionTransformer',
        img_size=16,
        patch_size=8,
        arch=dict(
            embed_dims=8, num_layers=num_layers, num_heads=2, feedforward_channels=8
        ),
    )


# As in a C4 detector.
THREE_STAGES = dict(
    num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)
)
DEEPER = [
    (resnet(34), resnet(18), "'backbone.layer1.2'.*'backbone.layer1.1'.*depth=34"),
    (resnet(101), resnet(50), "'backbone.layer3.6'.*'backbone.layer3.5'.*depth=101"),
    (resnet(34), resnet(18, **THREE_STAGES), 'depth=34'),
    (vit(4), vit(2), "'backbone.layers.2'.*'backbone.layers.1'.*num_layers=4 in"),
]


@pytest.mark.parametrize('theirs, ours, message', DEEPER)
def test_a_deeper_checkpoint_is_an_error(theirs, ours, message, tmp_path):
    init_default_scope('mmpretrain')
    given = {f'backbone.{k}': v for k, v in MODELS.build(theirs).state_dict().items()}
    path = save(tmp_path, dict(state_dict=given))
    model = pretext_of(ours)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=f'is deeper than the model.*{message}'):
        load_pretrained(model, path, names_of(model))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    init = dict(type='Pretrained', checkpoint=path, prefix='backbone.')
    model = torch.nn.ModuleDict(dict(backbone=MODELS.build(dict(ours, init_cfg=init))))
    with pytest.raises(
        ValueError, match=f'is deeper.*{message}'.replace('backbone.layer', 'layer')
    ):
        check_pretrained_init(model)
    with pytest.raises(ValueError, match=f'is deeper.*{message}'):
        check_load_from(model, path, 0.0)


def test_what_a_detector_takes_of_a_deeper_checkpoint(tmp_path):
    # The last stage of a C4 detector is in the shared head.
    init_default_scope('bissl_mm')
    path = str(tmp_path / 'weights.pth')
    init = dict(type='Pretrained', checkpoint=path, prefix='backbone.')

    def parts(depth):
        cfg = dict(type='SmallResNet', depth=depth, **THREE_STAGES)
        head = dict(type='SmallResLayer', depth=depth, init_cfg=init)
        return {
            'backbone': MODELS.build(dict(cfg, init_cfg=init)),
            'shared_head': MODELS.build(head),
        }

    def write(depth):
        state = MODELS.build(dict(type='SmallResNet', depth=depth)).state_dict()
        torch.save({f'backbone.{k}': v for k, v in state.items()}, path)

    write(18)
    found = check_pretrained_init(torch.nn.ModuleDict(parts(18)))
    assert all(matched == number for _, matched, number in found) and len(found) == 2
    for name, part in parts(10).items():
        with pytest.raises(ValueError, match=f'{name}: .* is deeper.*depth=18'):
            check_pretrained_init(torch.nn.ModuleDict({name: part}))


def test_more_stages_and_layers_beside_the_blocks_are_no_depth(tmp_path):
    given = source()
    given.update(
        {
            'backbone.layer2.0.downsample.2.weight': torch.ones(8),
            'backbone.fc.3.0.weight': torch.ones(8),
            'momentum_backbone.layer1.2.conv1.weight': torch.ones(8),
            'neck.fc.5.conv.weight': torch.ones(8),
        }
    )
    path = save(tmp_path, dict(state_dict=given))
    model = pretext_of(resnet(18, **THREE_STAGES))
    load_pretrained(model, path, names_of(model))
    for name in names_of(model):
        assert torch.equal(model.state_dict()[name], given[name]), name


class _OwnReader(BaseModule):
    """Reads the file of its init_cfg as mmseg's VisionTransformer does: by its own
    names, whatever the prefix."""

    convert_weights = False

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.layer = torch.nn.Linear(2, 2)

    def init_weights(self):
        state = torch.load(self.init_cfg['checkpoint'])['state_dict']
        self.load_state_dict(self.renamed(state), strict=False)

    def renamed(self, state):
        return state


class _Renaming(_OwnReader):
    """As mmdet's SwinTransformer: it looks its names up in the model's."""

    convert_weights = True

    def renamed(self, state):
        own = self.state_dict()
        return {'layer.weight': own[name] for name in state}


def with_own_reader(kind, path, prefix):
    init = dict(type='Pretrained', checkpoint=path, prefix=prefix)
    return torch.nn.ModuleDict(dict(backbone=kind(init)))


def test_a_backbone_that_passes_its_checkpoint_by_is_an_error(tmp_path):
    given = {f'backbone.{k}': v + 1 for k, v in _OwnReader().state_dict().items()}
    path = save(tmp_path, dict(state_dict=given))
    model = with_own_reader(_OwnReader, path, 'backbone.')
    with pytest.raises(
        ValueError,
        match='backbone: .* _OwnReader reads .* by code of its own, which did not take '
        r'2 of 2 fitting parameters .*convert_backbone\.py BILEVEL_CONFIG .* OUT --bare',
    ):
        init_with_checks(model, model['backbone'].init_weights)
    model = with_own_reader(_Renaming, path, 'backbone.')
    with pytest.raises(
        ValueError, match='ended at one of the names .* Set convert_weights=False'
    ) as caught:
        init_with_checks(model, model['backbone'].init_weights)
    assert isinstance(caught.value.__cause__, KeyError)
    bare = {k.removeprefix('backbone.'): v for k, v in given.items()}
    path = save(tmp_path, dict(state_dict=bare))
    model = with_own_reader(_OwnReader, path, None)
    init_with_checks(model, model['backbone'].init_weights)
    for name, value in model['backbone'].state_dict().items():
        assert torch.equal(value, bare[name])


def test_what_is_within_a_module_with_a_checkpoint_need_not_be_taken(tmp_path):
    cfg = classifier_cfg()
    inner, outer = str(tmp_path / 'inner.pth'), str(tmp_path / 'outer.pth')
    torch.save(dict(state_dict=source()), inner)
    torch.save(dict(state_dict=build(cfg, seed=3).float().state_dict()), outer)
    cfg['init_cfg'] = dict(type='Pretrained', checkpoint=outer)
    cfg['backbone']['init_cfg'] = dict(
        type='Pretrained', checkpoint=inner, prefix='backbone.'
    )
    model = MODELS.build(cfg)
    init_with_checks(model, model.init_weights)
    given = torch.load(outer)['state_dict']
    assert torch.equal(model.head.fc.weight, given['head.fc.weight'])


def test_a_checkpoint_that_the_pretraining_replaces_is_not_read(tmp_path, log_lines):
    """As in a config of mmdet: theta_D begins as a copy of theta_P."""
    state = source()
    path = save(tmp_path, dict(state_dict=state))
    missing = dict(type='Pretrained', checkpoint=str(tmp_path / 'missing.pth'))
    downstream = classifier_cfg()
    downstream['backbone']['init_cfg'] = missing
    init_default_scope('bissl_mm')
    model = BiSSLModel(simclr_cfg(), downstream, pretrained=path)
    model.init_weights()
    model.copy_backbone_to_upper()
    for name in names_of(model.downstream):
        assert torch.equal(model.downstream.state_dict()[name], state[name])
    assert any(
        'downstream.backbone: the checkpoint' in line and 'left out' in line
        for line in log_lines
    )
    # The head is not replaced.
    downstream['init_cfg'] = downstream['backbone'].pop('init_cfg')
    with pytest.raises(OSError, match=r'missing\.pth'):
        BiSSLModel(simclr_cfg(), downstream, pretrained=path).init_weights()
    # Without a pretraining it is read.
    downstream['backbone']['init_cfg'] = downstream.pop('init_cfg')
    with pytest.raises(OSError, match=r'missing\.pth'):
        BiSSLModel(simclr_cfg(), downstream).init_weights()
