"""What sets of boxes and of masks have in common."""

import hashlib
import math
import os
from functools import cached_property
from pathlib import Path

import torch
from layout_words import PARTS, encoded
from mmengine.config import Config, ConfigDict
from packs import FINE_TUNE, STAGE

from bissl_mm.analysis.runs.fine_tune import Setting
from bissl_mm.utils.errors import FileNotFoundRefusal, ValueRefusal

#: Of the training images: for a part that the set does not have.
SHARE = 0.2
#: Images to choose by: every run is evaluated some times.
MOST_VAL = 200


class DensePack:
    """What packs of boxes and of masks share.

    The interface is that of :class:`packs.Pack`: the stages and the
    fine-tuning runs ask for nothing else.

    Args:
        name (str): For the records.
        root (str): Folder of the set.
        epochs (int, optional): Of fine-tuning. Defaults to as many as make
            ``STEPS`` steps.
        num_classes (int, optional): Classes that there must be. Defaults to
            None: for boxes those that are used.

    Attributes:
        parts (dict): What was found of each part, and what was drawn for one
            that is missing.
        notes (list[str]): Sentences about parts that are missing.
        epochs (int): Of fine-tuning.
        search (list[Setting]): Of fine-tuning, the same for all arms.
        search_units (int): On how many units, the first ones.
        evaluations (int): Of a fine-tuning run.
        metric (str): Chosen by and tested, percent.
        stage (dict): Settings of the stage that differ from those of
            classification.
        sources (dict[str, str]): The user's file by each one that is written from it.
    """

    STEPS = 200
    evaluations = 5
    search_units = 1
    #: Images of a training batch.
    batch = 8
    library: str
    metric: str
    metric_name: str
    stage_config, fine_tune_config = STAGE, FINE_TUNE
    task: str
    search: list[Setting]
    stage: dict[str, float] = {}
    pretext = 'simclr'

    def __init__(
        self,
        name: str,
        root: str,
        epochs: int | None = None,
        num_classes: int | None = None,
    ) -> None:
        self.name, self.root = name, root
        self.num_classes = num_classes
        self._epochs = epochs
        self.sources: dict[str, str] = {}

    def find(self) -> dict:
        """The parts that the folder has."""
        raise NotImplementedError

    def draw(self, part, indices: list[int]):
        """Some of a part's images as a part."""
        raise NotImplementedError

    def strata(self, part) -> dict[str, list[int]]:
        """Numbers of images of which a drawn part gets the same share each, by what they
        have that every part needs; '' for others."""
        return {'': list(range(part.number))}

    def check(self) -> None:
        """Refuse what is known of the kind; once, before the look over the data."""

    def put(self, cfg: Config, unit: int, lists: Path) -> None:
        """Write the set into a bilevel or a fine-tuning config.

        Args:
            cfg (Config): Changed.
            unit (int): Not used: every unit has all labels.
            lists (Path): Folder for files that say what is in each part.
        """
        raise NotImplementedError

    @property
    def libraries(self) -> list[str]:
        """That a worker needs."""
        return ['mmpretrain', self.library]

    @cached_property
    def _found(self) -> tuple[dict, list[str]]:
        found = self.find()
        if not found:
            raise FileNotFoundRefusal(
                f'{self.root} has no {self.metric_name} set: {self.looked_for}.'
            )
        return self._with_all_parts(found)

    @property
    def parts(self) -> dict:
        """By name, in the order train, val, test."""
        return self._found[0]

    @property
    def notes(self) -> list[str]:
        """What a reader of the results has to know about the parts."""
        return self._found[1]

    @property
    def number(self) -> int:
        """Labeled images for training."""
        return self.parts['train'].number

    @property
    def epochs(self) -> int:
        return self._epochs or math.ceil(self.STEPS / max(1, self.number // self.batch))

    @property
    def extra(self) -> float:
        """Upper steps of a stage, as a share of the fine-tuning's."""
        steps = self.epochs * max(1, self.number // self.batch)
        return 120 / steps

    def _with_all_parts(self, found: dict) -> tuple[dict, list[str]]:
        """A seeded share of the training images is taken for a missing
        part."""
        found, notes = dict(found), []
        missing = [part for part in ('val', 'test') if part not in found]
        if missing == ['test']:
            found['test'] = found.pop('val')
            notes.append(
                f'{self.root} has no test part: the part for validation '
                f'({found["test"].number} images) is tested on, and a seeded '
                'fifth of the training part is for choosing.'
            )
            missing = ['val']
        elif missing:
            notes.append(
                f'{self.root} has no part {" and no part ".join(missing)}: '
                'for each a seeded fifth of the training part is taken.'
            )
        self._take(found, missing)
        number = found['val'].number
        if number > MOST_VAL:
            found['val'] = self.draw(found['val'], self._chosen(found['val']))
            notes.append(
                f'Of the {number} images for validation {MOST_VAL} '
                'are taken, drawn with a seed.'
            )
        return {part: found[part] for part in PARTS}, notes

    def _chosen(self, part) -> list[int]:
        """Numbers of ``MOST_VAL`` images; of each stratum its share, and one at least."""
        chosen: list[int] = []
        for what, indices in self.strata(part).items():
            share = max(1, round(MOST_VAL * len(indices) / part.number))
            # Others come last and fill up.
            size = share if what else MOST_VAL - len(chosen)
            chosen += [indices[i] for i in _some(len(indices))[:size]]
        return chosen

    def _take(self, found: dict, missing: list[str]) -> None:
        train = found['train']
        if missing and train.number < 5:
            raise ValueRefusal(
                f'{self.root}: the training part has {train.number} images, '
                f'too few to take some for the part {missing[0]!r}, which is '
                'missing. Add that part.'
            )
        if not missing:
            return
        drawn: dict[str, list[int]] = {part: [] for part in (*missing, 'train')}
        for what, indices in self.strata(train).items():
            order = [indices[i] for i in _some(len(indices))]
            size = round(SHARE * len(order))
            if what and not size:
                raise ValueRefusal(
                    f'{self.root}: the training part has {len(order)} images {what}, '
                    f'too few to take some for the part {missing[0]!r}, which is '
                    'missing. Add that part.'
                )
            for part in missing:
                drawn[part] += order[:size]
                order = order[size:]
            drawn['train'] += order
        found.update({part: self.draw(train, each) for part, each in drawn.items()})

    def put_loader(self, loader: ConfigDict) -> None:
        loader.batch_size = min(self.batch, self.number)
        loader.drop_last = True


def _some(number: int) -> list[int]:
    """Numbers in an order that is always the same."""
    return torch.randperm(number, generator=torch.Generator().manual_seed(0)).tolist()


def write(folder: Path, name: str, suffix: str, text: str) -> Path:
    """A file whose name says what is in it: other runs may read it.

    Raises:
        ValueError: If a line is no text: the name of a file from another system.
    """
    content = encoded(text)
    digest = hashlib.sha256(content).hexdigest()[:12]
    path = folder / f'{name}-{digest}{suffix}'
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f'.{os.getpid()}.partial')
        partial.write_bytes(content)
        partial.replace(path)
    return path.resolve()
