"""Stores the results of finished runs on disk."""

import hashlib
import json
import os
import os.path as osp

import torch
from mmengine.config import Config
from mmengine.utils import mkdir_or_exist

from ... import __version__
from ...utils.files import atomic_file


class FinishedRuns:
    """Keeps results, so that an interruption loses only the runs in progress.

    Args:
        path (str): A file of JSON lines.
        resume (bool): Whether to use the results in the file instead of
            repeating their runs. If not, a new file is started and the old one
            is kept as ``runs.jsonl.old``.
    """

    def __init__(self, path: str, resume: bool) -> None:
        self.path = path
        self.results: dict[str, dict] = {}
        mkdir_or_exist(osp.dirname(osp.abspath(path)))
        lines = []
        if resume and osp.exists(path):
            with open(path) as file:
                # If the process was killed, the last line may be incomplete.
                lines = [line for line in file if line.endswith('\n')]
        elif osp.exists(path) and osp.getsize(path):
            os.replace(path, f'{path}.old')
        with atomic_file(path) as file:
            file.writelines(lines)
        for line in lines:
            record = json.loads(line)
            self.results[record.pop('key')] = record

    def add(self, key: str, result: dict) -> None:
        """Store a result."""
        self.results[key] = result
        with open(self.path, 'a') as file:
            file.write(json.dumps(dict(result, key=key)) + '\n')


def run_key(cfg: Config | None, checkpoint: str, *parts) -> str:
    """A text with everything that a result depends on."""
    digest = hashlib.sha256(repr(cfg and cfg.to_dict()).encode()).hexdigest()[:16]
    state = None
    if osp.isfile(checkpoint):
        found = os.stat(checkpoint)
        state = [found.st_size, found.st_mtime]
    return json.dumps(
        [__version__, torch.__version__, digest, checkpoint, state, *parts]
    )
