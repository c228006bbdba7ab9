"""The config of a run, and what of it a key depends on."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from mmengine.config import Config

from ...config import read_config
from ...config.options import merge_options
from ..definition.arms import ARMS
from ..queue.node import digest
from .small import options as small_options

#: Where this variable points is not part of a key: machines that share a storage
#: may have the data sets in different folders.
DATA = 'BISSL_DATA_DIR'
#: The backbone of a fine-tuning outside of experiments. A run has one of its own, so
#: this variable of a shell is not part of a key, either.
CHECKPOINT = 'BISSL_CHECKPOINT'


def read_own(spec: Mapping[str, Any]) -> Config:
    """The config of a run.

    Args:
        spec (dict): ``config`` (its file), ``task``, ``options`` by dotted key, and
            what :func:`adapt` takes.
    """
    # mmengine writes into the options.
    cfg = read_config(spec['config'], deepcopy(spec['options']), spec['task'])
    adapt(cfg, spec)
    return cfg


def adapt(cfg: Config, spec: Mapping[str, Any]) -> None:
    """Put the patch of an arm into a config, and make it small.

    Args:
        cfg (Config): Changed.
        spec (dict): ``patch``, the name of an arm or None; ``task_config``, the
            spec of the fine-tuning config of its task; ``small``, see
            :func:`~.small.options`, or None for the size as it is; ``head``, a file
            of the authors' release, whose pixels the pretext model then takes.
    """
    # A stage's patch has the last word on the numbers of steps.
    is_stage = 'pretext_dataloader' in cfg.train_cfg
    if not is_stage:
        _patch(cfg, spec)
    if spec['small'] is not None:
        merge_options(cfg, small_options(cfg, spec['small']))
    if is_stage:
        _patch(cfg, spec)
    if spec.get('head') is None:
        return
    if is_stage:
        cfg.model.unscaled_pixels = True
    else:
        own = cfg.model.data_preprocessor
        own.update({key: [v / 255 for v in own[key]] for key in ('mean', 'std')})


def _patch(cfg: Config, spec: Mapping[str, Any]) -> None:
    patch = ARMS[spec['patch']].patch if spec.get('patch') else None
    if patch is not None:
        patch(cfg, read_own(spec['task_config']))


def config_digest(cfg: Config, folder: str | None = None) -> str:
    """A digest of a merged config.

    Args:
        cfg (Config): Read within :func:`data_left_out`.
        folder (str, optional): The data folder of this machine, which options of an
            experiment file may have put into the config.
    """
    return digest(repr(_moved(cfg.to_dict(), folder) if folder else cfg.to_dict()))


def _moved(value: Any, folder: str) -> Any:
    """The same with paths in the data folder as if it were the default one."""
    if isinstance(value, dict):
        return {key: _moved(v, folder) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(v, folder) for v in value)
    if isinstance(value, str) and (value + '/').startswith(folder.rstrip('/') + '/'):
        return 'data' + value[len(folder.rstrip('/')) :]
    return value


@contextmanager
def data_left_out() -> Iterator[str | None]:
    """Inside, configs are read as if all machines had one data folder and no
    :data:`CHECKPOINT`.

    Gives the folder of this machine; None where the variable is not set.
    """
    before = {name: os.environ.pop(name, None) for name in (DATA, CHECKPOINT)}
    os.environ[DATA] = 'data'
    try:
        yield before[DATA]
    finally:
        del os.environ[DATA]
        os.environ.update({k: v for k, v in before.items() if v is not None})
