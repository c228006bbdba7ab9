"""What the command-line tools share: arguments, errors, the console.

Heavy libraries are imported only when they are needed. So ``--help`` and a
mistake in the arguments answer at once.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from os import _exit as end_process
from typing import Any, NoReturn

from .utils.console import VERBOSE, restore_console
from .utils.errors import Refusal, refusal_in, refusal_text


class CfgOptions(argparse.Action):
    """Collects the options in a dict; imports their reader only if needed."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        from .config.options import split_options

        options = getattr(namespace, self.dest) or {}
        setattr(namespace, self.dest, {**options, **split_options(values)})


class _Verbose(argparse.Action):
    """Sets the environment variable, which worker processes inherit."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        os.environ[VERBOSE] = '1'


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every tool that runs a config."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder of logs and checkpoints; default: work_dirs/NAME-OF-CONFIG, '
        'and _TASK where the config takes one',
    )
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='program that started the processes',
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0)
    add_verbose(parser)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """The arguments ``--task`` and ``--cfg-options``."""
    parser.add_argument(
        '--task',
        help='downstream task of a config that takes several, by the name of its '
        'file in configs/_base_/tasks; the environment variable BISSL_TASK '
        'does the same',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        help='settings that replace those of the config, as KEY=VALUE, for '
        'example train_cfg.num_alternations=100 or '
        'train_dataloader.dataset.data_root=data/flowers',
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """The argument ``--verbose``."""
    parser.add_argument(
        '--verbose',
        nargs=0,
        action=_Verbose,
        help='show on the console what otherwise goes to the log file only: '
        'the whole config, the environment, warnings of libraries; '
        f'{VERBOSE}=1 does the same',
    )


def run_tool(main: Callable[[list[str] | None], None]) -> None:
    """Run a tool's main function; an error message names the rank.

    A :class:`~bissl_mm.utils.errors.Refusal` ends with its message alone.
    Any other exception is a bug, here or in a library, and ends with its
    traceback. The exit status is 1 in both cases.

    Args:
        main (Callable): The function. It gets None and then reads the
            arguments of the command line.
    """
    try:
        main(None)
        _part()
    except SystemExit:
        if _is_distributed():
            sys.modules['torch'].distributed.destroy_process_group()
        raise
    except Exception as error:
        refusal = refusal_in(error) or _explained(error)
        if refusal is not None:
            _fail(refusal_text(refusal))
        traceback.print_exc()
        _fail(f'{type(error).__name__}: {error}')
    finally:
        restore_console()


def _explained(error: Exception) -> Refusal | None:
    """A library's error about a setting, in one sentence."""
    if 'mmengine' not in sys.modules:
        return None
    from .config.explain import explained

    return explained(error)


def _is_distributed() -> bool:
    # Preparing data needs neither library.
    if 'mmengine' not in sys.modules:
        return False
    from mmengine.dist import is_distributed

    return is_distributed()


def _rank() -> int:
    if not _is_distributed():
        return 0
    from mmengine.dist import get_rank

    return get_rank()


def _part() -> None:
    """Wait for the other processes and leave the process group.

    If a thread of the process group still runs while Python shuts down, it
    aborts the process. The launcher then ends the other ranks.
    """
    if _is_distributed():
        from mmengine.dist import barrier

        barrier()
        sys.modules['torch'].distributed.destroy_process_group()


def _fail(text: str) -> NoReturn:
    rank = os.environ.get('RANK')
    if rank is None:
        rank = _rank()
    print(f'[rank {rank}] {text}', file=sys.stderr, flush=True)
    # Other ranks wait in collectives. Exiting without cleaning up lets the
    # launcher see the failure at once.
    sys.stdout.flush()
    end_process(1)
