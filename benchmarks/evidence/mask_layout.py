"""Sets in mmseg's format, as publishers lay them out.

A folder of images and one of masks for each part: ``img_dir/train`` and
``ann_dir/train``, ``train/images`` and ``train/masks``, ``train`` and
``trainannot``; or one of each with lists of the parts, as VOC and Oxford's pets
have them (:mod:`part_lists`). Without a list ``train``, ``trainval`` is for training,
or what no other list names.

Masks may lie one folder deeper than their images: ``images/x.jpg`` and
``annotations/trimaps/x.png``. The name of a mask begins with that of its image:
``x_mask.png``, ``x_L.png`` and ``x_gtFine_labelIds.png``. Masks of objects and masks in
colours are passed over if others lie beside them. Images without a mask are left
out, and a note says so; a list may not name them.
"""

import os.path as osp
from collections.abc import Callable
from pathlib import Path

from layout_words import PARTS, SUFFIXES, folders, is_mask, listed, part_of
from mask_names import MaskPart, are_masks, named_alike, of_classes
from part_lists import LISTS, parts_by_lists

from bissl_mm.utils.errors import FileNotFoundRefusal, ValueRefusal

Names = tuple[str, ...]
#: Pictures of folders, by their paths in it.
Pictures = dict[Names, list[str]]
Folder = tuple[Names, list[str]]
_FORMS = (
    'img_dir/train with ann_dir/train, images/train with labels/train '
    'or train/images with train/masks'
)


def find_masks(root: Path) -> dict[str, MaskPart]:
    """The parts of a set that have masks.

    Args:
        root (Path): Folder of the set.

    Returns:
        dict[str, MaskPart]: By part; ``train`` is among them. Empty if there
        are no folders of masks.

    Raises:
        ValueError: If several folders could be the masks of a part, or if a list
            of a part does not fit.
        FileNotFoundError: If masks have no images, or the other way round.
    """
    return masks_and_notes(root)[0]


def masks_and_notes(root: Path) -> tuple[dict[str, MaskPart], list[str]]:
    """What :func:`find_masks` finds, and sentences about what is left out."""
    tops, lists = _walk(root)
    # Images may be in folders of their part, with all masks in one.
    masks = {
        part: tops.get((part, True)) or tops.get(('all', True))
        for part, mask in sorted(tops, key=_order)
        if not mask
    }
    found = {
        part: _pair(root, part, tops[part, False], own)
        for part, own in masks.items()
        if own
    }
    if not found:
        return {}, []
    others = [
        text
        for part, pair in found.items()
        for text in _note_of_others(root, pair, tops[part, False])
    ]
    notes = []
    if {*found} == {'train'} or (
        'train' not in found and {'trainval', 'all'} & {*found}
    ):
        name = next(n for n in ('train', 'trainval', 'all') if n in found)
        own = [
            path for path in lists if name == 'train' or part_of(path.name) not in found
        ]
        by_lists, notes = parts_by_lists(root, found[name], own)
        if not by_lists:
            by_lists = dict(train=found[name])
        found.update(by_lists)
    if 'train' not in found:
        raise FileNotFoundRefusal(
            f'{root} has images and masks of {listed(sorted(found))}, but no '
            f'training part: {_FORMS}, for example. Rename its folders.'
        )
    bare = [text for part in found.values() for text in _note_of_bare(part)]
    # A folder of all images is a part, too, if there are no lists.
    notes = [*dict.fromkeys(bare), *others, *notes]
    return {part: found[part] for part in PARTS if part in found}, notes


def _walk(root: Path) -> tuple[dict[tuple[str, bool], Pictures], list[Path]]:
    """Pictures by part and whether they are masks, and files named as lists."""
    tops: dict[tuple[str, bool], Pictures] = {}
    lists = []
    for names, files in folders(root):
        lists += [
            root.joinpath(*names, file)
            for file in files
            if file.lower().endswith(LISTS) and part_of(file)
        ]
        pictures = [f for f in files if f.lower().endswith(SUFFIXES)]
        if not pictures:
            continue
        top = _top(names)
        part = next((p for p in map(part_of, reversed(top)) if p), 'all')
        below = names[len(top) :]
        tops.setdefault((part, bool(is_mask(top))), {}).setdefault(top, []).extend(
            '/'.join((*below, f)) for f in pictures
        )
    return tops, lists


def _order(key: tuple[str, bool]) -> int:
    """Refusals speak of the training part first."""
    return (*PARTS, 'trainval', 'all').index(key[0])


def _top(names: Names) -> Names:
    """Folders down to the one that says part and kind for the last time;
    cities or sequences lie below."""
    last = max(
        (
            i
            for i, name in enumerate(names, 1)
            if part_of(name) or is_mask((name,)) is not None
        ),
        default=0,
    )
    return names[:last]


def _pair(root: Path, part: str, images: Pictures, masks: Pictures) -> MaskPart:
    """The one folder of images whose names one folder of masks has."""
    refused: list[ValueRefusal] = []
    fits = _fitting(root, images, masks, refused, _lifted) or [
        fit
        # Folders within, where most have a partner.
        for fit in (
            *_fitting(root, images, _within(masks), refused),
            *_fitting(root, _within(images), masks, refused),
        )
        if fit.number > sum(map(len, fit.without.values()))
    ]
    if refused and not fits:
        raise refused[0]
    # The masks of classes, if there are others beside them.
    for kept in (
        lambda fit: of_classes('/'.join(fit.masks.relative_to(root).parts)),
        are_masks,
    ):
        if len(fits) > 1:
            fits = [fit for fit in fits if kept(fit)] or fits
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise ValueRefusal(
            f'{root}: several folders can be the '
            f'{"whole set" if part == "all" else f"part {part!r}"}: '
            + '; '.join(
                f'{each.images.relative_to(root)} with {each.masks.relative_to(root)}'
                for each in fits
            )
            + '. Leave one pair in the folder.'
        )
    image, mask = (min(each) for each in (images, masks))
    raise FileNotFoundRefusal(
        f'{root.joinpath(*mask)} has no masks with the names of the images in '
        f'{root.joinpath(*image)}: there is {masks[mask][0]!r} for example, '
        f'here {images[image][0]!r}. Name a mask as its image, and folders '
        'within alike.'
    )


def _lifted(image: Folder, mask: Folder) -> list[tuple[Folder, Folder]]:
    """The same two, or a folder within one of them.

    Only beside pictures without folders: names of frames repeat from one sequence
    to the other.
    """
    flat = [not any('/' in name for name in names) for _, names in (image, mask)]
    pairs = [(image, mask)]
    if flat[0]:
        pairs.append((image, _common(*mask)))
    if flat[1]:
        pairs.append((_common(*image), mask))
    return pairs


def _fitting(
    root: Path,
    images: Pictures,
    masks: Pictures,
    refused: list[ValueRefusal],
    lift: Callable[[Folder, Folder], list[tuple[Folder, Folder]]] = lambda *both: [
        both
    ],
) -> list[MaskPart]:
    """All pairs of folders whose names are alike; why others are ``refused``."""
    found = []
    for image in images.items():
        for mask in masks.items():
            for (top, names), (mask_top, mask_names) in lift(image, mask):
                try:
                    pair = named_alike(names, mask_names)
                except ValueRefusal as error:
                    refused.append(error)
                    continue
                if pair:
                    places = root.joinpath(*top), root.joinpath(*mask_top)
                    found.append(MaskPart(*places, *pair))
                    break
    return found


def _common(top: Names, names: list[str]) -> Folder:
    """Go down to the folder that has several folders or a picture."""
    common = osp.commonpath([osp.dirname(name) for name in names])
    if not common:
        return top, names
    return (*top, *common.split('/')), [name[len(common) + 1 :] for name in names]


def _within(folders: Pictures) -> Pictures:
    """Folders below the given ones, each with all that is in it."""
    found: Pictures = {}
    for top, names in folders.items():
        for name in names:
            inner = name.split('/')
            for i in range(1, len(inner)):
                found.setdefault((*top, *inner[:i]), []).append('/'.join(inner[i:]))
    return found


def _note_of_others(root: Path, pair: MaskPart, images: Pictures) -> list[str]:
    """Folders of pictures for the same part: those of a second site, for example."""
    found = []
    for top, names in images.items():
        folder = root.joinpath(*top)
        if folder.is_relative_to(pair.images):
            continue
        # The pair may be a folder within: pictures beside it belong to others.
        others = [n for n in names if not (folder / n).is_relative_to(pair.images)]
        if others:
            found.append(
                f'{folder}: {len(others)} pictures are not used, {others[0]!r} for '
                'example. The masks in '
                f'{pair.masks} are of the images in {pair.images}; to add these, put '
                'all images into one folder and all masks into one, with their names.'
            )
    return found


def _note_of_bare(part: MaskPart) -> list[str]:
    bare = [name + suffix for suffix, own in part.without.items() for name in own]
    if not bare:
        return []
    return [
        f'{part.images}: {len(bare)} of {part.number + len(bare)} images have no mask '
        f'in {part.masks} and are left out, {bare[0]!r} for example.'
    ]
