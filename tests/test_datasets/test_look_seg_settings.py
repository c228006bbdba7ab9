"""Settings of data, heads and metrics that have to be consistent."""

import pytest
import seg_folders

import bissl_mm.datasets  # noqa: F401
from bissl_mm.datasets.look import look_over

pytestmark = pytest.mark.mmcv_ops


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('seg')
    seg_folders.write(root, 2)
    return root


def found(data, **changes):
    """Refusals and warnings; keys have __ for the dots."""
    cfg = seg_folders.config(data)
    cfg.merge_from_dict(
        {key.replace('__', '.'): value for key, value in changes.items()}
    )
    look = look_over(cfg)
    return look.refusals, look.warnings


@pytest.mark.parametrize('value', [0, 7])
def test_ignore_index_of_the_data_alone_is_refused(value, data):
    refusals, _ = found(data, train_dataloader__dataset__ignore_index=value)
    assert len(refusals) == 1
    for text in (
        f'train_dataloader.dataset: ignore_index={value}',
        'model.decode_head ignores 255',
        'val_evaluator ignores 255',
        f'model.decode_head.ignore_index={value}',
    ):
        assert text in refusals[0]


@pytest.mark.parametrize('own', [None, 254])
@pytest.mark.parametrize('wrapped', [False, True])
def test_an_id_that_the_heads_of_a_stage_ignore_alone_is_refused(
    own, wrapped, tmp_path
):
    def with_void(ids, part, i):
        ids[0] = 254
        return ids

    cfg = seg_folders.write(tmp_path, mask=with_void)
    for part in ('train', 'val'):
        dataset = cfg[f'{part}_dataloader'].dataset
        if own:
            dataset.ignore_index = own
        if wrapped:
            cfg[f'{part}_dataloader'].dataset = dict(
                type='bissl_mm.InMemoryDataset', dataset=dataset
            )
    cfg.val_evaluator.ignore_index = cfg.model.decode_head.ignore_index = 254
    cfg.model.data_preprocessor.seg_pad_val = 254
    assert look_over(cfg, ['train', 'val']).refusals == []
    cfg.model = dict(type='BiSSLModel', downstream=cfg.model)
    cfg.train_cfg = dict(type='BiSSLTrainLoop')
    refusals = look_over(cfg, ['train', 'val']).refusals
    key = f'train_dataloader.dataset{".dataset" * wrapped}.ignore_index=254'
    assert len(refusals) == (not own)
    for text in refusals:
        assert 'the id 254' in text and 'ignores 255' in text and key in text


@pytest.mark.parametrize('bilevel', [False, True])
def test_one_ignore_index_in_all_places_passes(bilevel, data):
    cfg = seg_folders.config(data)
    for part in seg_folders.PARTS:
        cfg[f'{part}_dataloader'].dataset.ignore_index = 0
    for metric in (cfg.val_evaluator, cfg.test_evaluator):
        metric.ignore_index = 0
    cfg.model.decode_head.ignore_index = 0
    # Padding would be a fourth class.
    cfg.model.data_preprocessor.seg_pad_val = 0
    if bilevel:
        cfg.model = dict(type='BiSSLModel', downstream=cfg.model)
    look = look_over(cfg)
    assert (look.refusals, look.warnings) == ([], [])


@pytest.mark.parametrize(
    'changes, text',
    [
        (dict(val_evaluator__ignore_index=0), 'val_evaluator 0'),
        (
            dict(
                model__auxiliary_head=dict(
                    type='FCNHead', num_classes=3, ignore_index=1
                )
            ),
            'model.auxiliary_head 1',
        ),
        (
            dict(model__decode_head__loss_decode__ignore_index=2),
            'model.decode_head.loss_decode 2',
        ),
    ],
)
def test_users_that_ignore_different_ids_are_warned_of(changes, text, data):
    refusals, warnings = found(data, **changes)
    assert not refusals and len(warnings) == 1
    assert text in warnings[0] and 'model.decode_head 255' in warnings[0]


@pytest.mark.parametrize(
    'changes, texts',
    [
        (
            dict(
                train_dataloader__dataset__pipeline={'1': dict(reduce_zero_label=True)}
            ),
            ['reduce_zero_label=True', 'data set has False'],
        ),
        (
            dict(
                val_dataloader__dataset__data_prefix=dict(
                    _delete_=True, img_path='images/val'
                ),
                val_dataloader__dataset__pipeline={
                    '1': dict(type='RandomFlip', prob=0.0)
                },
            ),
            ['val_evaluator (IoUMetric)', 'data_prefix.seg_map_path'],
        ),
        (
            dict(
                test_dataloader__dataset__pipeline={
                    '1': dict(type='RandomFlip', prob=0.0)
                }
            ),
            ['test_evaluator (IoUMetric)', 'LoadAnnotations'],
        ),
        (
            dict(model__decode_head__loss_decode__class_weight=[1.0, 1.0]),
            ['loss_decode.class_weight has 2', 'num_classes=3'],
        ),
        (
            dict(model__data_preprocessor__seg_pad_val=254),
            ['seg_pad_val=254', 'ignored is 255'],
        ),
        (dict(model__test_cfg=dict(mode='slide')), ['needs crop_size']),
        (
            dict(model__test_cfg=dict(mode='slide', crop_size=(8, 8), stride=(9, 8))),
            ['stride (9, 8)'],
        ),
        (dict(model__test_cfg__mode='window'), ["'window'"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else '',
)
def test_settings_that_cannot_work_are_refused(changes, texts, data):
    refusals, _ = found(data, **changes)
    assert len(refusals) == 1
    assert [t for t in texts if t not in refusals[0]] == []


def test_zero_is_reduced_in_all_parts_or_in_none(data):
    refusals, _ = found(data, val_dataloader__dataset__reduce_zero_label=True)
    assert any(
        'train_dataloader.dataset and val_dataloader.dataset' in line
        and 'reduce_zero_label is False and True' in line
        for line in refusals
    )


@pytest.mark.parametrize('number', [2, 4])
def test_head_is_compared_with_the_data_of_a_test_alone(number, data):
    cfg = seg_folders.config(data)
    cfg.model.decode_head.num_classes = number
    look = look_over(cfg, ['test'])
    assert len(look.refusals) == 1
    assert f'num_classes={number}' in look.refusals[0]
    assert 'test_dataloader.dataset declares 3' in look.refusals[0]


@pytest.mark.parametrize('classes', [('road',), None])
def test_one_class_is_nothing_to_learn(classes, data):
    cfg = seg_folders.config(data)
    for part in seg_folders.PARTS:
        if classes:
            cfg[f'{part}_dataloader'].dataset.metainfo = dict(classes=classes)
    if classes:
        cfg.model.decode_head.num_classes = 1
    look = look_over(cfg)
    told = [line for line in look.refusals if "has one class, 'road'" in line]
    assert len(told) == bool(classes)
