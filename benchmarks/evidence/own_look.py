"""The look over one's own data before the runs, in the words of its files."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from packs import put_pretext, read
from runs import refuse_damaged

from bissl_mm.datasets.look import PLACES
from bissl_mm.engine.checks.data_look import check_data, console_logger
from bissl_mm.utils.errors import ValueRefusal


def look(pack, lists: Path, pretext: str | None = None) -> None:
    """Everything that the runs will meet, once.

    Args:
        pack (Pack): The labeled set.
        lists (Path): See :meth:`Pack.put`.
        pretext (str, optional): Folder or list of unlabeled images. Defaults to
            None, for the folder that BISSL_PRETEXT_DIR names.

    Raises:
        ValueError: With a line for each thing that the runs cannot work with.
    """
    pretext = pretext or os.environ['BISSL_PRETEXT_DIR']
    for note in pack.notes:
        print(note)
    pack.check()
    cfg = read(pack.stage_config, pack.task)
    pack.put(cfg, 0, lists)
    put_pretext(cfg.train_cfg.pretext_dataloader, pretext)
    logger = console_logger()
    logger.addFilter(_OwnNames(pack.sources))
    try:
        check_data(cfg, PLACES, logger)
        refuse_damaged(pack, lists, pretext)
    except ValueRefusal as error:
        raise ValueRefusal(_own(str(error), pack.sources)) from error


class _OwnNames(logging.Filter):
    """Writes a user's file in place of the one that is written from it."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        super().__init__()
        self.sources = sources

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _own(record.getMessage(), self.sources), ()
        return True


def _own(text: str, sources: Mapping[str, str]) -> str:
    for written, own in sources.items():
        text = text.replace(written, own)
    return text
