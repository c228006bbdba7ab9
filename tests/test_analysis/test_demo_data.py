"""Pictures of the demo on colour images, and what is written into its configs."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from mmengine.registry import DATASETS
from PIL import Image

pytest.importorskip('sklearn')

from bissl_mm.analysis.demo import TASKS, photographs
from bissl_mm.analysis.demo import images as module
from bissl_mm.analysis.demo.configs import DemoConfigs
from bissl_mm.analysis.demo.images import images
from bissl_mm.utils.errors import FileNotFoundRefusal, ValueRefusal


def numbered(height, width):
    """A picture whose pixels encode their position."""
    number = np.arange(height * width).reshape(height, width)
    return np.stack([number % 256, number // 256 % 256, number // 65536], -1).astype(
        np.uint8
    )


def pixels(crops):
    code = np.stack(crops).reshape(-1, 3).astype(int) @ [1, 256, 65536]
    return set(code.tolist())


@pytest.mark.parametrize('height, width', [(300, 451), (427, 640)])
def test_no_pixel_is_in_two_parts(height, width):
    parts = photographs.split_crops(numbered(height, width), np.random.default_rng(0))
    for part in ('train', 'val', 'test'):
        assert len(parts[part]) == photographs.PER_CLASS[part]
    seen = {part: pixels(crops) for part, crops in parts.items()}
    assert seen['train'] < seen['pretext']
    assert not seen['pretext'] & seen['val']
    assert not seen['pretext'] & seen['test']
    assert not seen['val'] & seen['test']


def test_crops_of_bare_background_are_left_out():
    picture = numbered(256, 256)
    picture[:128] = 7
    parts = photographs.split_crops(picture, np.random.default_rng(0))
    crops = sum(parts.values(), [])
    assert crops and all((crop != 7).any() for crop in crops)


def test_photographs_give_the_same_crops_again(tmp_path, monkeypatch):
    pytest.importorskip('skimage')
    few = {name: photographs.PHOTOGRAPHS[name] for name in ('cat', 'palace')}
    monkeypatch.setattr(photographs, 'PHOTOGRAPHS', few)

    def written(name):
        counts = photographs.write_crops(str(tmp_path / name))
        files = sorted((tmp_path / name).rglob('*.png'))
        digest = hashlib.sha256()
        for file in files:
            digest.update(np.asarray(Image.open(file)).tobytes())
        assert counts == photographs.write_crops(str(tmp_path / name))
        return counts, len(files), digest.hexdigest()

    counts, number, _ = first = written('first')
    assert first == written('second')
    assert counts['test'] == 220 and counts['train'] == 10
    assert number == sum(counts.values())


def test_a_photograph_that_is_not_there_is_named_with_its_package(monkeypatch):
    monkeypatch.setitem(
        photographs.PHOTOGRAPHS, 'cat', ('no_such_package', 'data', 'cat.png')
    )
    monkeypatch.setitem(photographs.INSTALL, 'no_such_package', 'the-package')
    with pytest.raises(FileNotFoundRefusal, match='pip install the-package'):
        photographs.photograph('cat')


@pytest.fixture
def own(image_folders, monkeypatch):
    """Folders as a user has them, with three classes."""
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(image_folders / 'pretext'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(image_folders / 'downstream'))
    monkeypatch.delenv('BISSL_NUM_CLASSES', raising=False)
    return image_folders


def test_own_folders_go_into_the_configs(own, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'MOST', 5)
    data = images(str(tmp_path))
    assert len(data.classes) == 3 and data.counts['pretext'] == 5
    lines = Path(data.pretext_list).read_text().splitlines()
    assert len(set(lines)) == 5
    assert all((own / 'pretext' / line).is_file() for line in lines)
    configs = DemoConfigs(TASKS['images'], str(ROOT / 'configs'), data, False)
    pretext = configs.pretraining()
    loader = pretext.train_dataloader
    assert loader.batch_size == 5
    assert len(DATASETS.build(loader.dataset)) == 5
    assert pretext.train_cfg.max_epochs == 60
    stage = configs.stage('BiSSL+FT', 2, 'pretrained.pth')
    assert stage.model.downstream.head.num_classes == 3
    assert stage.randomness.seed == 2
    assert stage.train_dataloader.dataset.dataset.data_root == str(own / 'downstream')
    fine = configs.fine_tuning()
    steps = data.counts['train'] // fine.train_dataloader.batch_size
    assert fine.train_cfg.max_epochs * steps >= module.STEPS
    assert fine.param_scheduler.end == fine.train_cfg.max_epochs


@pytest.mark.parametrize(
    'change, message',
    [
        (
            lambda env, root: env.delenv('BISSL_PRETEXT_DIR'),
            'BISSL_PRETEXT_DIR is not set',
        ),
        (
            lambda env, root: env.setenv('BISSL_PRETEXT_DIR', str(root / 'no')),
            "Folder '.*no' does not exist",
        ),
        (
            lambda env, root: env.setenv('BISSL_PRETEXT_DIR', str(root)),
            'pretext split in .* has 0 images',
        ),
        (
            lambda env, root: env.setenv('BISSL_DOWNSTREAM_DIR', str(root)),
            'Folder .*train. does not exist',
        ),
        (
            lambda env, root: env.setenv('BISSL_NUM_CLASSES', '7'),
            'BISSL_NUM_CLASSES is 7, but .* has 3 class folders',
        ),
    ],
)
def test_folders_that_cannot_be_used_are_refused(
    change, message, own, tmp_path, monkeypatch
):
    change(monkeypatch, tmp_path)
    with pytest.raises((ValueRefusal, FileNotFoundRefusal), match=message):
        images(str(tmp_path / 'data'))
