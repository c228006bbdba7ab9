"""Refuse, before the first step, sizes of batches that cannot be trained on."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from ...utils.errors import ValueRefusal
from ...utils.random import seeded


def check_train_loop(runner: Runner, loop: Any) -> None:
    """Refuse data that give no batch, or one too small for a batch norm.

    Args:
        runner (Runner): Its model does not change.
        loop (BaseLoop): A train loop just built. The loop of the bilevel stage
            is not checked here; see :func:`check_levels`.

    Raises:
        ValueError: Naming the numbers, the setting and the remedy.
    """
    if hasattr(loop, 'streams'):
        return
    loader = loop.dataloader
    check_loader('train_dataloader', loader)
    size = _batch_size(loader)
    number = len(_sampler(loader))
    rest = (
        number % size
        if size and not _drops_last(loader) and not _is_endless(loader)
        else 0
    )
    if size != 1 and rest != 1:
        return
    model = getattr(runner.model, 'module', runner.model)
    layers = norms_of_one_value(model, lambda: loader.collate_fn([loader.dataset[0]]))
    if layers and size == 1:
        raise ValueRefusal(
            f'train_dataloader: batch_size=1, but {_named(layers)} of one '
            'image. Set train_dataloader.batch_size to at least 2.'
        )
    if layers:
        raise ValueRefusal(
            f'train_dataloader: {number} images on this process leave one '
            f'image for the last batch (batch_size={size}), but '
            f'{_named(layers)} of it. Type --cfg-options '
            'train_dataloader.drop_last=True, or another batch_size.'
        )


def check_loader(key: str, loader: Any) -> None:
    """Refuse a loader without a single batch.

    Args:
        key (str): Its dotted key in the config.
        loader (DataLoader): Just built.

    Raises:
        ValueError: Naming the number of images and the batch size.
    """
    if (
        not hasattr(loader.dataset, '__len__')
        or len(loader) > 0
        or len(loader.dataset)
        and _is_endless(loader)
    ):
        return
    number, size = len(loader.dataset), _batch_size(loader)
    world = get_world_size()
    if number == 0:
        raise ValueRefusal(
            f'{key}: the data set holds no image. Check its folder, its '
            'annotation file and what filter_cfg leaves out.'
        )
    shared = f' for {world} processes' if world > 1 else ''
    raise ValueRefusal(
        f'{key}: the data set has {number} images{shared}, fewer than one '
        f'batch of {size}, and drop_last=True leaves a smaller one out. Type '
        f'--cfg-options {key}.batch_size={max(number // world, 1)}, or '
        f'{key}.drop_last=False.'
    )


def check_levels(
    model: nn.Module,
    streams: dict[str, Any],
    parts: dict[str, int],
    hessian_size: int | None = None,
) -> None:
    """Refuse parts of one image before a batch norm over one value.

    Args:
        model (BiSSLModel): Not changed.
        streams (dict[str, LevelStream]): ``'lower'`` and ``'upper'``.
        parts (dict[str, int]): ``num_micro_batches`` of ``'lower'``,
            ``'upper'`` and ``'hessian'``.
        hessian_size (int, optional): ``hypergradient.batch_size``.

    Raises:
        ValueError: Naming the level, the layer, the numbers and the remedy.
    """
    for level, number in parts.items():
        stream = streams['upper' if level == 'upper' else 'lower']
        size = stream.batch_size
        if level == 'hessian' and hessian_size:
            size = hessian_size
        if size // number != 1:
            continue
        layers = norms_of_one_value(
            model.downstream if level == 'upper' else model.pretext, stream.first_sample
        )
        if not layers:
            continue
        key = 'train_dataloader' if level == 'upper' else 'train_cfg.pretext_dataloader'
        if level == 'hessian' and hessian_size:
            setting = f'optim_wrapper.hypergradient.batch_size={size}'
        else:
            setting = f'{key}.batch_size={size}'
        cut = (
            f' in {number} parts (optim_wrapper.num_micro_batches.{level}={number})'
            if number > 1
            else ''
        )
        raise ValueRefusal(
            f'{level} level: {setting}{cut} passes one image at a time, but '
            f'{_named(layers)} of one image. Take '
            + ('fewer parts or a larger batch.' if number > 1 else 'at least 2 images.')
        )


def norms_of_one_value(model: nn.Module, draw: Callable[[], Any]) -> list[str]:
    """Batch norms that see one value per channel of a single image.

    A copy of the model passes one image, in evaluation mode, so that neither
    statistics nor generators change.

    Args:
        model (nn.Module): A model of OpenMMLab.
        draw (Callable): Returns a collated batch of one sample.

    Returns:
        list[str]: Names of the layers that would take its statistics in
        training. Empty if the image cannot pass the model.
    """
    found: list[str] = []

    def watch(name: str) -> Callable:
        def hook(module: nn.Module, args: tuple) -> None:
            if args[0].numel() == args[0].shape[1]:
                found.append(name)

        return hook

    try:
        model = copy.deepcopy(model)
        model.train()
        for name, module in model.named_modules():
            if (
                isinstance(module, _BatchNorm)
                and module.training
                and not _is_shared(module)
            ):
                module.register_forward_pre_hook(watch(name))
        model.eval()
        device = next(model.parameters()).device
        with seeded(0, device), torch.no_grad():
            data = model.data_preprocessor(draw(), True)
            model(**data, mode='loss')
    except Exception:
        # This is only a look ahead. The run itself will say what is wrong.
        pass
    return list(dict.fromkeys(found))


def _is_shared(module: nn.Module) -> bool:
    """Whether a layer takes the statistics of several processes."""
    return get_world_size() > 1 and (
        isinstance(module, SyncBatchNorm) or getattr(module, 'synchronised', False)
    )


def _batch_size(loader: Any) -> int:
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size', 0)


def _sampler(loader: Any) -> Any:
    # A batch sampler has its own sampler; that of torch's loader is then unused.
    return getattr(loader.batch_sampler, 'sampler', loader.sampler)


def _is_endless(loader: Any) -> bool:
    """Whether there is no last batch, as in training by iterations."""
    return 'Infinite' in type(_sampler(loader)).__name__


def _drops_last(loader: Any) -> bool:
    return getattr(loader.batch_sampler, 'drop_last', loader.drop_last)


def _named(layers: list[str]) -> str:
    more = f' and {len(layers) - 1} more' if len(layers) > 1 else ''
    return (
        f"the batch norm '{layers[0]}'{more} would take the variance of "
        'one value per channel'
    )
