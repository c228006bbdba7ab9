"""Decides what the tools show on the console; the log file has everything.

mmengine logs the whole config, the environment and a table of hooks before
the first step, and libraries warn about their internals. After
:func:`quiet_console` these lines go to the log file only. Errors, tracebacks
and the warnings of this package and of the user's code stay on the console.
``BISSL_VERBOSE=1`` (the tools' ``--verbose``) or ``log_level='DEBUG'`` shows
everything.
"""

import logging
import os
import os.path as osp
import sys
import sysconfig
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

from .environment_switch import environment_switch

VERBOSE = 'BISSL_VERBOSE'
PACKAGE = osp.dirname(osp.dirname(osp.abspath(__file__)))

#: Beginnings of mmengine's messages that users do not need.
_NOISE = (
    'Hooks will be executed in the following order',
    'Using env variable ',
    'Distributed training is not used, all SyncBatchNorm',
    # Another message says which file was loaded.
    'Loads checkpoint by ',
    # It is clear that a run without a checkpoint starts from the beginning.
    'Did not find last_checkpoint to be resumed',
)
#: Texts and levels of messages from before there was a log file.
_waiting: deque[tuple[str, int]] = deque(maxlen=1000)
#: The logger that has a log file; empty before there is one.
_current: list[logging.Logger] = []
#: Functions that are replaced while the console is quiet.
_original: dict[str, Callable] = {}


def is_verbose() -> bool:
    """Whether the console shows everything.

    Raises:
        ValueError: If the environment variable is neither on nor off.
    """
    return environment_switch(VERBOSE, default=False)


class ConsoleFilter(logging.Filter):
    """Keeps records that users do not need off the console.

    Args:
        handler (logging.Handler): The console's handler. Its level counts,
            too.
    """

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self._handler = handler

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the console shows a record."""
        if (
            is_verbose()
            or self._handler.level <= logging.DEBUG
            or record.levelno >= logging.ERROR
        ):
            return True
        text = str(record.msg)
        return not (
            record.funcName == '_log_env'
            or text.startswith(_NOISE)
            or 'will be deprecated' in text
        )


def quiet(logger: logging.Logger) -> logging.Logger:
    """Put the filter on a logger's console handler, once.

    Messages that were waiting for a log file are written to it.

    Args:
        logger (logging.Logger): A logger of mmengine; its handlers are changed.

    Returns:
        logging.Logger: The same logger.
    """
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            _current[:] = [logger]
        elif not any(isinstance(f, ConsoleFilter) for f in handler.filters):
            # It comes first: mmengine's own filter remembers what it has seen.
            handler.filters.insert(0, ConsoleFilter(handler))
    _write_waiting()
    return logger


def quiet_console() -> None:
    """Show no more messages of libraries about themselves.

    It replaces mmengine's ``print_log`` and Python's ``showwarning`` until
    :func:`restore_console`. So call it in programs, not in libraries.

    Raises:
        ValueError: See :func:`is_verbose`.
    """
    # A value that means nothing is refused here, and not at the first message.
    is_verbose()
    if _original:
        return
    import mmengine.logging as mmengine_logging

    print_log, show = mmengine_logging.print_log, warnings.showwarning

    def print_or_log(msg: Any, logger: Any = None, level: int = logging.INFO) -> None:
        # Without a logger, mmengine prints on every rank and at every level.
        if (
            logger is None
            and not is_verbose()
            and (level < logging.INFO or str(msg).startswith(_NOISE))
        ):
            logger = 'current'
        print_log(msg, logger, level)

    def show_or_log(
        message: Warning,
        category: type,
        filename: str,
        lineno: int,
        file: Any = None,
        line: Any = None,
    ) -> None:
        if file is not None or is_verbose() or not _is_library(filename):
            show(message, category, filename, lineno, file, line)
            return
        _log(f'{filename}:{lineno}: {category.__name__}: {message}', logging.WARNING)

    quiet(mmengine_logging.MMLogger.get_instance('mmengine'))
    _original.update(print_log=print_log, showwarning=show)
    mmengine_logging.print_log = print_or_log
    warnings.showwarning = show_or_log


def quiet_pycocotools() -> None:
    """Let pycocotools print to the log file while the console is quiet.

    It prints about twenty lines per evaluation. The evaluator logs the figures
    anyway.
    """
    try:
        from pycocotools import coco, cocoeval
    except ImportError:
        return
    for module in (coco, cocoeval):
        vars(module)['print'] = _print_or_log


def _print_or_log(*args: Any, **kwargs: Any) -> None:
    if not _original or is_verbose():
        print(*args, **kwargs)
    else:
        _log(' '.join(str(arg) for arg in args), logging.INFO)


def restore_console() -> None:
    """Undo :func:`quiet_console`; loggers keep their filters."""
    if _original:
        vars(sys.modules['mmengine.logging'])['print_log'] = _original['print_log']
        warnings.showwarning = _original['showwarning']
    _original.clear()
    _current.clear()
    _waiting.clear()


def _log(text: str, level: int) -> None:
    """Write a line to the log file, once there is one."""
    _waiting.append((text, level))
    _write_waiting()


def _write_waiting() -> None:
    while _current and _waiting:
        logger, (text, level) = _current[0], _waiting.popleft()
        record = logger.makeRecord(logger.name, level, __file__, 0, text, (), None)
        for handler in logger.handlers:
            if level >= handler.level and (
                isinstance(handler, logging.FileHandler)
                # The run shows everything on the console.
                or handler.level <= logging.DEBUG
            ):
                handler.handle(record)


def _is_library(filename: str) -> bool:
    """Whether a warning comes neither from this package nor the user's code."""
    path = osp.abspath(filename)
    if path.startswith(PACKAGE + os.sep):
        return False
    paths = sysconfig.get_paths()
    return filename.startswith('<') or any(
        path.startswith(osp.abspath(paths[key]) + os.sep)
        for key in ('purelib', 'platlib', 'stdlib')
    )
