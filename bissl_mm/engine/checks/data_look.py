"""Check the data at the start of a stage, in one process for all."""

import logging
import os
import sys
import traceback
from collections.abc import Iterable

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, get_rank, get_world_size

from ...datasets.folders import check_data_folders
from ...datasets.look import look_over
from ...datasets.look.table import table_lines
from ...utils.environment_switch import environment_switch
from ...utils.errors import Refusal, ValueRefusal

#: Switches the check off; see bissl_mm.utils.environment_switch for its values.
VARIABLE = 'BISSL_LOOK'
#: Whether a bug in a check ends the run. It does not in a user's training, which
#: can do without the check.
RAISE_BUGS = False


def check_data(
    cfg: Config, names: Iterable[str], logger: logging.Logger, everything: bool = False
) -> None:
    """Look over the data, log what was found, refuse what cannot work.

    The first process looks; the others wait for it and end with the same
    error. The environment variable ``BISSL_LOOK=0`` leaves the look out.

    Args:
        cfg (Config): The config, with the batch sizes of one process.
        names (Iterable[str]): Parts to look at.
        logger (logging.Logger): Gets the table and the warnings.
        everything (bool): Whether the pixels of all files are read, instead of a
            seeded sample's. Defaults to False.

    Raises:
        ValueError: With a line for each thing that cannot be trained on. Also if
            the environment variable is neither on nor off.
    """
    if not environment_switch(VARIABLE, default=True):
        logger.warning(
            f'The data are not looked at: {VARIABLE}={os.environ[VARIABLE]}.'
        )
        return
    refusal: list[str] = ['']

    def on_bug(check: str, error: Exception) -> None:
        logger.warning(
            f'{check} failed ({type(error).__name__}: {error}), which is a '
            'bug of bissl_mm, not of the data. The look goes on without it.'
        )
        logger.debug(''.join(traceback.format_exception(error)))

    if get_rank() == 0:
        try:
            look = look_over(
                cfg,
                _existing(cfg, names, logger),
                everything,
                world_size=get_world_size(),
                on_bug=None if RAISE_BUGS else on_bug,
            )
            for line in table_lines(look):
                logger.info(line)
            for line in look.warning_lines():
                logger.warning(line)
            look.raise_refusals()
        except Refusal as error:
            refusal = [
                f'{error}\n(Should this be wrong: {VARIABLE}=0 before '
                'the command leaves the look over the data out.)'
            ]
    broadcast_object_list(refusal, 0)
    if refusal[0]:
        raise ValueRefusal(refusal[0])


def console_logger() -> logging.Logger:
    """A logger for tools without a run: plain lines on the console."""
    logger = logging.Logger('bissl_mm.data')
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter('%(message)s'))
    logger.addHandler(handler)
    return logger


def _existing(cfg: Config, names: Iterable[str], logger: logging.Logger) -> list[str]:
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
