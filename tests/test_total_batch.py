"""The batch of all processes together, and each process's share."""

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from small_run import small_config
from toy import DictDataset

from bissl_mm.analysis.runs.fine_tune import Setting, fine_tune
from bissl_mm.datasets import LevelStream
from bissl_mm.engine.launch import build_runner, count_processes, prepare_processes
from bissl_mm.utils.total_batch import share_batches

FINE_TUNE = ROOT / 'configs/fine_tune/r18_64px.py'


def config(**train_dataloader):
    return Config(
        dict(
            train_dataloader=train_dataloader,
            train_cfg=dict(pretext_dataloader=dict(total_batch_size=1024)),
            val_dataloader=dict(batch_size=7),
        )
    )


def test_processes_share_the_total():
    for world, samples in ((1, 256), (4, 64), (8, 32)):
        cfg = config(total_batch_size=256)
        lines = share_batches(cfg, world)
        assert cfg.train_dataloader == dict(batch_size=samples)
        assert cfg.train_cfg.pretext_dataloader.batch_size == 1024 // world
        assert cfg.val_dataloader == dict(batch_size=7)
        assert f'256 samples per step, {samples} on each of {world}' in lines[0]
        # A batch that is divided is not divided again.
        assert share_batches(cfg, world) == []


def test_uneven_shares_are_refused_with_what_to_type():
    with pytest.raises(ValueError) as error:
        share_batches(config(total_batch_size=16), 6)
    text = str(error.value)
    assert 'train_dataloader: 6 processes' in text and '=16' in text
    assert 'tools/dist_train.sh CONFIG 4' in text
    assert '--cfg-options train_dataloader.batch_size=2' in text
    with pytest.raises(ValueError, match='total_batch_size must be'):
        share_batches(config(total_batch_size=0), 1)


def test_explicit_batch_size_goes_before_the_total_and_is_said():
    cfg = config(total_batch_size=256, batch_size=4)
    lines = share_batches(cfg, 2)
    assert cfg.train_dataloader == dict(batch_size=4)
    assert '8 samples per step' in lines[0]
    assert 'total_batch_size=256' in lines[0]


def test_large_batch_on_one_process_names_the_ways_out():
    one, two = (share_batches(config(), n)[0] for n in (1, 2))
    assert 'num_micro_batches' in one and 'num_micro_batches' not in two


@pytest.mark.parametrize(
    'launcher, variable',
    [
        ('pytorch', 'WORLD_SIZE'),
        ('slurm', 'SLURM_NTASKS'),
        ('mpi', 'OMPI_COMM_WORLD_SIZE'),
    ],
)
def test_processes_are_counted_before_they_are_connected(
    launcher, variable, monkeypatch
):
    monkeypatch.setenv(variable, '6')
    assert count_processes(launcher) == 6
    assert count_processes('none') == 1


def test_stream_of_a_level_takes_its_share():
    loader = dict(
        dataset=DictDataset([dict(x=i) for i in range(24)]), total_batch_size=6
    )
    whole = LevelStream(loader, 'lower', 2)
    parts = [LevelStream(loader, 'lower', 2, rank, 2) for rank in range(2)]
    assert whole.batch_size == 6 and len(whole) == 4
    for stream in (whole, *parts):
        stream.start(0)
    for n in range(8):
        assert whole.sampler.keys(n) == [
            key for part in parts for key in part.sampler.keys(n)
        ]
    assert LevelStream({**loader, 'batch_size': 1}, 'upper').batch_size == 1
    with pytest.raises(
        ValueError, match='train_cfg.pretext_dataloader: 4 processes cannot share'
    ):
        LevelStream(loader, 'lower', 2, 0, 4)


def small_total(monkeypatch, data, folder, total):
    """The small bilevel config with total_batch_size instead of batch_size."""
    cfg = small_config(monkeypatch, data, folder, train_cfg__val_interval=100)
    for loader in (cfg.train_dataloader, cfg.train_cfg.pretext_dataloader):
        del loader['batch_size']
        loader.total_batch_size = total
    return cfg


def sizes_on_rank(rank, world, data, folder, launched):
    """Batch size and batches per pass of both levels."""
    with pytest.MonkeyPatch.context() as patch:
        cfg = small_total(patch, data, folder, 8)
        cfg.experiment_name = f'total{launched}'
        if launched:
            runner = build_runner(cfg)
        else:
            cfg.model_wrapper_cfg = dict(type='bissl_mm.PlainDistributedModel')
            runner = Runner.from_cfg(cfg)
        loop = runner.build_train_loop(runner._train_loop)
        return {
            level: (stream.batch_size, len(stream))
            for level, stream in loop.streams.items()
        }


@pytest.mark.dist
@pytest.mark.parametrize('launched', [True, False])
def test_two_processes_take_half_of_it_each(pool, image_folders, tmp_path, launched):
    # 40 unlabeled and 24 labeled pictures; by the tools and by mmengine alone.
    assert (
        pool.run(sizes_on_rank, image_folders, tmp_path, launched)
        == [dict(lower=(4, 5), upper=(4, 3))] * 2
    )


def test_comparison_trains_with_the_whole_batch(monkeypatch, image_folders, tmp_path):
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(image_folders / 'downstream'))
    monkeypatch.setenv('BISSL_NUM_CLASSES', '3')
    cfg = Config.fromfile(FINE_TUNE)
    cfg.merge_from_dict(
        {
            'model.backbone.stem_channels': 4,
            'model.backbone.base_channels': 4,
            'model.head.in_channels': 32,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'val_dataloader.num_workers': 0,
            'val_dataloader.persistent_workers': False,
            'test_dataloader.num_workers': 0,
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'param_scheduler.end': 1,
        }
    )
    del cfg.train_dataloader['batch_size']
    cfg.train_dataloader.total_batch_size = 12
    # A checkpoint of the network itself.
    init_default_scope('mmpretrain')
    model = dict(cfg.model)
    backbone = MODELS.build(
        {k: v for k, v in model['backbone'].items() if k != 'init_cfg'}
    )
    path = tmp_path / 'backbone.pth'
    torch.save(
        dict(state_dict={f'backbone.{k}': v for k, v in backbone.state_dict().items()}),
        path,
    )
    seen = []
    fine_tune(
        cfg,
        str(path),
        Setting(0.01, 0.0),
        0,
        str(tmp_path),
        inspect=lambda runner: seen.append(runner.train_dataloader),
    )
    assert seen[0].batch_size == 12
    assert cfg.train_dataloader.total_batch_size == 12


@pytest.mark.parametrize(
    'launcher, variable',
    [('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_RANK')],
)
def test_a_launcher_that_started_nothing_is_refused(launcher, variable, monkeypatch):
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(
        RuntimeError, match=f'--launcher {launcher}: .*{variable} is not'
    ):
        prepare_processes(Config(dict(launcher=launcher)))
