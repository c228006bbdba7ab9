"""Shipped configs with a task, as stock tools read them."""

from pathlib import Path

import pytest
from conftest import ROOT
from mmengine.config import Config

from bissl_mm.config.tasks import CHECKPOINT, TASK, find_slot

_ALL = sorted(
    p
    for folder in ('pretext', 'bissl', 'fine_tune', 'demo')
    for p in (ROOT / 'configs' / folder).rglob('*.py')
)
#: GPT and GLUE; they have tests of their own, in tests/test_text.
TEXT = sorted((ROOT / 'configs/text').glob('*.py'))
#: Other numbers of steps for a config, with that config as their only base.
THRIFTY = [p for p in _ALL if p.stem.endswith('_thrifty')]
#: The first version's settings, in the same way.
FIRST_VERSION = [p for p in _ALL if p.stem.endswith('_first-version')]
#: The paper's optimizer, solver and damping in a small stage, over two bases.
PUBLISHED = [p for p in _ALL if p.stem.endswith('_published')]
#: Ending of the name of a variant's config -> the keys that it changes.
CHANGED = {
    '_scheduled': {'optim_wrapper.regularizer'},
    '_learned': {'optim_wrapper.regularizer'},
    '_elastic': {'optim_wrapper.regularizer', 'optim_wrapper.hypergradient'},
    '_fisher-distance': {'optim_wrapper.regularizer', 'optim_wrapper.hypergradient'},
    '_pretext-head': {'optim_wrapper.hypergradient'},
    '_head-weight': {'optim_wrapper.hypergradient'},
    '_low-rank': {'optim_wrapper.hypergradient'},
    '_fisher': {'optim_wrapper.hypergradient', 'optim_wrapper.num_micro_batches'},
    '_lora': {'model.lora', 'optim_wrapper.hypergradient'},
    '_unrolled': {'optim_wrapper.hypergradient'},
    '_downstream-images': {'train_cfg.pretext_dataloader'},
}
#: Variants of the method, and the stage on the downstream images, in the same way.
VARIANTS = [p for p in _ALL if p.stem.endswith(tuple(CHANGED))]
#: Every other config that a user may run.
CONFIGS = [p for p in _ALL if p not in THRIFTY + FIRST_VERSION + PUBLISHED + VARIANTS]


def shipped(name: str | Path, task: str | None = None, checkpoint=None) -> Config:
    """A config by the variables of the environment alone.

    Args:
        name (str or Path): Its file, or its name within ``configs`` without
            the ending.
        task (str, optional): Defaults to the config's own.
        checkpoint (str, optional): That fine-tuning starts from. Defaults to
            the config's own.
    """
    path = name if isinstance(name, Path) else ROOT / f'configs/{name}.py'
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in ((TASK, task), (CHECKPOINT, checkpoint)):
            patch.delenv(variable, raising=False)
            if value is not None:
                patch.setenv(variable, value)
        return Config.fromfile(path)


#: Tasks that share configs/_base_/tasks/_classification.py. They differ in their
#: images, classes and figures; tests/test_task_files.py reads each of them.
CLASSIFICATION = sorted(
    p.stem
    for p in (ROOT / 'configs/_base_/tasks').glob('[!_]*.py')
    if '_classification.py' in p.read_text().partition('\nnetworks')[0]
)


def tasks_of(path: Path) -> list[str | None]:
    """The tasks that a config takes, its own first; [None] if it takes none.

    Of the tasks in :data:`CLASSIFICATION` the config's own alone.
    """
    slot = find_slot(str(path))
    if slot is None:
        return [None]
    tasks = [t for t in slot.tasks() if t == slot.default or t not in CLASSIFICATION]
    return sorted(tasks, key=lambda task: task != slot.default)
