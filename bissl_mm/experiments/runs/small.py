"""Options with which a shipped config runs in a second: ``--preset small``.

Data sets, their pipelines and all classes stay those of the config. Widths,
depths, batches and counts become small.
"""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

#: Keys of a model that count channels.
WIDTHS = (
    'in_channels',
    'out_channels',
    'hid_channels',
    'feat_channels',
    'channels',
    'fc_out_channels',
    'embed_dim',
    'decoder_embed_dim',
    'embed_dims',
    'feedforward_channels',
)
LOADERS = (
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'train_cfg.pretext_dataloader',
)


def nodes(cfg, place: str = '') -> Iterator[tuple[str, dict]]:
    """Every dict of a config with its dotted place."""
    if isinstance(cfg, dict):
        yield place, cfg
        items = cfg.items()
    else:
        items = enumerate(cfg) if isinstance(cfg, (list, tuple)) else ()
    for key, value in items:
        yield from nodes(value, f'{place}.{key}' if place else str(key))


def is_c4(cfg: Config) -> bool:
    """Whether a stage of the backbone is mmdet's shared head.

    That head always has the width of a full ResNet.
    """
    return any('shared_head' in node for _, node in nodes(cfg.model))


def is_dense(cfg: Config) -> bool:
    """Whether the downstream task is detection or segmentation."""
    return any(
        key in node
        for _, node in nodes(cfg.model)
        for key in ('roi_head', 'bbox_head', 'decode_head')
    )


def small_model(cfg: Config, shallow: bool) -> dict:
    """Options for a narrow model, or for a shallow one of full width."""
    found = {}
    depths = [
        node['depth'] for _, node in nodes(cfg.model) if node.get('type') == 'ResNet'
    ]
    factor = 8
    if shallow:
        # ResNet-18 ends in a quarter of the channels of ResNet-50.
        factor = 4 if 50 in depths else 1
    for place, node in nodes(cfg.model, 'model'):
        for key in WIDTHS:
            value = node.get(key)
            if isinstance(value, int):
                found[f'{place}.{key}'] = value // factor
            elif isinstance(value, (list, tuple)):
                found[f'{place}.{key}'] = [v // factor for v in value]
        if shallow and node.get('depth') == 50:
            found[f'{place}.depth'] = 18
        elif not shallow and node.get('type') == 'ResNet':
            for key in ('stem_channels', 'base_channels'):
                found[f'{place}.{key}'] = node.get(key, 64) // factor
        elif node.get('type') == 'bissl_mm.SmallResNet':
            found[f'{place}.base_channels'] = 16 // factor
        if node.get('arch') == 'deit-s':
            found[f'{place}.arch'] = dict(
                _delete_=True,
                embed_dims=384 // factor,
                num_layers=2,
                num_heads=2,
                feedforward_channels=64,
            )
        for key, value in dict(
            num_layers=2, num_heads=2, decoder_depth=1, decoder_num_heads=2
        ).items():
            if key in node and node.get('type') != 'NonLinearNeck':
                found[f'{place}.{key}'] = value
        if node.get('type') == 'RandomSampler':
            found[f'{place}.num'] = 8
        if 'max_per_img' in node:
            found[f'{place}.max_per_img'] = 8
        if 'score_thr' in node:
            # An untrained detector has low scores for all boxes.
            found[f'{place}.score_thr'] = 0.0
    return found


def small_system(wrapper: dict) -> dict:
    """Options for a system of two lower steps and of four pretext images."""
    found, system = {}, wrapper['hypergradient']
    if 'max_iters' in system.solver:
        found['solver.max_iters'] = 1
    for key in ('num_batches', 'unrolled_steps'):
        if system.get(key):
            found[key] = 2
    found = {f'optim_wrapper.hypergradient.{k}': v for k, v in found.items()}
    if 'num_micro_batches' in wrapper:
        found['optim_wrapper.num_micro_batches.hessian'] = 2
    return found


def options(cfg: Config, shallow: bool) -> dict:
    """Options with which a shipped config runs in a second.

    Args:
        cfg (Config): The config as it is shipped.
        shallow (bool): See :func:`small_model`.

    Returns:
        dict: Values by dotted key, for ``--cfg-options``.
    """
    found = small_model(cfg, shallow)
    for part in ('model', 'train_cfg', *LOADERS[:3]):
        # Of texts. The vocabulary stays that of the tokenizer.
        for place, node in nodes(cfg.get(part, {}), part):
            if 'context' in node:
                found[f'{place}.context'] = 64
    bilevel = cfg.train_cfg.type == 'BiSSLTrainLoop'
    for name in LOADERS:
        loader = cfg
        for key in name.split('.'):
            loader = loader.get(key, {})
        if not loader:
            continue
        found.update(_small_loader(cfg, name, loader, bilevel))
    found['train_cfg.val_interval'] = 1
    if bilevel:
        found.update(_short_stage(cfg))
    else:
        found['train_cfg.max_epochs'] = 1
    found['default_hooks.checkpoint.interval'] = 1
    return found


def _small_loader(cfg: Config, name: str, loader: Any, bilevel: bool) -> dict:
    """Small batches, two of them in training, in the process itself."""
    found: dict[str, Any] = {f'{name}.num_workers': 0}
    if 'persistent_workers' in loader:
        found[f'{name}.persistent_workers'] = False
    if name == LOADERS[3] or 'val_dataloader' not in cfg:
        small = 4
    elif name == LOADERS[0] and not is_dense(cfg):
        small = 16 if bilevel else 8
    else:
        small = 2
    key = 'total_batch_size' if 'total_batch_size' in loader else 'batch_size'
    found[f'{name}.{key}'] = min(loader[key], small)
    # The streams of the bilevel loop do not know this key.
    if name in LOADERS[1:3] or name == LOADERS[0] and not bilevel:
        found[f'{name}.num_batch_per_epoch'] = 2 if 'train' in name else 1
    return found


def _short_stage(cfg: Config) -> dict:
    """One alternation."""
    found = {
        'train_cfg.num_alternations': 1,
        'train_cfg.num_lower_steps': 2,
        'train_cfg.num_upper_steps': 1,
        'train_cfg.head_warmup.num_epochs': 1,
        'param_scheduler.lower.0.end': 1,
        'param_scheduler.lower.1.begin': 1,
    }
    if len(cfg.param_scheduler.upper) == 2:
        # A warm-up of the upper level, too.
        found.update(
            {
                'train_cfg.num_upper_steps': 2,
                'param_scheduler.upper.0.end': 1,
                'param_scheduler.upper.1.begin': 1,
            }
        )
    return found | small_system(cfg.optim_wrapper)
