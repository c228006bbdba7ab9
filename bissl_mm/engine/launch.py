"""From a config to a runner, with checks and a report."""

import argparse
import os
import os.path as osp
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import get_world_size, is_distributed
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

# The tools import these two from here.
from ..command_line import add_common_arguments, run_tool  # noqa: F401
from ..config import is_type, notes_of, read_config
from ..config.dataloaders import settle_pinning, settle_workers
from ..config.tasks import default_folder
from ..datasets.folders import check_data_folders
from ..datasets.look import PLACES
from ..models.bissl_model import BiSSLModel
from ..models.checks import check_num_classes
from ..models.weights.pretrained import check_load_from
from ..models.weights.taken import init_with_checks
from ..utils.checkpoint import use_safe_loading
from ..utils.checkpoint_sources import settle_sources
from ..utils.console import quiet, quiet_pycocotools
from ..utils.errors import RuntimeRefusal
from ..utils.folders import check_work_dir
from ..utils.operators import check_compiled_operators
from ..utils.total_batch import share_batches
from ..utils.unused_gpus import unused_gpus_note
from .checks.data_look import check_data
from .checks.loaders import check_train_loop
from .checks.out_of_memory import explains_memory, in_memory_phase
from .checks.widths import explains_widths
from .hooks.newest_checkpoint import NewestCheckpointHook
from .loop.resume_guard import (
    ResumedPathsHook,
    ResumedProgressHook,
    ResumedShapesHook,
    ResumedTaskHook,
)
from .report import report_data, report_run
from .search_space import place_holder_note
from .steps.settings import refuse_moved

#: The parts of the data that training needs.
TRAINING_DATA = ('pretext', 'train', 'val')
#: Launcher -> its variables with the number of a process, of all processes, and of the
#: process on its machine.
_VARIABLES = dict(
    pytorch=('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
)


def load_config(args: argparse.Namespace) -> Config:
    """Read a config and apply the common arguments.

    Raises:
        FileNotFoundError: If there is no such config.
        OSError: If the work folder cannot be written.
        RuntimeError: If it needs compiled operators that are missing.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options, getattr(args, 'task', None))
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = default_folder(cfg, args.config)
    # A shell leaves the ~ of --work-dir=~/runs to the program.
    cfg.work_dir = osp.expanduser(cfg.work_dir)
    check_work_dir(cfg.work_dir)
    check_compiled_operators(cfg)
    refuse_moved(cfg)
    settle_workers(cfg)
    return cfg


def prepare_processes(cfg: Config) -> None:
    """Set up CPU processes, which mmengine itself cannot.

    mmengine's launchers select a CUDA device first. Without one, gloo connects
    the processes here.

    Args:
        cfg (Config): Its ``launcher`` says how the processes were started.

    Raises:
        RuntimeError: If no such launcher started this process.
    """
    use_safe_loading()
    if cfg.launcher == 'none' or is_distributed():
        return
    _check_launched(cfg.launcher)
    if not torch.cuda.is_available():
        _torch_environment(cfg.launcher)
        seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout', 1800)
        dist.init_process_group('gloo', timeout=timedelta(seconds=seconds))


def count_processes(launcher: str) -> int:
    """The number of processes, also before they are connected.

    Args:
        launcher (str): How they were started, as in the config.
    """
    if is_distributed():
        return get_world_size()
    if launcher not in _VARIABLES:
        return 1
    return int(os.environ.get(_VARIABLES[launcher][1], 1))


def build_runner(cfg: Config, train: bool = True) -> Runner:
    """Build the runner of a config with the package's checks added.

    Every ``Pretrained`` initialisation must match tensors. The number of classes
    must be that of the data. The data must be where the config says, and every
    stage must be able to train on them. The processes share the
    ``total_batch_size`` of a dataloader.

    Args:
        cfg (Config): The config; changed.
        train (bool): Whether the training data will be read. Then the processes
            must be able to share their batches. Defaults to True.
    """
    settle_sources(cfg)
    check_data_folders(cfg, TRAINING_DATA if train else ('test',))
    settle_workers(cfg)
    settle_pinning(cfg, torch.cuda.is_available())
    lines = (
        share_batches(cfg, count_processes(cfg.get('launcher', 'none')))
        if train
        else []
    )
    if is_type(cfg.get('train_cfg'), 'BiSSLTrainLoop'):
        cfg.setdefault('model_wrapper_cfg', dict(type='bissl_mm.PlainDistributedModel'))
    elif get_world_size() > 1 and not torch.cuda.is_available():
        cfg.setdefault(
            'model_wrapper_cfg',
            dict(
                type='bissl_mm.CPUDistributedDataParallel',
                broadcast_buffers=False,
                sync_norms=cfg.get('sync_bn') is not None,
                find_unused_parameters=cfg.get('find_unused_parameters', False),
            ),
        )
        # torch's and mmcv's own synchronised layers exist only on GPUs.
        cfg.sync_bn = None
    if 'Coco' in str(cfg._cfg_dict):
        quiet_pycocotools()
    has_own_runner = 'runner_type' in cfg
    runner = RUNNERS.build(cfg) if has_own_runner else ToolRunner.from_cfg(cfg)
    if not is_type(cfg.get('train_cfg'), 'BiSSLTrainLoop'):
        # That loop has its own ones.
        runner.register_hook(NewestCheckpointHook())
        runner.register_hook(ResumedProgressHook())
    runner.register_hook(ResumedTaskHook())
    runner.register_hook(ResumedShapesHook())
    runner.register_hook(ResumedPathsHook())
    report_run(runner)
    unused = unused_gpus_note()
    if unused:
        runner.logger.warning(unused)
    _check_at_init(runner)
    for line in lines:
        runner.logger.info(line)
    for line in notes_of(cfg):
        runner.logger.warning(line)
    check_data(cfg, PLACES if train else ('test',), runner.logger)
    note = place_holder_note(cfg) if train else None
    if note:
        runner.logger.warning(note)
    return runner


class ToolRunner(Runner):
    """mmengine's runner with fewer lines on the console. The log file has all
    lines."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """The logger, with a filter on its console."""
        return quiet(super().build_logger(*args, **kwargs))

    @explains_memory
    @explains_widths
    def train(self) -> Any:
        """Train; if memory runs out, the message says what to set."""
        return super().train()

    @explains_memory
    @explains_widths
    def test(self) -> Any:
        """Test; see :meth:`train`."""
        return super().test()

    def build_val_loop(self, loop: Any) -> Any:
        """The loop, whose errors of memory name it."""
        loop = super().build_val_loop(loop)
        loop.run = in_memory_phase('validation')(loop.run)
        return loop

    def build_test_loop(self, loop: Any) -> Any:
        """The loop, whose errors of memory name it."""
        loop = super().build_test_loop(loop)
        loop.run = in_memory_phase('test')(loop.run)
        return loop


def _check_at_init(runner: Runner) -> None:
    model = getattr(runner.model, 'module', runner.model)
    init_weights = model.init_weights

    def checked_init_weights() -> None:
        if isinstance(model, BiSSLModel):
            # It checks both of its models itself, before it loads ``pretrained``.
            init_weights()
        else:
            init_with_checks(model, init_weights)
        if runner._load_from and not runner._resume:
            check_load_from(model, runner._load_from, share=0.0)

    model.init_weights = checked_init_weights
    build_train_loop = runner.build_train_loop

    def checked_build_train_loop(loop):
        loop = build_train_loop(loop)
        check_train_loop(runner, loop)
        check_num_classes(
            getattr(model, 'downstream', model),
            getattr(loop.dataloader.dataset, 'metainfo', None) or {},
        )
        report_data(runner, loop)
        return loop

    runner.build_train_loop = checked_build_train_loop


def _check_launched(launcher: str) -> None:
    for variable in _VARIABLES[launcher]:
        if not os.environ.get(variable):
            raise RuntimeRefusal(
                f'--launcher {launcher}: the environment variable {variable} is not '
                'set, so that launcher did not start this process. Type '
                'tools/dist_train.sh CONFIG N for N processes, or leave --launcher out '
                'for one.'
            )


def _torch_environment(launcher: str) -> None:
    """Set the variables of torch's launcher from those of another one."""
    for name, variable in zip(_VARIABLES['pytorch'], _VARIABLES[launcher], strict=True):
        os.environ.setdefault(name, os.environ[variable])
    os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    os.environ.setdefault('MASTER_PORT', '29500')
