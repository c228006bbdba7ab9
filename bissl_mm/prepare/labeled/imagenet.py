"""ImageNet with 1, 10 and 100% of its labels. The images stay where they are.

The lists of 1% and 10% are those of SimCLR (Chen et al., 2020).
"""

from pathlib import Path

from ..plain import Labeled, set_aside, write_parts
from ..registry import register
from ..task import Task
from ..texts import index_of, lines_of, numbered

#: Other files in the folders are passed over.
SUFFIXES = ('.jpeg', '.jpg', '.png')
#: Share -> its list; None has all images.
SHARES = {'1p': '1percent.txt', '10p': '10percent.txt', '100p': None}


@register(
    'imagenet',
    folders=('imagenet_1p', 'imagenet_10p', 'imagenet_100p'),
    download='1percent.txt and 10percent.txt, from imagenet_subsets of the SimCLR '
    'repository of Google Research, into the folder that has train and val of '
    'ImageNet, one folder for each class',
    markers=(('train', 'val'),),
    expected={'1p': 12811, '10p': 128116, '100p': 1281167, 'val': 50000},
)
def prepare_imagenet(root: Path, task: Task) -> None:
    """Write ``imagenet_{1p,10p,100p}/meta``; the test part is ImageNet's val."""
    classes = sorted(path.name for path in (root / 'train').iterdir() if path.is_dir())
    numbers = numbered(classes)
    images = {part: listed(root, part, numbers) for part in ('train', 'val')}
    by_name = {image.path.rpartition('/')[2]: image for image in images['train']}
    found = {}
    for share, file in SHARES.items():
        names = by_name if file is None else lines_of(root / file)
        found[share] = [by_name[name] for name in names if name in by_name]
    task.check(
        {
            **{share: len(chosen) for share, chosen in found.items()},
            'val': len(images['val']),
        }
    )
    for share, chosen in found.items():
        # C.5 does not say how it was tuned. B.1 has a fifth for such sets.
        train, val = set_aside(task, chosen)
        write_parts(
            task,
            f'imagenet_{share}',
            classes,
            dict(train=train, val=val, test=images['val']),
            save=None,
        )


def listed(root: Path, part: str, numbers: dict[str, int]) -> list[Labeled]:
    """The images in the folders of the classes, sorted."""
    found = []
    for folder in sorted(path for path in (root / part).iterdir() if path.is_dir()):
        label = index_of(folder.name, numbers, root / part)
        found += [
            Labeled(
                f'{part}/{folder.name}/{file.name}',
                label,
                f'{part}/{folder.name}/{file.name}',
            )
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in SUFFIXES
        ]
    return found
