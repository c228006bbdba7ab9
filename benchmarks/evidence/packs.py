"""Data of the study: what stands in the configs for each set."""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from layout_words import SUFFIXES, classes_within, encoded, images_in, left_out
from mmengine.config import Config, ConfigDict

from bissl_mm.analysis.runs.fine_tune import Setting
from bissl_mm.config import read_config
from bissl_mm.utils.errors import FileNotFoundRefusal, ValueRefusal
from bissl_mm.utils.files import atomic_file

ROOT = Path(__file__).resolve().parents[2]
#: Of pretraining, by pretext task.
PRETEXTS = dict(
    simclr='configs/pretext/simclr_r10_b256-60e_imagefolder-32px.py',
    byol='configs/pretext/byol_r10_b256-60e_imagefolder-32px.py',
    mae='configs/pretext/mae_vit-p4_b256-60e_imagefolder-32px.py',
)
STAGE = 'configs/bissl/bissl-simclr_r10_b128-10x4-30t_imagefolder-32px.py'
FINE_TUNE = 'configs/fine_tune/r10_32px.py'
#: Unlabeled images that a pretraining needs.
LEAST = 32


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
        sources (dict[str, str]): The user's file by each one that is written from it.
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
    sources = {}

    @property
    def notes(self) -> list[str]:
        """What a reader has to know about the set."""
        return classes_within(Path(self.root, 'train'), self.classes)

    @property
    def classes(self) -> list[str]:
        """Names of the class folders, in the order of their numbers."""
        return sorted(p.name for p in Path(self.root, 'train').iterdir() if p.is_dir())

    @property
    def number(self) -> int:
        """Labeled images for training."""
        if self.labels is not None:
            return self.labels * len(self.classes)
        # A dataset of class folders does not read files beside them.
        return sum(os.sep in name for name in images_in(Path(self.root, 'train')))

    def check(self) -> None:
        """Refuse what is known of the kind; once, before the look over the data."""

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


def unlabeled_in(folder: str) -> list[str]:
    """Relative paths of the unlabeled images, sorted.

    Args:
        folder (str): What BISSL_PRETEXT_DIR names.

    Raises:
        FileNotFoundError: If it is no folder.
        ValueError: If they are too few to be contrasted with each other.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundRefusal(
            f'BISSL_PRETEXT_DIR is {folder!r}, which is no folder. Type '
            'export BISSL_PRETEXT_DIR=FOLDER.'
        )
    names = images_in(folder)
    if len(names) < LEAST:
        raise ValueRefusal(
            f'BISSL_PRETEXT_DIR: {folder} has {len(names)} images '
            f'({", ".join(SUFFIXES)}), and a pretraining needs {LEAST} at least. Add '
            'images, or type export BISSL_PRETEXT_DIR=FOLDER with another folder.'
        )
    return names


def draw_unlabeled(folder: str, names: Sequence[str], most: int, lists: Path) -> str:
    """The folder, or a list of some of its images.

    Args:
        folder (str): Of the images.
        names (Sequence[str]): Their relative paths.
        most (int): Largest number of images. They are drawn by a fixed seed, which
            is said.
        lists (Path): Folder for the list.
    """
    if len(names) <= most:
        return folder
    print(
        f'Of the {len(names)} unlabeled images in {folder} {most} are taken, drawn '
        'with a seed. --most-images 0 takes all.'
    )
    # The look over the data knows nothing of files that a list leaves out.
    for note in left_out(folder):
        print(note)
    drawn = sorted(random.Random(0).sample(names, most))
    lists.mkdir(parents=True, exist_ok=True)
    path = lists.resolve() / 'unlabeled.txt'
    lines = [os.path.abspath(os.path.join(folder, name)) + '\n' for name in drawn]
    with atomic_file(path, 'wb') as file:
        file.write(encoded(''.join(lines)))
    return str(path)


def put_pretext(loader: ConfigDict, images: str) -> None:
    """Write the unlabeled images into a dataloader.

    Args:
        loader (ConfigDict): Changed. Its batches are not larger than the set.
        images (str): Their folder, or a file with a path a line.
    """
    dataset = loader.dataset.dataset
    if os.path.isfile(images):
        dataset.update(data_root='', ann_file=images)
        number = Path(images).read_text(encoding='utf-8').count('\n')
    else:
        dataset.data_root = images
        number = len(images_in(images))
    # The look over the data says what is wrong with a folder without images.
    loader.batch_size = min(loader.batch_size, number or loader.batch_size)
