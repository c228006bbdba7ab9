"""What a look over the data found, and how it is told."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mmengine.config import Config

from ...config import is_type
from ...utils.errors import ValueRefusal
from ..seeded_dataset import MAX_UNREADABLE_SHARE
from .parts import PLACES, PartLook

#: Sentences shown of each kind; the rest are counted.
SHOWN = 8


@dataclass
class Look:
    """One look over the parts of the data that a config names.

    Args:
        cfg (Config): The config; not changed.
        parts (dict[str, PartLook]): By name: ``'pretext'``, ``'train'``,
            ``'val'``, ``'test'``.
        everything (bool): Whether all pixels are read instead of those of a
            seeded sample.
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

    def refuse(self, text: str) -> None:
        """Note what cannot be trained on: a sentence with file, value and
        remedy. The look goes on, so that all are told at once."""
        if text not in self.refusals:
            self.refusals.append(text)

    def warn(self, text: str) -> None:
        """Note what is trained on, but is probably not meant."""
        if text not in self.warnings:
            self.warnings.append(text)

    def tell_damaged(self, key: str, count: int, total: int, text: str) -> None:
        """Note images that cannot be read: a warning where a stage skips
        them, else a refusal.

        Args:
            key (str): Dotted key in the config of what they are read for.
            count (int): How many there are.
            total (int): Of so many.
            text (str): The sentence.
        """
        skipped = (
            is_type(self.cfg.get('train_cfg') or {}, 'BiSSLTrainLoop')
            and key.startswith((PLACES['pretext'], PLACES['train']))
            and count <= MAX_UNREADABLE_SHARE * total
        )
        if skipped:
            self.warn(f'{text} The bilevel stage skips it.')
        else:
            self.refuse(text)

    def raise_refusals(self) -> None:
        """Raise what was refused so far as one error.

        Raises:
            ValueError: If anything was refused; its message has a line each.
        """
        if self.refusals:
            raise ValueRefusal('\n'.join(_shortened(self.refusals)))

    def warning_lines(self) -> list[str]:
        """The warnings to be shown."""
        return _shortened(self.warnings)


def _shortened(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    if more <= 0:
        return list(lines)
    return lines[:SHOWN] + [
        f'... and {more} more; tools/check_data.py CONFIG shows them all.'
    ]
