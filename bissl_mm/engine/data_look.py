"""The look over the data at the start of a stage, by one process for all."""

import logging
import sys
from typing import Iterable, List

import torch.distributed as dist
from mmengine.config import Config

from ..datasets.folders import check_data_folders
from ..datasets.look import look_over
from ..datasets.look.table import table_lines
from ..utils.errors import Refusal, ValueRefusal
from .distributed import get_rank, get_world_size, is_parallel


def check_data(cfg: Config, names: Iterable[str],
               logger: logging.Logger) -> None:
    """Look over the data, log what was found, refuse what cannot work.

    The first process looks; the others wait for it and end with the same
    error.

    Args:
        cfg (Config): The config, with the batch sizes of one process.
        names (Iterable[str]): Parts to look at.
        logger (logging.Logger): Gets the table and the warnings.

    Raises:
        ValueError: With a line for each thing that cannot be trained on.
    """
    refusal: List[str] = ['']
    if get_rank() == 0:
        try:
            look = look_over(cfg, _existing(cfg, names, logger),
                             world_size=get_world_size())
            for line in table_lines(look):
                logger.info(line)
            for line in look.warning_lines():
                logger.warning(line)
            look.raise_refusals()
        except Refusal as error:
            refusal = [str(error)]
    if is_parallel():
        dist.broadcast_object_list(refusal, 0)
    if refusal[0]:
        raise ValueRefusal(refusal[0])


def console_logger() -> logging.Logger:
    """A logger for tools without a run: plain lines on the console."""
    logger = logging.Logger('bissl_mm.data')
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter('%(message)s'))
    logger.addHandler(handler)
    return logger


def _existing(cfg: Config, names: Iterable[str],
              logger: logging.Logger) -> List[str]:
    """The parts without a test part whose files are not there: training does
    not need them yet."""
    names = list(names)
    if len(names) > 1 and 'test' in names:
        try:
            check_data_folders(cfg, ['test'])
        except FileNotFoundError as error:
            logger.warning(f'The test part is not looked at. {error}')
            names.remove('test')
    return names
