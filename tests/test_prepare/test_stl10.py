"""STL-10's binary files become folders that its configs read."""

import numpy as np
import pytest
import raw_downloads as raw
from PIL import Image
from task_configs import shipped

from bissl_mm.datasets.stream_parts import build_dataset
from bissl_mm.prepare import prepare
from bissl_mm.utils.errors import ValueRefusal


def test_images_stand_upright_in_the_folders_that_the_configs_read(
    tmp_path, monkeypatch
):
    archive = raw.packed(raw.stl10_folder(tmp_path / 'raw'), tmp_path / 'stl10.tar.gz')
    prepare('stl10', archive, tmp_path / 'data', allow_incomplete=True)
    root = tmp_path / 'data/stl10'
    pixels = np.asarray(Image.open(root / 'train/class3/000013.png'))
    assert pixels.shape == (96, 96, 3)
    assert (pixels[..., 0] == 13).all()
    assert (pixels[5, :, 1] == 5).all() and (pixels[:, 7, 2] == 7).all()
    monkeypatch.setenv('BISSL_DATA_DIR', str(tmp_path / 'data'))
    cfg = shipped('bissl/bissl-simclr_r18_8xb128-20x8-500t_stl10-96px')
    found = {
        part: len(build_dataset(part, cfg[f'{part}_dataloader'].dataset))
        for part in ('train', 'val', 'test')
    }
    assert found == dict(train=40, val=10, test=20)
    pretext = cfg.train_cfg.pretext_dataloader.dataset
    assert len(build_dataset('pretext', pretext)) == 12


@pytest.mark.parametrize(
    'harm, words',
    [
        (lambda f: (f / 'test_X.bin').write_bytes(b'12'), 'test_X.bin.*is cut off'),
        (lambda f: (f / 'train_y.bin').unlink(), '0 labels for 50 images of 10'),
        (
            lambda f: (f / 'train_y.bin').write_bytes(bytes(50)),
            '50 labels for 50 images of 10 classes, which are numbered from 1',
        ),
        (lambda f: (f / 'unlabeled_X.bin').unlink(), 'unlabeled: 100000 expected, 0'),
    ],
)
def test_a_harmed_download_is_refused(harm, words, tmp_path):
    folder = raw.stl10_folder(tmp_path / 'raw')
    harm(folder)
    with pytest.raises(ValueRefusal, match=words):
        prepare('stl10', folder, tmp_path / 'data', allow_incomplete=True)
    assert not (tmp_path / 'data/stl10').exists()
