"""The ImageFolder config with data of other kinds, by settings only."""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from small_run import CONFIG, OPTIONS, make_runner

pytestmark = pytest.mark.usefixtures('plain_config_text')

PACKS = {
    'grey': dict(mode='L', size=(28, 28), classes=2, suffix='png'),
    'wide': dict(mode='RGB', size=(90, 30), classes=5, suffix='jpg'),
    'large': dict(mode='RGB', size=(300, 220), classes=2, suffix='bmp'),
    'palette': dict(mode='P', size=(40, 40), classes=3, suffix='png'),
}


def write_pack(root, mode, size, classes, suffix):
    rng = np.random.default_rng(0)

    def picture(path):
        pixels = rng.integers(0, 255, (size[1], size[0], 3), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(path)

    for i in range(24):
        picture(root / 'pretext' / f'{i}.{suffix}')
    for split in ('train', 'val'):
        for label in range(classes):
            for i in range(6):
                picture(root / 'downstream' / split / f'kind{label}' / f'{i}.{suffix}')


@pytest.mark.parametrize('name', PACKS)
def test_pack_runs_through_the_image_folder_config(name, tmp_path, monkeypatch):
    pack = PACKS[name]
    write_pack(tmp_path, **pack)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'pretext'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(tmp_path / 'downstream'))
    monkeypatch.setenv('BISSL_NUM_CLASSES', str(pack['classes']))
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict({**OPTIONS, 'train_cfg.num_alternations': 2})
    cfg.work_dir = str(tmp_path / 'work')
    runner = make_runner(cfg)
    runner.train()
    assert runner.model.downstream.head.num_classes == pack['classes']
    assert len(runner.train_dataloader.dataset.metainfo['classes']) == pack['classes']
    assert (tmp_path / 'work' / 'backbone.pth').exists()
