"""Bilevel runs of the shipped detection and segmentation configs."""

import json
import shutil

import pytest
import torch
from dense_run import DETECTORS, SEGMENTORS, dense_config, make_scenes
from small_run import make_runner, weights
from test_resume import StopAt

pytestmark = [
    pytest.mark.usefixtures('plain_config_text'),
    pytest.mark.slow,
    pytest.mark.mmcv_ops,
]


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    pytest.importorskip('sklearn')
    root = tmp_path_factory.mktemp('scenes')
    make_scenes(root)
    return root


#: Of each kind the one that takes longer.
LONGER = ('bccd-c4', 'camvid-deeplabv3')


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=[pytest.mark.whole] * (name in LONGER))
        for name in DETECTORS + SEGMENTORS
    ],
)
def test_every_backbone_tensor_is_trained(name, scenes, tmp_path):
    runner = make_runner(
        dense_config(name, scenes, tmp_path, train_cfg__num_alternations=1)
    )
    before = weights(runner)
    model = runner.train()
    after = weights(runner)
    for names in model.pairs.params:
        for level, tensor in zip(('pretext', 'downstream'), names):
            key = f'{level}.{tensor}'
            assert not torch.equal(before[key], after[key]), key
    state = torch.load(tmp_path / 'backbone.pth')['state_dict']
    assert len(state) == 120
    metrics = runner.message_hub.log_scalars
    assert any(key.startswith('val/') for key in metrics)


@pytest.mark.whole
@pytest.mark.parametrize('name', [DETECTORS[0], SEGMENTORS[0]])
def test_run_stopped_in_every_phase_is_bit_identical(name, scenes, tmp_path):
    short = dict(train_cfg__num_alternations=1)
    whole = make_runner(dense_config(name, scenes, tmp_path / 'whole', **short))
    whole.train()
    cfg = dense_config(name, scenes, tmp_path / 'parts', **short)
    for event, count in (
        ('after_head_warmup_step', 2),
        ('after_lower_step', 1),
        ('after_upper_step', 1),
        ('after_val_epoch', 1),
    ):
        runner = make_runner(cfg, [StopAt(event, count)])
        with pytest.raises(SystemExit):
            runner.train()
        cfg.resume = True
    runner = make_runner(cfg)
    runner.train()
    final = weights(runner)
    for key, value in weights(whole).items():
        assert torch.equal(final[key], value), key


@pytest.fixture
def damaged(scenes, tmp_path):
    """A copy of the data to spoil."""
    return shutil.copytree(scenes, tmp_path / 'damaged')


def test_annotations_of_a_missing_image_are_an_error(damaged, tmp_path):
    (damaged / 'scenes/train/0002.png').unlink()
    runner = make_runner(dense_config(DETECTORS[1], damaged, tmp_path))
    with pytest.raises(
        ValueError,
        match=r'(?s)1 of 6 images cannot be read.*'
        r'scenes/train/0002\.png',
    ):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


def test_undeclared_class_of_a_mask_is_an_error(damaged, tmp_path):
    cfg = dense_config(SEGMENTORS[0], damaged, tmp_path)
    cfg.train_dataloader.dataset.metainfo = dict(classes=('a', 'b'))
    runner = make_runner(cfg)
    with pytest.raises(
        ValueError,
        match=r'(?s)the mask of sample \d+ .*has '
        r'class id\(s\) .*declares 2 classes',
    ):
        runner.train()


def test_scenes_without_boxes_are_left_out(damaged, tmp_path):
    path = damaged / 'boxes_train.json'
    boxes = json.loads(path.read_text())
    boxes['annotations'] = [a for a in boxes['annotations'] if a['image_id'] != 3]
    path.write_text(json.dumps(boxes))
    runner = make_runner(
        dense_config(DETECTORS[1], damaged, tmp_path, train_cfg__num_alternations=1)
    )
    runner.train()
    assert len(runner.train_loop.dataloader.dataset) == 5
