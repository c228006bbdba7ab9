"""The shipped configs read what the tool prepares."""

import pytest
import raw_downloads as raw
from mmengine.registry import DATASETS, init_default_scope
from task_configs import shipped
from tool_runs import tool

import bissl_mm.engine  # noqa: F401

__all__ = ['tool']

COUNTS = [f'{k}={v}' for k, v in raw.COUNTS.items()]


@pytest.mark.parametrize(
    'name, write, config, task, numbers',
    [
        (
            'cifar10',
            lambda root: raw.cifar10_folder(root, raw.cifar10_batches(), True),
            'bissl/bissl-simclr_r18_b64-10x4-30t_cifar10-48px',
            'cifar10',
            (30, 20, 10, 50),
        ),
        ('dtd5', raw.dtd_folder, 'fine_tune/r18_48px', 'dtd5', (10, 10, 10)),
        pytest.param(
            'bccd',
            raw.bccd_folder,
            'fine_tune/r18_48px',
            'bccd-c4',
            (3, 2, 2),
            marks=pytest.mark.mmcv_ops,
        ),
        pytest.param(
            'camvid',
            raw.camvid_folder,
            'fine_tune/r18_48px',
            'camvid-fcn16',
            (4, 2, 3),
            marks=pytest.mark.mmcv_ops,
        ),
    ],
)
def test_configs_read_it(
    name, write, config, task, numbers, tool, tmp_path, monkeypatch, capsys
):
    data = tmp_path / 'data'
    monkeypatch.setenv('BISSL_DATA_DIR', str(data))
    tool(
        'prepare_dataset',
        name,
        write(tmp_path / 'raw'),
        '--allow-incomplete',
        *(['--counts', *COUNTS] if name == 'cifar10' else []),
    )
    printed = capsys.readouterr().out
    cfg = shipped(config, task)
    init_default_scope(cfg.default_scope)
    loaders = [cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]
    if 'pretext_dataloader' in cfg.train_cfg:
        loaders.append(cfg.train_cfg.pretext_dataloader)
    for loader, number in zip(loaders, numbers, strict=True):
        dataset = DATASETS.build(loader.dataset)
        assert len(dataset) == number
        assert f' {number} ' in printed.replace('\n', ' ')
        sample = dataset[number - 1]['data_samples']
        if name == 'bccd':
            assert len(sample.gt_instances.bboxes) >= 2
        elif name == 'camvid':
            assert set(sample.gt_sem_seg.data.unique().tolist()) == {*range(11), 255}
        elif number != 50:
            # The last sample of all is of the last class.
            assert (
                int(sample.gt_label)
                == cfg.model.get('downstream', cfg.model).head.num_classes - 1
            )
