"""Your own class folders, divided into training, validation and test images."""

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ..utils.errors import FileNotFoundRefusal, ValueRefusal
from .plain import PARTS
from .registry import OWN, whole_or_nothing
from .task import Split, Task

#: Those that the tasks of own class folders read; other files are passed over.
SUFFIXES = (
    *('.jpg', '.jpeg', '.jfif', '.png', '.webp'),
    *('.tif', '.tiff', '.bmp', '.ppm', '.pgm'),
)
#: Percent of each class in :data:`PARTS`.
SHARES = (60, 20, 20)


def prepare_own_folder(
    source: str,
    out: str,
    seed: int = 0,
    shares: Sequence[int] = SHARES,
    allow_incomplete: bool = False,
) -> list[Split]:
    """Copy ``source/CLASS`` to ``out/{train,val,test}/CLASS``.

    ``out`` appears as a whole at the end, or not at all.

    Args:
        source (str): Folder with a folder of images for each class. It is only read.
        out (str): The folder to make.
        seed (int): Seed of the draw. Defaults to 0.
        shares (Sequence[int]): Percent of each class for training, validation and
            test. The numbers of validation and of test images are rounded, with
            halves up, and are at least 1. Defaults to (60, 20, 20).
        allow_incomplete (bool): Leave out images that cannot be opened. Defaults to
            False.

    Returns:
        list[Split]: The splits that were written.

    Raises:
        ValueRefusal: If the source has no classes, is divided already or has an image
            that cannot be opened, if a class has too few images for three parts, or
            if the shares are not percent.
        FileNotFoundRefusal: If there is no such source.
        OSRefusal: If ``out`` exists already.
    """
    shares = tuple(shares)
    if len(shares) != 3 or min(shares) < 1 or sum(shares) != 100:
        raise ValueRefusal(
            f'--shares {" ".join(map(str, shares))} must be three whole numbers of at '
            'least 1 that make 100. Type for example --shares 60 20 20.'
        )
    root, target = Path(source), Path(os.path.abspath(out))
    if Path(os.path.abspath(root)) in (target, *target.parents):
        raise ValueRefusal(
            f"--out '{out}' is within the source '{source}'. Type a folder elsewhere."
        )
    classes = _classes(root)
    with whole_or_nothing(OWN, target.parent, (target.name,)) as scratch:
        download = f"the class folders in '{os.path.abspath(root)}'"
        rule = '/'.join(map(str, shares))
        task = Task(
            OWN, scratch / 'prepared', seed, {}, {}, download, allow_incomplete, rule
        )
        found, left_out = _images(root, classes, allow_incomplete)
        splits = {part: task.split(target.name, part) for part in PARTS}
        for name, images in found.items():
            for part, chosen in _divided(task, name, images, shares).items():
                for image in chosen:
                    place = splits[part].place(f'{part}/{image}', image)
                    task.take(root / image, place)
        for split in splits.values():
            split.remark = f'{len(classes)} classes'
        if left_out:
            splits['train'].remark += f'; {left_out} that cannot be opened left out'
        task.write_lists()
    return task.splits


def _classes(root: Path) -> list[str]:
    """The class folders, sorted; hidden ones are passed over."""
    if not root.is_dir():
        raise FileNotFoundRefusal(
            f"The source '{root}' is not a folder. Type the folder that has a folder "
            'of images for each class.'
        )
    names = sorted(
        path.name
        for path in root.iterdir()
        if path.is_dir() and not path.name.startswith('.')
    )
    divided = [part for part in PARTS if part in names]
    if divided:
        raise ValueRefusal(
            f"'{root}' is divided already: it has the folder {divided[0]!r}. Type "
            f'export BISSL_DOWNSTREAM_DIR={root} if it has {", ".join(PARTS)}, or a '
            'source that has the folders of all classes.'
        )
    if len(names) < 2:
        raise ValueRefusal(
            f"'{root}' has {len(names)} class folders, but a classifier needs two. "
            'Type the folder that has a folder of images for each class.'
        )
    return names


def _images(
    root: Path, classes: Sequence[str], allow_incomplete: bool
) -> tuple[dict[str, list[str]], int]:
    """Paths in the source by class, and how many images were left out."""
    found: dict[str, list[str]] = {}
    damaged: list[str] = []
    for name in classes:
        images = sorted(
            path.relative_to(root).as_posix()
            for path in (root / name).rglob('*')
            if path.suffix.lower() in SUFFIXES
            and not path.name.startswith('.')
            and path.is_file()
        )
        if not images:
            raise ValueRefusal(
                f"The class folder '{root / name}' has no image "
                f'({", ".join(SUFFIXES)}). Remove it, or add images.'
            )
        bad = [image for image in images if not _opens(root / image)]
        damaged += bad
        found[name] = [image for image in images if image not in set(bad)]
    if damaged and not allow_incomplete:
        others = f' and {len(damaged) - 1} more' if len(damaged) > 1 else ''
        raise ValueRefusal(
            f"'{root / damaged[0]}'{others} cannot be opened. Remove what is damaged, "
            'or type --allow-incomplete to leave it out.'
        )
    return found, len(damaged)


def _opens(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            # A file that is cut off has a good header.
            image.load()
    # Of damaged files, and of ones that are too large.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True


def _divided(
    task: Task, name: str, images: Sequence[str], shares: Sequence[int]
) -> dict[str, list[str]]:
    """The images of a class by part."""
    val, test = (max(1, (2 * s * len(images) + 100) // 200) for s in shares[1:])
    if len(images) <= val + test:
        raise ValueRefusal(
            f'The class {name!r} has {len(images)} images that can be opened, but '
            'train, val and test need one each, and these shares leave none to train '
            'on. Add images, remove the folder, or type other --shares.'
        )
    drawn = task.draw(images, val + test, f'images of {name}')
    chosen = set(drawn)
    return dict(
        train=[image for image in images if image not in chosen],
        val=sorted(drawn[:val]),
        test=sorted(drawn[val:]),
    )
