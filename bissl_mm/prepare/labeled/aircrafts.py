"""FGVC Aircraft: 100 variants, a third of the images in each of three parts."""

from pathlib import Path

from ..plain import PARTS, Labeled, lay_out_files
from ..registry import register
from ..task import Task
from ..texts import fields_of, index_of, lines_of, numbered


@register(
    'aircrafts',
    folders=('aircrafts',),
    download='fgvc-aircraft-2013b.tar.gz, from the FGVC-Aircraft page of the Visual '
    'Geometry Group, Oxford',
    markers=(('images', 'variants.txt', 'images_variant_train.txt'),),
    expected=dict(train=3334, val=3333, test=3333),
)
def prepare_aircrafts(root: Path, task: Task) -> None:
    """Write ``aircrafts`` with the publisher's parts."""
    classes = lines_of(root / 'variants.txt')
    numbers = numbered(classes)
    parts = {}
    for part in PARTS:
        path = root / f'images_variant_{part}.txt'
        # Names of variants may have blanks.
        parts[part] = [
            Labeled(f'images/{i}.jpg', index_of(name, numbers, path), f'images/{i}.jpg')
            for i, name in fields_of(path, 2)
        ]
    lay_out_files(root, task, 'aircrafts', classes, parts)
