"""What the configs take from the papers besides the figures of their tables."""

import numpy as np
import pytest
import torchvision.transforms as tv
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from PIL import Image
from task_configs import CONFIGS, shipped, tasks_of

import bissl_mm.engine  # noqa: F401
from bissl_mm.datasets import LevelBatchSampler
from bissl_mm.engine.loop.settings import LoopSettings
from bissl_mm.engine.search_space import place_holder_note, search_space

#: Transforms that resize with the backend they are given.
RESIZES = (
    'RandomResizedCrop',
    'ResizeEdge',
    'EfficientNetRandomCrop',
    'EfficientNetCenterCrop',
    'Resize',
    'RandomResize',
)


def parts(value):
    """All dicts within a config."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from parts(item)


@pytest.mark.parametrize(
    'path, task',
    [(path, task) for path in CONFIGS for task in tasks_of(path)],
    ids=lambda value: getattr(value, 'stem', value),
)
def test_levels_resize_alike_and_fine_tuning_keeps_the_last_batch(path, task):
    cfg = shipped(path, task).to_dict()
    for part in parts(cfg):
        # The demo's scenes do not shrink.
        if part.get('type') in RESIZES and 'digit-scenes' not in path.stem:
            assert part.get('backend') == 'pillow', part
    if path.parent.name == 'fine_tune':
        assert not cfg['train_dataloader'].get('drop_last', False)


@pytest.fixture
def picture():
    """A picture with an edge in every direction, larger than the crops."""
    y, x = np.mgrid[:331, :443]
    rings = np.sin(np.hypot(x - 200, y - 150) ** 2 / 400)
    channels = [127 + 100 * rings, (x % 7 < 3) * 255.0, (x + y) % 256]
    return np.stack(channels, -1).astype(np.uint8)


@pytest.mark.parametrize('name', ['fine_tune/r50_96px', 'fine_tune/r50_224px'])
def test_evaluation_sees_torchvisions_pixels(name, picture):
    """The views on PIL images, as in Bardes et al. (4.2.1)."""
    init_default_scope('mmpretrain')
    pipeline = shipped(name, 'pets').test_dataloader.dataset.pipeline
    resize, crop = (TRANSFORMS.build(cfg) for cfg in pipeline[1:3])
    found = crop(resize(dict(img=picture)))['img']
    expected = tv.Compose(
        [tv.Resize(pipeline[1].scale), tv.CenterCrop(pipeline[2].crop_size)]
    )(Image.fromarray(picture))
    difference = np.abs(found.astype(int) - np.asarray(expected, int))
    assert difference.max() <= 1


def test_training_crops_are_resized_as_by_torchvision(picture):
    init_default_scope('mmpretrain')
    pipeline = shipped('_base_/tasks/pets').train_dataloader.dataset.pipeline
    transform = TRANSFORMS.build(pipeline[1])
    np.random.seed(0)
    box = transform.rand_crop_params(picture)
    np.random.seed(0)
    found = transform(dict(img=picture))['img']
    expected = tv.functional.resized_crop(Image.fromarray(picture), *box, [96, 96])
    difference = np.abs(found.astype(int) - np.asarray(expected, int))
    assert difference.max() <= 1


def test_masked_autoencoders_decay_matrices_only():
    """Of MAE's tensors, as in mmpretrain's own configs."""
    for name, model, wrapper in (
        ('pretext/mae_vit-s8_8xb128-500e_in1k-96px', 'model', ''),
        ('bissl/bissl-mae_vit-s8_8xb128-20x8-500t_in1k-96px', 'pretext', 'lower'),
    ):
        cfg = shipped(name)
        init_default_scope('mmpretrain')
        network = MODELS.build(cfg.model.get(model, cfg.model))
        settings = cfg.optim_wrapper
        settings = dict(settings.get(wrapper, settings))
        settings.pop('type', None), settings.pop('clip_grad', None)
        optimizer = build_optim_wrapper(network, settings).optimizer
        decay = {
            p: g['weight_decay'] for g in optimizer.param_groups for p in g['params']
        }
        for key, param in network.named_parameters():
            if param.requires_grad:
                plain = param.ndim > 1 and not key.endswith('_token')
                assert decay[param] == (0.05 if plain else 0.0), key


def test_layer_decay_of_the_first_layers_is_what_the_config_says():
    cfg = shipped('bissl/bissl-mae_vit-s8_8xb128-20x8-500t_in1k-96px')
    init_default_scope('mmpretrain')
    network = MODELS.build(cfg.model.downstream)
    upper = dict(cfg.optim_wrapper.upper, type='OptimWrapper')
    optimizer = build_optim_wrapper(network, upper).optimizer
    rate = {p: g['lr'] for g in optimizer.param_groups for p in g['params']}
    first = rate[network.backbone.patch_embed.projection.weight]
    assert first == pytest.approx(0.03 * 0.75**13)
    assert rate[network.head.fc.weight] == pytest.approx(0.03)


@pytest.mark.parametrize('num_steps, num_alternations', [(20, 500), (10, 200)])
def test_passes_over_imagenet_begin_where_b4_has_them(num_steps, num_alternations):
    """By its count of gradient steps, the Hessian batch besides."""
    settings = LoopSettings(
        num_alternations, num_steps, 8, None, 1, 'next', None, 1, 10
    )
    sampler = LevelBatchSampler(1281167, 1024, settings.num_lower_batches, 'lower', 0)
    remaining = per_pass = 1281167 // 1024
    data_pass = 0
    for alternation in range(num_alternations):
        if remaining < num_steps:
            data_pass, remaining = data_pass + 1, per_pass
        remaining -= num_steps + 1
        number = alternation * settings.num_lower_batches
        assert sampler.place(number)[0] == data_pass


@pytest.mark.parametrize(
    'name, task, settings, seeds, lr, decay, found',
    [
        ('r50_96px', 'pets', 100, 10, (1e-4, 1.0), (1e-5, 1e-2), True),
        ('r50_224px', 'pets', 25, 10, (1e-4, 1.0), (1e-5, 1e-2), False),
        ('vit-s8_96px', 'pets', 50, 10, (1e-4, 1.0), (1e-5, 1e-2), False),
        ('r18_96px', 'pets', 200, 10, (1e-4, 1.0), (1e-5, 1e-2), True),
        ('r50_96px', 'stl10', 100, 10, (1e-4, 1.0), (1e-5, 1e-2), False),
        ('r50_96px', 'imagenet-1p', 25, 10, (1e-4, 1.0), (1e-5, 1e-2), False),
        ('r50_96px', 'voc07', 100, 10, (1e-4, 1.0), (1e-5, 1e-2), True),
        ('r50_96px', 'voc0712-c4', 50, 10, (1e-4, 1e-1), (1e-6, 1e-2), False),
        ('r50_96px', 'cityscapes-fcn16', 50, 10, (1e-4, 1e-1), (1e-6, 1e-2), False),
    ],
)
def test_searches_are_the_papers(name, task, settings, seeds, lr, decay, found):
    """B.2, C.6, B.8, B.7; figures are printed for the first alone."""
    cfg = shipped(f'fine_tune/{name}', task)
    space = search_space(cfg)
    assert (space['settings'], space['seeds']) == (settings, seeds)
    assert (space['lr'], space['weight_decay']) == (lr, decay)
    assert space['metric'] == cfg.default_hooks.checkpoint.save_best
    note = place_holder_note(cfg)
    if found:
        assert note is None
    else:
        assert f'lr={cfg.optim_wrapper.optimizer.lr:g} and' in note
        assert f'searches {settings} settings' in note
        assert f'{name}.py' in note


def test_place_holders_are_said_unless_the_user_vouches_for_them():
    cfg = shipped('fine_tune/r18_48px', 'dtd5')
    assert 'no result' in place_holder_note(cfg)
    cfg.merge_from_dict({'search.found': 'mine', 'search.settings': 3})
    assert place_holder_note(cfg) is None
    assert search_space(cfg)['settings'] == 3
    cfg.search.seed = 4
    with pytest.raises(TypeError, match="unknown key 'seed'.*'seeds'"):
        search_space(cfg)
    assert place_holder_note(shipped('demo/fine_tune_digits')) is None
