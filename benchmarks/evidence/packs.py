"""Data of the study: what stands in the configs for each set."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict

from bissl_mm.analysis.runs.fine_tune import Setting
from bissl_mm.config import read_config

ROOT = Path(__file__).resolve().parents[2]
#: Of pretraining, by pretext task.
PRETEXTS = dict(
    simclr='configs/pretext/simclr_r10_b256-60e_imagefolder-32px.py',
    byol='configs/pretext/byol_r10_b256-60e_imagefolder-32px.py',
    mae='configs/pretext/mae_vit-p4_b256-60e_imagefolder-32px.py',
)
STAGE = 'configs/bissl/bissl-simclr_r10_b128-10x4-30t_imagefolder-32px.py'
FINE_TUNE = 'configs/fine_tune/r10_32px.py'


@dataclass(frozen=True)
class Pack:
    """A labeled set of class folders; dense_packs.py has the other kinds.

    What a kind has as a class:
        libraries (list[str]): OpenMMLab's that a worker needs.
        metric, metric_name (str): Chosen by and tested, percent; for a table.
        pretext (str): One of ``PRETEXTS``.
        stage_config, fine_tune_config (str): Of the kind.
        task (str): Of both.
        search (list[Setting], optional): Of fine-tuning; None for the
            protocol's.
        search_units (int): On how many units, the first ones.
        evaluations (int): Of a fine-tuning run.
        extra (float): Steps of a stage's upper level as a share of those of
            fine-tuning.
        stage (dict): Settings of the stage that differ from
            :class:`arms.StageSettings`.
        notes (Sequence[str]): What a reader has to know about its parts.

    Attributes:
        name (str): For the records.
        root (str): Folder with ``train/<class>``, ``val/<class>`` and
            ``test/<class>``.
        labels (int, optional): Labeled images of each class; None for all.
        epochs (int): Of fine-tuning.
    """

    name: str
    root: str
    epochs: int
    labels: int | None = None

    libraries = ['mmpretrain']
    metric, metric_name = 'accuracy/top1', 'accuracy'
    pretext = 'simclr'
    stage_config, fine_tune_config = STAGE, FINE_TUNE
    task = 'imagefolder-32px'
    search = None
    search_units = 3
    evaluations = 10
    extra = 120 / 150
    stage = {}
    notes = ()

    @property
    def classes(self) -> list[str]:
        """Names of the class folders, in the order of their numbers."""
        return sorted(p.name for p in Path(self.root, 'train').iterdir() if p.is_dir())

    @property
    def number(self) -> int:
        """Labeled images for training."""
        if self.labels is not None:
            return self.labels * len(self.classes)
        return sum(
            len(files)
            for _, _, files in os.walk(Path(self.root, 'train'), followlinks=True)
        )

    def put(self, cfg: Config, unit: int, lists: Path) -> None:
        """Write the set into a bilevel or a fine-tuning config.

        Args:
            cfg (Config): Changed.
            unit (int): Which draw of labels.
            lists (Path): Folder for the lists of labeled images.
        """
        model = cfg.model.get('downstream', cfg.model)
        model.head.num_classes = len(self.classes)
        for part in ('train', 'val', 'test'):
            cfg[f'{part}_dataloader'].dataset.dataset.data_root = self.root
        train = cfg.train_dataloader
        if self.labels is not None:
            train.dataset.dataset.ann_file = str(self._write(unit, lists))
        train.batch_size = min(50, self.number)
        train.drop_last = True

    def _write(self, unit: int, lists: Path) -> Path:
        path = lists / f'{self.name}-u{unit}.txt'
        if path.exists():
            return path
        generator = torch.Generator().manual_seed(unit)
        lines = []
        for number, name in enumerate(self.classes):
            files = sorted(p.name for p in Path(self.root, 'train', name).iterdir())
            order = torch.randperm(len(files), generator=generator)
            if len(files) < self.labels:
                raise SystemExit(
                    f'{self.name}: class {name} has '
                    f'{len(files)} images, not {self.labels}.'
                )
            lines += [
                f'{name}/{files[i]} {number}'
                for i in sorted(order[: self.labels].tolist())
            ]
        lists.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f'.{os.getpid()}.partial')
        partial.write_text('\n'.join(lines) + '\n')
        partial.replace(path)
        return path


class ByolPack(Pack):
    """The same after BYOL."""

    pretext = 'byol'
    stage_config = STAGE.replace('simclr', 'byol')


class MaePack(Pack):
    """The same after MAE, with a small ViT."""

    pretext = 'mae'
    # A small ViT falls apart at the learning rates of a ResNet.
    search = [
        Setting(lr, decay)
        for lr in (0.005, 0.01, 0.02, 0.05)
        for decay in (0.0005, 0.005)
    ]
    stage = dict(upper_lr=0.003)
    stage_config = 'configs/bissl/bissl-mae_vit-p4_b128-10x4-30t_imagefolder-32px.py'
    fine_tune_config = 'configs/fine_tune/vit-p4_32px.py'


def read(name: str, task: str | None = None) -> Config:
    """A config of the project, with its own task or another one."""
    return read_config(str(ROOT / name), task=task)


def put_pretext(loader: ConfigDict, folder: str) -> None:
    """Write the folder of unlabeled images into a dataloader."""
    loader.dataset.dataset.data_root = folder
