"""SUN397, the first of its ten splits: 50 training and 50 test images of a scene."""

from pathlib import Path

from ..plain import Labeled, lay_out_files
from ..registry import register
from ..task import Task
from ..texts import index_of, lines_of, numbered

#: Where people unpack the lists.
LISTS = ('Partitions', '', 'SUN397')


@register(
    'sun397',
    folders=('sun397',),
    download='SUN397.tar.gz and Partitions.zip, from the SUN page of Princeton '
    'University, in one folder',
    markers=tuple(
        ('SUN397', f'{place}/Training_01.txt' if place else 'Training_01.txt')
        for place in LISTS
    ),
    expected=dict(train=19850, test=19850),
    offered=('SUN397.tar.gz', 'Partitions.zip'),
)
def prepare_sun397(root: Path, task: Task) -> None:
    """Write ``sun397``; the publisher has no validation part."""
    lists = next(
        root / place for place in LISTS if (root / place / 'Training_01.txt').is_file()
    )
    found = lines_of(lists / 'ClassName.txt') or lines_of(root / 'SUN397/ClassName.txt')
    numbers = numbered(found)
    parts = {}
    for part, name in (('train', 'Training_01.txt'), ('test', 'Testing_01.txt')):
        # Lines are /a/abbey/sun_aaalbzqrimafwbiv.jpg.
        parts[part] = [
            Labeled(
                f'images{line}',
                index_of(line.rpartition('/')[0], numbers, lists / name),
                f'SUN397{line}',
            )
            for line in lines_of(lists / name)
        ]
    lay_out_files(root, task, 'sun397', [name[3:] for name in found], parts)
