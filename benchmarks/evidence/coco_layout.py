"""Sets in COCO's format, as publishers lay them out.

One JSON file a part, named by it (``annotations/instances_train2017.json``,
``annotations_coco/val.json``) or in its folder (``train/_annotations.coco.json``);
images wherever their file names are found.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layout_words import PARTS, folders, listed, part_of, words

from bissl_mm.utils.errors import FileNotFoundRefusal, ValueRefusal

#: Looked for in a folder, of those that a file names.
_TRIED = 20
#: Files of other tasks that lie beside those of boxes.
_OTHERS = ('captions', 'keypoints', 'panoptic', 'stuff', 'lvis', 'info')
#: In the names of files of boxes that name no part.
_OF_BOXES = {'instances', 'coco', 'annotations'}
_FORMS = (
    'annotations/instances_train.json, annotations/train.json or '
    'train/_annotations.coco.json'
)


@dataclass
class CocoPart:
    """A part of a set.

    Attributes:
        file (str): Relative path of its file.
        images (Path): Folder that its file names begin in.
        data (dict): What the file holds.
    """

    file: str
    images: Path
    data: dict[str, Any]

    @property
    def number(self) -> int:
        """Images."""
        return len(self.data['images'])

    def used(self) -> set:
        """Ids of categories that a box has."""
        return {
            each.get('category_id')
            for each in self.data['annotations']
            if isinstance(each, dict)
        }


def find_coco(root: Path, notes: list[str] | None = None) -> dict[str, CocoPart]:
    """The parts of a set that have boxes.

    Args:
        root (Path): Folder of the set.
        notes (list[str], optional): Gets a sentence about each file that is not used.

    Returns:
        dict[str, CocoPart]: By part; ``train`` is among them. Empty if no
        file is in COCO's format.

    Raises:
        ValueError: If several files could be one part, or images several
            folders' ones. Also if a file cannot be read that is named as one of boxes,
            or that is in the folder of a part of a set of boxes.
        FileNotFoundError: If there is no training part, or no image.
    """
    everything = list(folders(root))
    found = _files(root, everything)
    if not found:
        return {}
    # A file for both parts is needed where there is none for one of them.
    for whole in ('trainval', 'all'):
        if 'train' not in found and whole in found:
            found['train'] = found[whole]
    if 'train' not in found:
        raise FileNotFoundRefusal(
            f"{root} has files in COCO's format "
            f'({listed(_paths(found))}), but none is named as the training '
            f'part: {_FORMS}, for example. Rename it.'
        )
    if notes is not None:
        # A file of all images is another name of the parts' ones.
        notes += [
            f'{root / path} is not used: its name says no part, and there is a file '
            'for training.'
            for path in sorted(found.get('all', {}))
            if path not in found['train']
        ]
    parts = {part: _one(root, part, found[part]) for part in PARTS if part in found}
    return {
        part: CocoPart(path, _images(root, everything, part, path, data), data)
        for part, (path, data) in parts.items()
    }


def _files(root: Path, everything: list[tuple]) -> dict[str, dict[str, dict]]:
    """What files of boxes hold, by part and path."""
    found: dict[str, dict[str, dict]] = {}
    damaged: list[ValueRefusal] = []
    for names, files in everything:
        for file in files:
            if not file.endswith('.json') or set(words(file)) & {*_OTHERS}:
                continue
            path = '/'.join((*names, file))
            part = part_of(file) or next(
                (p for p in map(part_of, reversed(names)) if p), 'all'
            )
            try:
                data = _read(root / path)
            except ValueRefusal as error:
                # Without it, images of another part would be taken for this one's.
                if part_of(file) or set(words(file)) & _OF_BOXES:
                    raise
                damaged += [error] if part != 'all' else []
                continue
            if data is not None:
                found.setdefault(part, {})[path] = data
    # Beside masks, files of single images may have any name.
    if found and damaged:
        raise damaged[0]
    return found


def _paths(found: dict[str, dict[str, dict]]) -> list[str]:
    return sorted(path for files in found.values() for path in files)


def _read(path: Path) -> Any:
    """What a file of boxes holds; None for another one."""
    try:
        data = json.loads(path.read_text(encoding='utf-8-sig'))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueRefusal(
            f'{path} cannot be read as JSON in UTF-8 ({error}). Download or '
            'export it again, or move it out of the folder.'
        ) from error
    if (
        not isinstance(data, dict)
        or not data.get('images')
        or not all(
            isinstance(data.get(key), list)
            and all(isinstance(each, dict) for each in data[key])
            for key in ('images', 'annotations', 'categories')
        )
    ):
        return None
    return data if any('bbox' in each for each in data['annotations']) else None


def _one(root: Path, part: str, files: dict[str, dict]) -> tuple[str, dict]:
    """The one that is of boxes alone."""
    chosen = list(files)
    if len(chosen) > 1:
        chosen = [p for p in files if 'instances' in words(Path(p).name)]
    if len(chosen) != 1:
        raise ValueRefusal(
            f'{root}: {listed(sorted(files))} can each be the boxes of the '
            f'part {part!r}. Leave one of them in the folder.'
        )
    return chosen[0], files[chosen[0]]


def _images(
    root: Path, everything: list[tuple], part: str, path: str, data: dict
) -> Path:
    """The folder in which the files that it names are."""
    names = [str(each.get('file_name')) for each in data['images'][:_TRIED]]
    if all(Path(name).is_absolute() for name in names):
        return Path('/')
    held = [
        folder
        for folder, _ in everything
        if all(root.joinpath(*folder, name).is_file() for name in names)
    ]
    for wanted in (
        # Names repeat from part to part: its own folder goes first.
        lambda folder: part_of('_'.join(folder)) == part,
        lambda folder: folder == Path(path).parent.parts,
        lambda folder: part_of('_'.join(folder)) is None,
    ):
        best = [folder for folder in held if wanted(folder)]
        if len(best) == 1:
            return root.joinpath(*best[0])
    if len(held) == 1:
        return root.joinpath(*held[0])
    if held:
        raise ValueRefusal(
            f'{root / path}: its images, {names[0]!r} for example, are in '
            f'{listed(["/".join(f) or "." for f in held])}. Leave one of '
            'these folders.'
        )
    absent = next(
        (
            n
            for n in names
            if not any(root.joinpath(*f, n).is_file() for f, _ in everything)
        ),
        names[0],
    )
    raise FileNotFoundRefusal(
        f'{root / path} names the image {absent!r}, which is in no folder '
        f'of {root}. '
        + (
            'Write slashes: a backslash separates folders on Windows alone.'
            if '\\' in absent
            else 'Put the images of a part into one folder.'
        )
    )
