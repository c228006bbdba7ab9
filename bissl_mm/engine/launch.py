"""What the command-line tools share: config, processes, checks, errors."""

import argparse
import os
import os.path as osp
import sys
import traceback
from datetime import timedelta
from os import _exit
from typing import Callable, List, NoReturn, Optional

import torch
import torch.distributed as dist
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..models.checks import check_num_classes
from ..models.pretrained import check_load_from, check_pretrained_init
from ..utils.allocator import keep_freed_memory
from ..utils.checkpoint import use_safe_loading
from ..utils.errors import FileNotFoundRefusal, refusal_in, refusal_text
from ..utils.total_batch import share_batches
from .distributed import (get_rank, get_world_size, is_parallel,
                          wait_for_all)
from .search_space import place_holder_note


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every tool that runs a config."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints; default: '
        'work_dirs/NAME-OF-CONFIG')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings that replace those of the config, key=value, for '
        'example train_cfg.num_alternations=100 or '
        'train_dataloader.dataset.data_root=data/flowers')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how several processes were started')
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Read a config and apply the common arguments.

    Raises:
        FileNotFoundError: If there is no such config.
    """
    if not osp.isfile(args.config):
        raise FileNotFoundRefusal(f'Config {args.config!r} does not exist '
                                  f'(working folder {os.getcwd()!r}).')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('work_dirs', name)
    return cfg


def prepare_processes(cfg: Config) -> None:
    """Set up CPU processes, which mmengine itself cannot.

    mmengine's launchers select a CUDA device first. Without one, the
    processes are connected here by gloo, and keep the memory they free.

    Args:
        cfg (Config): Its ``launcher`` says how processes were started.
    """
    use_safe_loading()
    if torch.cuda.is_available():
        return
    keep_freed_memory()
    if cfg.launcher == 'none':
        return
    if cfg.launcher == 'slurm':
        _slurm_environment()
    if not dist.is_initialized():
        seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get(
            'timeout', 1800)
        dist.init_process_group('gloo', timeout=timedelta(seconds=seconds))


def count_processes(launcher: str) -> int:
    """Number of processes, also before they are connected.

    Args:
        launcher (str): How they were started, as in the config.
    """
    if dist.is_available() and dist.is_initialized():
        return get_world_size()
    variable = dict(pytorch='WORLD_SIZE', slurm='SLURM_NTASKS',
                    mpi='OMPI_COMM_WORLD_SIZE').get(launcher)
    return int(os.environ.get(variable, 1)) if variable else 1


def build_runner(cfg: Config, train: bool = True) -> Runner:
    """Build the runner of a config with the package's checks added.

    Every ``Pretrained`` initialisation must match tensors, and the number of
    classes must be that of the data. What a dataloader states as
    ``total_batch_size`` is shared by the processes.

    Args:
        cfg (Config): The config; changed.
        train (bool): Whether the training data will be read, so that the
            processes must be able to share their batches. Defaults to True.
    """
    lines = share_batches(
        cfg, count_processes(cfg.get('launcher', 'none'))) if train else []
    if 'BiSSLTrainLoop' in str((cfg.get('train_cfg') or {}).get('type')):
        cfg.setdefault('model_wrapper_cfg',
                       dict(type='bissl_mm.PlainDistributedModel'))
    elif is_parallel() and not torch.cuda.is_available():
        cfg.setdefault(
            'model_wrapper_cfg',
            dict(type='bissl_mm.CPUDistributedDataParallel',
                 broadcast_buffers=False,
                 sync_norms=cfg.get('sync_bn') is not None,
                 find_unused_parameters=cfg.get('find_unused_parameters',
                                                False)))
        # torch's and mmcv's own layers exist on GPUs only.
        cfg.sync_bn = None
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = Runner.from_cfg(cfg)
    _check_after_init(runner)
    for line in lines:
        runner.logger.info(line)
    note = place_holder_note(cfg) if train else None
    if note:
        runner.logger.warning(note)
    return runner


def _check_after_init(runner: Runner) -> None:
    model = getattr(runner.model, 'module', runner.model)
    init_weights = model.init_weights

    def checked_init_weights() -> None:
        init_weights()
        check_pretrained_init(model)
        if runner._load_from and not runner._resume:
            check_load_from(model, runner._load_from, share=0.)

    model.init_weights = checked_init_weights
    build_train_loop = runner.build_train_loop

    def checked_build_train_loop(loop):
        loop = build_train_loop(loop)
        check_num_classes(
            getattr(model, 'downstream', model),
            getattr(loop.dataloader.dataset, 'metainfo', None) or {})
        return loop

    runner.build_train_loop = checked_build_train_loop


def run_tool(main: Callable[[Optional[List[str]]], None]) -> None:
    """Run a tool's main function; an error names the rank.

    What the package refuses (:class:`~bissl_mm.utils.errors.Refusal`) ends
    with its message alone. Anything else is a bug, here or in a library, and
    ends with its traceback. The exit status is 1.
    """
    try:
        main(None)
        _part()
    except SystemExit:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()
        raise
    except Exception as error:
        refusal = refusal_in(error)
        if refusal is not None:
            _fail(refusal_text(refusal))
        traceback.print_exc()
        _fail(f'{type(error).__name__}: {error}')


def _part() -> None:
    """Leave the other processes in good order.

    A thread of the process group that still runs while Python shuts down
    aborts the process, and the launcher then ends the other ranks.
    """
    if dist.is_available() and dist.is_initialized():
        wait_for_all()
        dist.destroy_process_group()


def _fail(text: str) -> NoReturn:
    rank = os.environ.get('RANK', get_rank())
    print(f'[rank {rank}] {text}', file=sys.stderr, flush=True)
    # Other ranks wait in collectives; leaving without a farewell lets the
    # launcher see the failure at once.
    sys.stdout.flush()
    _exit(1)


def _slurm_environment() -> None:
    """The variables of torch's launcher, from those of Slurm."""
    os.environ.setdefault('RANK', os.environ['SLURM_PROCID'])
    os.environ.setdefault('WORLD_SIZE', os.environ['SLURM_NTASKS'])
    os.environ.setdefault('LOCAL_RANK', os.environ['SLURM_LOCALID'])
    os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    os.environ.setdefault('MASTER_PORT', '29500')
