"""Writes results to a file that any JSON reader accepts."""

import json
import math
import os.path as osp
from typing import Any

from mmengine.utils import mkdir_or_exist

from ..utils.files import atomic_file


def write_json(path: str, results: dict) -> None:
    """Write results. JSON has no NaN and no infinity; they become null.

    Args:
        path (str): File; its folder is made.
        results (dict): Plain data. Not changed.
    """
    mkdir_or_exist(osp.dirname(osp.abspath(path)))
    with atomic_file(path) as file:
        json.dump(_plain(results), file, indent=1, allow_nan=False)
        file.write('\n')


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
