"""Checks at the start of a comparison what it needs at its end."""

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from ...config import type_name
from ...datasets.folders import check_data_folders
from ...models.weights.pretrained import check_pretrained_init
from ...utils.errors import Refusal, ValueRefusal
from .fine_tune import set_checkpoint


def check_parts(cfg: Config) -> None:
    """Refuse a config that lacks what the last run of an arm needs.

    Args:
        cfg (Config): Fine-tuning config; not changed.

    Raises:
        ValueError: If it is of a bilevel stage, if a split has no data, evaluator or
            loop, or if the test split and the validation split have different
            evaluators.
        FileNotFoundError: If a data folder or annotation file is missing.
    """
    if 'downstream' in cfg.model:
        raise ValueRefusal(
            f'{cfg.filename or "The config"} has a model of two backbones, '
            f'{type_name(cfg.model.get("type"))!r}, but a comparison fine-tunes one. '
            'Type a config of configs/fine_tune.'
        )
    for part, why in (
        ('train', 'to train on'),
        ('val', 'by which the setting is chosen'),
        ('test', 'on which the arms are compared'),
    ):
        needed = ['dataloader', 'cfg'] + ['evaluator'] * (part != 'train')
        for key in (f'{part}_{name}' for name in needed):
            # An empty dict means a loop with its default settings.
            if cfg.get(key) is None or key.endswith('r') and not cfg[key]:
                raise ValueRefusal(
                    f'{cfg.filename or "The config"} has no {key}, but a '
                    f'comparison needs the {part} split, {why}. Write {key} '
                    'in the config.'
                )
    check_data_folders(cfg, ['train', 'val', 'test'])
    _check_evaluators(cfg)


def check_arms(cfg: Config, checkpoints: Mapping[str, str]) -> None:
    """Refuse a checkpoint that the runs of an arm could not start from.

    Args:
        cfg (Config): Fine-tuning config; not changed.
        checkpoints (dict[str, str]): Backbone of each arm by the arm's name.

    Raises:
        ValueError: If a checkpoint does not fit the model, or cannot be read.
    """
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    for name, path in checkpoints.items():
        model = copy.deepcopy(cfg.model)
        set_checkpoint(model, path)
        try:
            check_pretrained_init(MODELS.build(model))
        except Refusal as refusal:
            raise ValueRefusal(f'--arm {name}={path}: {refusal}') from refusal


def _check_evaluators(cfg: Config) -> None:
    val, test = (_metrics(cfg[f'{part}_evaluator']) for part in ('val', 'test'))
    for part, metrics in (('val', val), ('test', test)):
        for name, metric in metrics.items():
            if metric.get('format_only'):
                raise ValueRefusal(
                    f'{part}_evaluator: {name} has format_only=True, so it '
                    'writes files and reports no metric to compare. Set '
                    'format_only=False, with a split that has annotations.'
                )
    if val and test and not set(val) & set(test):
        raise ValueRefusal(
            f'test_evaluator is {", ".join(test)}, but val_evaluator is '
            f'{", ".join(val)}, so the test would not report the metric that '
            'chooses the setting. Set the same evaluator for both.'
        )


def _metrics(evaluator: Any) -> dict[str, dict]:
    """Configs of an evaluator's metrics by their class names."""
    if isinstance(evaluator, dict):
        evaluator = evaluator.get('metrics', [evaluator])
    given = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    found = {}
    for metric in given:
        if isinstance(metric, dict) and 'type' in metric:
            kind = metric['type']
            name = getattr(kind, '__name__', str(kind))
            found[name.rpartition('.')[2].rpartition('::')[2]] = metric
    return found
