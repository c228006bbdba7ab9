"""Unreadable images and other failures of a sample."""

import numpy as np
import pytest
from mmengine.registry import DATASETS
from PIL import Image

import bissl_mm.datasets  # noqa: F401
from bissl_mm.datasets import LevelStream, SeededDataset


def folder(tmp_path, number):
    rng = np.random.default_rng(0)
    for i in range(number):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(
            tmp_path / f'{i:03}.jpg'
        )
    return DATASETS.build(
        dict(
            type='CustomDataset',
            _scope_='mmpretrain',
            data_root=str(tmp_path),
            with_label=False,
            pipeline=[dict(type='LoadImageFromFile')],
        )
    )


DAMAGE = {
    'empty': lambda p: p.write_bytes(b''),
    'truncated': lambda p: p.write_bytes(p.read_bytes()[:100]),
    'text': lambda p: p.write_bytes(b'this is no picture'),
    'missing': lambda p: p.unlink(),
}


@pytest.mark.parametrize('kind', DAMAGE)
def test_unreadable_image_is_named_and_skipped(kind, tmp_path, log_lines):
    dataset = SeededDataset(folder(tmp_path, 120), 'lower', 0)
    DAMAGE[kind](tmp_path / '007.jpg')
    sample = dataset[(0, 7)]
    assert sample['img_path'].endswith('008.jpg')
    assert [p[-7:] for p in dataset.unreadable] == ['007.jpg']
    assert len(log_lines) == 1 and "007.jpg' cannot be read" in log_lines[0]


@pytest.mark.parametrize('workers', [0, 2])
def test_more_than_one_percent_stops_the_run(workers, tmp_path):
    stream = LevelStream(
        dict(dataset=folder(tmp_path, 120), batch_size=20, num_workers=workers), 'upper'
    )
    stream.start(0)
    for i in (3, 60):
        DAMAGE['truncated'](tmp_path / f'{i:03}.jpg')
    with pytest.raises(
        ValueError,
        match='2 of 120 images cannot be read, '
        'which is more than 1%. The last one is .*(003|060).jpg',
    ):
        for _ in range(6):
            stream.next()
    stream.close()


@pytest.mark.mmcv_ops
@pytest.mark.parametrize(
    'value, message',
    [
        pytest.param(2, None, marks=pytest.mark.whole),
        (255, None),
        (
            3,
            r'mask of sample 0 .*0.jpg.* class id\(s\) \[3\], but the dataset '
            'declares 3 classes',
        ),
    ],
)
def test_undeclared_class_id_in_a_mask_is_named(value, message, tmp_path):
    mask = np.zeros((40, 40), np.uint8)
    mask[3, 3] = value
    Image.fromarray(mask).save(tmp_path / '0.png')
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / '0.jpg')
    dataset = SeededDataset(
        DATASETS.build(
            dict(
                type='BaseSegDataset',
                _scope_='mmseg',
                data_root=str(tmp_path),
                data_prefix=dict(img_path='', seg_map_path=''),
                metainfo=dict(classes=('a', 'b', 'c')),
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='LoadAnnotations'),
                    dict(type='PackSegInputs'),
                ],
            )
        ),
        'upper',
        0,
    )
    if message is None:
        assert (dataset[(0, 0)]['data_samples'].gt_sem_seg.data == value).any()
    else:
        with pytest.raises(ValueError, match=message):
            dataset[(0, 0)]


@pytest.mark.mmcv_ops
@pytest.mark.parametrize('wraps', ['in memory', 'concatenated', 'both'])
def test_an_ignored_id_of_ones_own_is_known_within_wrappers(wraps, tmp_path):
    mask = np.zeros((40, 40), np.uint8)
    mask[3, 3] = 254
    Image.fromarray(mask).save(tmp_path / '0.png')
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / '0.jpg')
    cfg = dict(
        type='BaseSegDataset',
        _scope_='mmseg',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='', seg_map_path=''),
        metainfo=dict(classes=('a', 'b')),
        ignore_index=254,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    )
    if wraps != 'in memory':
        cfg = dict(type='ConcatDataset', _scope_='mmseg', datasets=[cfg, cfg])
    if wraps != 'concatenated':
        cfg = dict(type='bissl_mm.InMemoryDataset', dataset=cfg)
    dataset = SeededDataset(DATASETS.build(cfg), 'upper', 0)
    found = dataset[(0, 0)]['data_samples'].gt_sem_seg.data
    assert found.max() == 254


def test_other_failures_are_not_taken_for_damage(tmp_path):
    dataset = folder(tmp_path, 3)
    dataset.pipeline.transforms.append(lambda results: results['nothing'])
    seeded = SeededDataset(dataset, 'lower', 0)
    with pytest.raises(
        RuntimeError, match="lower dataset: sample 2 .*002.jpg.*KeyError: 'nothing'"
    ):
        seeded[(0, 2)]
    assert seeded.unreadable == []


@pytest.mark.mmcv_ops
@pytest.mark.parametrize('kind', DAMAGE)
def test_damaged_mask_is_named_as_the_mask(kind, tmp_path, log_lines):
    rng = np.random.default_rng(0)
    for i in range(120):
        Image.fromarray(rng.integers(0, 3, (40, 40)).astype(np.uint8)).save(
            tmp_path / f'{i:03}.png'
        )
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / f'{i:03}.jpg')
    dataset = SeededDataset(
        DATASETS.build(
            dict(
                type='BaseSegDataset',
                _scope_='mmseg',
                data_root=str(tmp_path),
                data_prefix=dict(img_path='', seg_map_path=''),
                metainfo=dict(classes=('a', 'b', 'c')),
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='LoadAnnotations'),
                    dict(type='PackSegInputs'),
                ],
            )
        ),
        'upper',
        0,
    )
    DAMAGE[kind](tmp_path / '007.png')
    assert dataset[(0, 7)]['data_samples'].img_path.endswith('008.jpg')
    assert len(log_lines) == 1
    assert f"mask '{tmp_path}/007.png' cannot be read" in log_lines[0]
    DAMAGE[kind](tmp_path / '008.png')
    with pytest.raises(ValueError, match="The last one is the mask '.*008.png'"):
        dataset[(0, 8)]
