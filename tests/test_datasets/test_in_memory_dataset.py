"""Samples that are kept in memory equal those of the inner dataset."""

import os

import numpy as np
import pytest
import torch
from layout_parts import coco_json
from look_data import KINDS, look_at, noise, write_parts
from mmengine.config import Config
from PIL import Image
from torch.utils.data import ConcatDataset

import bissl_mm.models  # noqa: F401
from bissl_mm.datasets import InMemoryDataset
from bissl_mm.datasets import in_memory_dataset as module
from bissl_mm.datasets.seeded_dataset import SeededDataset

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=16, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=16),
]


def inner(root, pipeline=None, **settings):
    return dict(
        type='CustomDataset',
        _scope_='mmpretrain',
        data_root=str(root),
        data_prefix='train',
        pipeline=pipeline or [*PIPELINE, dict(type='PackInputs')],
        **settings,
    )


@pytest.fixture
def root(tmp_path):
    write_parts(tmp_path, ['train'])
    module.KEPT.clear()
    return tmp_path


def test_each_sample_is_that_of_the_dataset(root):
    kept = InMemoryDataset(inner(root))
    kept.full_init()
    assert len(kept) == 6 and kept.metainfo['classes'] == tuple(KINDS)
    for i in range(len(kept)):
        ours, theirs = kept[i], kept.dataset[i]
        assert torch.equal(ours['inputs'], theirs['inputs'])
        assert ours['data_samples'].gt_label == theirs['data_samples'].gt_label
        assert ours['data_samples'].img_path == theirs['data_samples'].img_path


def test_predictions_stay_with_the_copy_that_they_were_set_on(root):
    kept = InMemoryDataset(inner(root))
    kept[0]['data_samples'].set_pred_label(2)
    assert 'pred_label' not in kept[0]['data_samples']


def test_runs_share_samples_until_a_file_changes(root, monkeypatch):
    first = InMemoryDataset(inner(root))
    first.full_init()
    second = InMemoryDataset(inner(root))
    monkeypatch.setattr(second.dataset, 'prepare_data', None)
    second.full_init()
    assert second[0]['inputs'] is first[0]['inputs']
    path = root / 'train' / KINDS[0] / '0.png'
    others = [(root / 'train' / kind / '0.png').read_bytes() for kind in KINDS[1:]]
    size = 1 + max(map(len, others))
    path.write_bytes(others[0].ljust(size, b'x'))
    third = InMemoryDataset(inner(root))
    third.full_init()
    assert not torch.equal(third[0]['inputs'], first[0]['inputs'])
    # A file of the same size, at another time.
    path.write_bytes(others[1].ljust(size, b'x'))
    os.utime(path, (1, 1))
    fourth = InMemoryDataset(inner(root))
    fourth.full_init()
    assert not torch.equal(fourth[0]['inputs'], third[0]['inputs'])
    for size in range(module.MAX_KEPT):
        InMemoryDataset(
            inner(
                root,
                [
                    *PIPELINE,
                    dict(type='CenterCrop', crop_size=size + 1),
                    dict(type='PackInputs'),
                ],
            )
        ).full_init()
    assert len(module.KEPT) == module.MAX_KEPT


def test_labels_of_a_list_are_those_it_has_now(root):
    names = [f'{kind}/0.png' for kind in KINDS]
    labels = []
    for shift in (0, 1):
        (root / 'list.txt').write_text(
            '\n'.join(f'{name} {(i + shift) % 3}' for i, name in enumerate(names))
        )
        kept = InMemoryDataset(inner(root, ann_file='list.txt'))
        kept.full_init()
        labels.append([int(kept[i]['data_samples'].gt_label) for i in range(3)])
    assert labels == [[0, 1, 2], [1, 2, 0]]


@pytest.mark.mmcv_ops
def test_boxes_and_masks_are_those_that_the_files_have_now(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(noise(rng)).save(tmp_path / '0.png')
    found = []
    for x in (2, 5):
        coco_json(
            tmp_path / 'boxes.json',
            ['0.png'],
            [(24, 20)],
            [[('ant', [x, 3, x + 9, 15])]],
            ['ant'],
        )
        Image.fromarray(np.full((20, 24), x, np.uint8)).save(tmp_path / '0_mask.png')
        boxes = InMemoryDataset(
            dict(
                type='CocoDataset',
                _scope_='mmdet',
                ann_file='boxes.json',
                data_root=str(tmp_path),
                metainfo=dict(classes=('ant',)),
                data_prefix=dict(img=''),
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='LoadAnnotations', with_bbox=True),
                ],
            )
        )
        masks = InMemoryDataset(
            dict(
                type='BaseSegDataset',
                _scope_='mmseg',
                data_root=str(tmp_path),
                img_suffix='0.png',
                seg_map_suffix='0_mask.png',
                metainfo=dict(classes=tuple('abcdefg')),
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
            )
        )
        found.append(
            (boxes[0]['gt_bboxes'].tensor.tolist(), masks[0]['gt_seg_map'].max())
        )
        assert boxes.get_cat_ids(0) == [0]
    assert found == [([[2, 3, 11, 15]], 2), ([[5, 3, 14, 15]], 5)]


def test_random_transforms_within_are_refused(root):
    kept = InMemoryDataset(
        inner(
            root,
            [
                dict(type='LoadImageFromFile'),
                dict(type='RandomResizedCrop', scale=16, backend='pillow'),
                dict(type='PackInputs'),
            ],
        )
    )
    with pytest.raises(ValueError, match='draws at random'):
        kept.full_init()


def test_transforms_after_it_work_on_copies(root):
    kept = InMemoryDataset(
        inner(root, PIPELINE),
        [dict(type='RandomFlip', prob=1.0), dict(type='mmpretrain.PackInputs')],
    )
    once, again = kept[0]['inputs'], kept[0]['inputs']
    assert torch.equal(once, again)
    plain = InMemoryDataset(inner(root))[0]['inputs']
    assert torch.equal(once, plain.flip(2))
    (samples,) = (s for s in module.KEPT.values() if 'img' in s[0])
    assert np.array_equal(samples[0]['img'], plain.permute(1, 2, 0).numpy())


def test_transforms_after_it_may_write_to_the_pixels(root):
    def darken(results):
        results['img'] //= 2
        return results

    kept = InMemoryDataset(inner(root, PIPELINE), [darken])
    once, again = kept[0]['img'].copy(), kept[0]['img']
    assert once.any() and np.array_equal(once, again)


@pytest.mark.parametrize('damaged', [0, 3])
def test_a_damaged_file_costs_its_sample_alone(root, damaged):
    kept = InMemoryDataset(inner(root))
    names = [kept.get_data_info(i)['img_path'] for i in range(6)]
    with open(names[damaged], 'wb') as file:
        file.write(b'<html>')
    module.KEPT.clear()
    kept = InMemoryDataset(inner(root))
    kept.full_init()
    with pytest.raises(ValueError, match='cannot be read') as error:
        kept[damaged]
    assert names[damaged] in str(error.value)
    # 1% of the samples may be damaged.
    stream = SeededDataset(ConcatDataset([kept] * 20), 'lower', 0)
    stream.dataset.get_data_info = lambda i: kept.get_data_info(i % 6)
    following = (damaged + 1) % 6
    expected = kept[following]['inputs']
    assert torch.equal(stream[0, damaged]['inputs'], expected)
    assert stream.unreadable == [names[damaged]]


def test_errors_of_the_pipeline_are_raised_at_once(root):
    pipeline = [*PIPELINE, dict(type='Resize', scale='wide'), dict(type='PackInputs')]
    with pytest.raises(Exception) as error:
        InMemoryDataset(inner(root, pipeline)).full_init()
    assert 'cannot be read' not in str(error.value)


def test_the_look_sees_through_it(root):
    (root / 'train' / KINDS[0] / '0.png').write_bytes(b'no image')
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=dict(type='ImageClassifier', head=dict(num_classes=3)),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
                dataset=dict(type='bissl_mm.InMemoryDataset', dataset=inner(root)),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=1),
        )
    )
    (refusal,) = look_at(cfg).refusals
    assert '0.png' in refusal and 'InMemoryDataset' not in refusal
    assert not module.KEPT
