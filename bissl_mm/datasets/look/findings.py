"""Collects the findings of a look over the data and shows them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mmengine.config import Config

from ...config import is_type
from ...utils.errors import ValueRefusal
from ..seeded_dataset import MAX_UNREADABLE_SHARE
from .parts import PLACES, PartLook

#: Number of findings of each kind that are shown; the rest are counted.
SHOWN = 8


@dataclass
class Look:
    """One look over the splits of a config.

    Args:
        cfg (Config): The config; not changed.
        parts (dict[str, PartLook]): The splits by name: ``'pretext'``,
            ``'train'``, ``'val'``, ``'test'``.
        everything (bool): Whether the pixels of all images are read, instead of
            those of a seeded sample.
        world_size (int): Number of processes that share each batch.
    """

    cfg: Config
    parts: dict[str, PartLook]
    everything: bool = False
    world_size: int = 1
    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[PartLook]:
        return iter(self.parts.values())

    @property
    def is_bilevel(self) -> bool:
        """Whether the config trains a bilevel stage."""
        return is_type(self.cfg.get('train_cfg') or {}, 'BiSSLTrainLoop')

    def refuse(self, text: str) -> None:
        """Note data that cannot be trained on.

        The sentence has file, value and remedy. The look continues, so that all
        findings are shown at once.
        """
        if text not in self.refusals:
            self.refusals.append(text)

    def warn(self, text: str) -> None:
        """Note data that can be trained on, but are probably wrong."""
        if text not in self.warnings:
            self.warnings.append(text)

    def tell_damaged(self, key: str, count: int, total: int, text: str) -> None:
        """Note images that cannot be read.

        This is a warning if the stage skips them, and a refusal otherwise.

        Args:
            key (str): Dotted key of the dataset in the config.
            count (int): Number of unreadable images.
            total (int): Number of images.
            text (str): The sentence.
        """
        skipped = (
            self.is_bilevel
            and key.startswith((PLACES['pretext'], PLACES['train']))
            and count <= MAX_UNREADABLE_SHARE * total
        )
        if skipped:
            self.warn(f'{text} The bilevel stage skips it.')
        else:
            self.refuse(text)

    def raise_refusals(self) -> None:
        """Raise all refusals so far as one error.

        Raises:
            ValueError: If anything was refused. The message has one line per
                refusal.
        """
        if self.refusals:
            raise ValueRefusal('\n'.join(_shortened(self.refusals)))

    def warning_lines(self) -> list[str]:
        """The warnings to show."""
        return _shortened(self.warnings)


def _shortened(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    if more <= 0:
        return list(lines)
    return lines[:SHOWN] + [
        f'... and {more} more. tools/check_data.py CONFIG shows all.'
    ]
