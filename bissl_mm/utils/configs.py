"""Reading a config file."""

import os
import os.path as osp
from typing import Optional

from mmengine.config import Config

from .errors import FileNotFoundRefusal


def read_config(path: str, options: Optional[dict] = None) -> Config:
    """A config with its bases merged and settings replaced.

    Args:
        path (str): The file.
        options (dict, optional): Settings by their dotted keys.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not osp.isfile(path):
        raise FileNotFoundRefusal(f'Config {path!r} does not exist (working '
                                  f'folder {os.getcwd()!r}).')
    cfg = Config.fromfile(path)
    if options is not None:
        cfg.merge_from_dict(options)
    return cfg
