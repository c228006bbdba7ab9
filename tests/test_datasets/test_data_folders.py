"""Data that are not there are named with the setting to change."""

import pytest
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

import bissl_mm.engine  # noqa: F401
from bissl_mm.datasets.data_folders import missing_data_explained
from bissl_mm.utils.errors import FileNotFoundRefusal


@pytest.mark.parametrize('config, loader, folder', [
    ('bissl/bissl-simclr_r18_b64-10x4-10t_cifar10-dtd5',
     'train_cfg.pretext_dataloader', 'data/cifar10_unlabeled'),
    pytest.param('fine_tune/faster-rcnn-r18-c4-simclr_b8-12e_bccd',
                 'train_dataloader', 'data/bccd_voc',
                 marks=pytest.mark.mmcv_ops),
    pytest.param('fine_tune/fcn16-r18-simclr_b16-8e_camvid',
                 'val_dataloader', 'data/camvid', marks=pytest.mark.mmcv_ops),
    ('pretext/simclr_r50_8xb128-500e_in1k-96px', 'train_dataloader',
     'data/imagenet'),
])
def test_a_missing_folder_is_named(config, loader, folder, tmp_path,
                                   monkeypatch):
    monkeypatch.delenv('BISSL_DATA_DIR', raising=False)
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(ROOT / 'configs' / f'{config}.py')
    init_default_scope(cfg.default_scope)
    node = cfg
    for key in loader.split('.'):
        node = node[key]
    # The folders of the other loaders are there.
    for other in {'train_dataloader', 'val_dataloader'} - {loader}:
        if other in cfg:
            cfg[other].dataset.data_root = str(tmp_path)
    with pytest.raises(FileNotFoundRefusal) as refusal, \
            missing_data_explained(cfg):
        DATASETS.build(node.dataset)
    text = str(refusal.value)
    assert f"{loader}.dataset.data_root: the folder '{folder}" in text
    assert f'--cfg-options {loader}.dataset.data_root=' in text
    assert str(tmp_path) in text and 'BISSL_DATA_DIR' in text


def test_another_missing_file_stays_what_it_is(tmp_path):
    cfg = dict(train_dataloader=dict(dataset=dict(data_root=str(tmp_path))))
    with pytest.raises(FileNotFoundError) as error, \
            missing_data_explained(cfg):
        open(tmp_path / 'weights.pth')
    assert not isinstance(error.value, FileNotFoundRefusal)
