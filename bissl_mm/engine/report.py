"""What a run logs about itself before its first step."""

import os.path as osp
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from .checks.loaders import check_loader


def report_run(runner: Runner) -> None:
    """Log the work folder, the device and the model.

    Args:
        runner (Runner): Just built. Its ``build_val_loop`` and
            ``build_test_loop`` are wrapped, so that they log their number of
            samples when the data are loaded.
    """
    log = runner.logger.info
    log(f'Config: {runner.cfg.filename or "made by a program"}')
    log(f'Work folder: {osp.abspath(runner.work_dir)}')
    log(
        f'Log file: {runner.logger.log_file} (with the whole config, the '
        'environment and warnings of libraries; --verbose shows them here)'
    )
    model = getattr(runner.model, 'module', runner.model)
    device = next(model.parameters()).device
    place = (
        torch.cuda.get_device_name(device)
        if device.type == 'cuda'
        else f'{device.type}, {torch.get_num_threads()} thread(s) each'
    )
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    log(f'Processes: {get_world_size()} ({place}), seed {runner.seed}')
    log(
        f'Model: {type(model).__name__}, {trained / 1e6:.2f} million trained parameters'
    )
    for name, title in (
        ('build_val_loop', 'Validation data'),
        ('build_test_loop', 'Test data'),
    ):
        setattr(
            runner,
            name,
            _reporting(
                runner, getattr(runner, name), title, f'{name[6:-5]}_dataloader'
            ),
        )


def report_data(runner: Runner, loop: Any) -> None:
    """Log the number of samples and batches of a train loop, for each level."""
    streams = getattr(loop, 'streams', None)
    if streams is None:
        _log_data(runner, 'Training data', loop.dataloader)
        return
    for level, title in (
        ('lower', 'Pretext data (lower level)'),
        ('upper', 'Downstream data (upper level)'),
    ):
        _log_data(runner, title, streams[level])


def _reporting(runner: Runner, build: Any, title: str, key: str) -> Any:
    def build_and_log(loop: Any) -> Any:
        loop = build(loop)
        check_loader(key, loop.dataloader)
        _log_data(runner, title, loop.dataloader, batches=False)
        return loop

    return build_and_log


def _log_data(runner: Runner, title: str, loader: Any, batches: bool = True) -> None:
    dataset = loader.dataset
    meta = getattr(dataset, 'metainfo', None) or {}
    text = f'{title}: {len(dataset)} samples'
    if meta.get('classes'):
        text += f' of {len(meta["classes"])} classes'
    root = getattr(dataset, 'data_root', None)
    if root:
        text += f' from {root}'
    size = loader.batch_size or getattr(
        getattr(loader, 'batch_sampler', None), 'batch_size', None
    )
    if batches and size:
        world = get_world_size()
        text += (
            f', {size * world} per batch ({size} on each of {world} '
            f'process(es)), {len(loader)} batches per pass'
        )
    runner.logger.info(text)
