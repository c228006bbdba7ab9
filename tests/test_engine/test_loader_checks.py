"""Batches that cannot be trained on are refused before the first step."""

import types

import numpy as np
import pytest
import torch
from mmengine.dataset import InfiniteSampler, pseudo_collate
from pretext_models import barlow_twins
from small_models import build, classifier_cfg, simclr_cfg
from torch import nn
from torch.utils.data import BatchSampler, DataLoader

from bissl_mm.config.dataloaders import settle_pinning, settle_workers
from bissl_mm.config.explain import explained
from bissl_mm.datasets import LevelStream
from bissl_mm.engine.checks.loaders import (
    check_levels,
    check_loader,
    check_train_loop,
    norms_of_one_value,
)


class Images(torch.utils.data.Dataset):
    """Drawn images with labels, as a pipeline's last transform gives them."""

    def __init__(self, number):
        self.number = number

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        from mmpretrain.structures import DataSample

        rng = np.random.default_rng(index)
        image = torch.from_numpy(rng.integers(0, 255, (3, 40, 40), dtype=np.uint8))
        return dict(inputs=image, data_samples=DataSample().set_gt_label(index % 3))


def loader(number, batch_size, drop_last=False):
    return DataLoader(
        Images(number), batch_size, drop_last=drop_last, collate_fn=pseudo_collate
    )


def pooled_classifier():
    """A head that normalises one value per channel and image."""
    cfg = classifier_cfg()
    cfg['data_preprocessor'] = dict(mean=[120.0] * 3, std=[60.0] * 3, num_classes=3)
    cfg['neck'] = dict(
        type='NonLinearNeck',
        in_channels=32,
        hid_channels=8,
        out_channels=32,
        num_layers=2,
        norm_cfg=dict(type='BN1d'),
    )
    return build(cfg).float()


def train_on(model, data):
    check_train_loop(
        types.SimpleNamespace(model=model), types.SimpleNamespace(dataloader=data)
    )


@pytest.mark.parametrize(
    'number, size, text',
    [
        (
            20,
            64,
            'train_dataloader: the data set has 20 images, fewer than one '
            'batch of 64.*train_dataloader.batch_size=20',
        ),
        (1, 2, 'has 1 images, fewer than one batch of 2'),
        (0, 2, 'the data set holds no image'),
    ],
)
def test_no_batch_at_all_is_named(number, size, text):
    data = loader(number, size, drop_last=True) if number else DataLoader([], 2)
    with pytest.raises(ValueError, match=text):
        check_loader('train_dataloader', data)


@pytest.mark.parametrize(
    'number, size, text',
    [
        (33, 32, '33 images on this process leave one image.*batch_size=32'),
        (7, 3, '7 images on this process leave one image'),
        (4, 1, 'train_dataloader: batch_size=1'),
    ],
)
def test_a_batch_of_one_image_before_a_norm_of_one_value(number, size, text):
    model = pooled_classifier()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.random.get_rng_state()
    with pytest.raises(ValueError, match=text) as info:
        train_on(model, loader(number, size))
    assert "'neck.bn0'" in str(info.value)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    # torch does fail in this way.
    data = model.data_preprocessor(pseudo_collate([Images(1)[0]]), True)
    with pytest.raises(ValueError, match='more than 1 value') as info:
        model.train()(**data, mode='loss')
    assert "'neck.bn0' normalises one value" in str(explained(info.value))


def test_what_can_be_trained_on_is():
    model = pooled_classifier()
    for data in (loader(33, 32, drop_last=True), loader(34, 32), loader(8, 2)):
        train_on(model, data)
    # Norms that use their running statistics, and models without such a norm.
    model.neck.eval()
    model.neck.train = lambda mode=True: model.neck
    train_on(model, loader(33, 32))
    plain = build(
        dict(
            classifier_cfg(),
            data_preprocessor=dict(mean=[120.0] * 3, std=[60.0] * 3, num_classes=3),
        )
    ).float()
    train_on(plain, loader(33, 32))


def test_an_endless_sampler_leaves_no_rest():
    data = DataLoader(
        Images(33), 32, sampler=InfiniteSampler(Images(33)), collate_fn=pseudo_collate
    )
    train_on(pooled_classifier(), data)
    data = DataLoader(Images(3), 4, sampler=InfiniteSampler(Images(3)), drop_last=True)
    check_loader('train_dataloader', data)


def test_a_batch_sampler_counts_its_own_samples():
    # As on two processes: 33 of 66 images.
    data = DataLoader(
        Images(66),
        collate_fn=pseudo_collate,
        batch_sampler=BatchSampler(range(33), 4, False),
    )
    with pytest.raises(ValueError, match='33 images on this process leave'):
        train_on(pooled_classifier(), data)


class Stream:
    def __init__(self, batch_size, sample):
        self.batch_size, self.dataset = batch_size, [sample]

    def first_sample(self):
        return pseudo_collate(self.dataset)


@pytest.mark.parametrize(
    'parts, size, hessian, text',
    [
        (
            dict(upper=4),
            4,
            None,
            r'upper level: train_dataloader.batch_size=4 in '
            r'4 parts \(optim_wrapper.num_micro_batches.upper=4\).*neck.bn0',
        ),
        (dict(upper=1), 1, None, 'upper level: train_dataloader.batch_size=1 pa'),
    ],
)
def test_parts_of_one_image_are_named(parts, size, hessian, text):
    model = nn.Module()
    model.pretext, model.downstream = None, pooled_classifier()
    streams = dict(upper=Stream(size, Images(1)[0]))
    with pytest.raises(ValueError, match=text):
        check_levels(model, streams, parts, hessian)
    streams['upper'].batch_size = 2 * size
    check_levels(model, streams, parts, hessian)


def test_a_pretext_norm_over_two_views_has_two_values():
    model = build(
        simclr_cfg(
            data_preprocessor=dict(
                type='SelfSupDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3
            )
        )
    ).float()

    def draw():
        sample = Images(1)[0]
        return dict(
            inputs=[sample['inputs'][None]] * 2, data_samples=[sample['data_samples']]
        )

    assert norms_of_one_value(model, draw) == []
    model = build(
        barlow_twins()
        | dict(
            data_preprocessor=dict(
                type='SelfSupDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3
            )
        )
    ).float()
    assert norms_of_one_value(model, draw)[0] == 'neck.bn0'


@pytest.mark.parametrize('workers', [0, None])
def test_loaders_without_workers_drop_their_settings(workers):
    cfg = dict(
        train_dataloader=dict(
            persistent_workers=True, prefetch_factor=2, pin_memory=True
        ),
        train_cfg=dict(pretext_dataloader=dict(persistent_workers=True)),
        val_dataloader=dict(num_workers=2, persistent_workers=True),
        test_dataloader=None,
    )
    if workers is not None:
        cfg['train_dataloader']['num_workers'] = workers
    settle_workers(cfg)
    kept = dict(pin_memory=True)
    assert cfg['train_dataloader'] == kept | (
        {} if workers is None else dict(num_workers=0)
    )
    assert cfg['train_cfg']['pretext_dataloader'] == {}
    assert cfg['val_dataloader']['persistent_workers'] is True


@pytest.mark.parametrize('has_gpu', [True, False])
def test_batches_are_pinned_where_there_is_a_gpu(has_gpu):
    cfg = dict(
        train_dataloader=dict(batch_size=2),
        train_cfg=dict(pretext_dataloader=dict(pin_memory=True)),
        val_dataloader=dict(pin_memory=False),
        test_dataloader=None,
    )
    settle_pinning(cfg, has_gpu)
    assert cfg == dict(
        train_dataloader=dict(batch_size=2)
        | (dict(pin_memory=True) if has_gpu else {}),
        train_cfg=dict(pretext_dataloader=dict(pin_memory=True) if has_gpu else {}),
        val_dataloader=dict(pin_memory=False) if has_gpu else {},
        test_dataloader=None,
    )


@pytest.mark.parametrize(
    'kind', ['AspectRatioBatchSampler', 'mmdet.AspectRatioBatchSampler']
)
def test_batch_samplers_of_mmdet_are_left_out_with_a_line(kind, monkeypatch):
    lines = []
    monkeypatch.setattr(
        'bissl_mm.datasets.stream_parts.print_log',
        lambda text, **kwargs: lines.append(text),
    )
    stream = LevelStream(
        dict(
            dataset=Images(6),
            batch_size=2,
            prefetch_factor=2,
            persistent_workers=True,
            batch_sampler=dict(type=kind),
        ),
        'upper',
    )
    stream.start(0)
    assert len(stream.next()['inputs']) == 2
    (line,) = lines
    assert 'upper dataloader: AspectRatioBatchSampler is left out' in line
