"""Checks data sets in COCO's format and their metrics, before mmdet reads them."""

import os.path as osp
from collections.abc import Iterator
from typing import Any

from .boxes import Annotated, check_sizes
from .coco_boxes import check_boxes
from .coco_classes import Numbering, check_declared, check_numberings
from .coco_entries import CocoFile
from .coco_files import read_coco
from .coco_masks import check_instance_masks
from .coco_metrics import Part, check_metric_file, check_metric_settings, metrics_of
from .findings import Look
from .parts import PartLook, type_name
from .unread import unread


def check_coco(look: Look) -> None:
    """Check the annotation files of mmdet's ``CocoDataset`` and ``CocoMetric``.

    Checked are keys, ids, units of boxes, numbers of classes, and whether the
    images exist. The boxes, and what is left out, are counted in each split's
    table.
    """
    check_metric_settings(look)
    files: dict[str, CocoFile | None] = {}
    numberings: list[Numbering] = []
    classes: list[str] = []
    for part in look:
        found = []
        for key, dataset in _datasets(part):
            classes = list(dataset.metainfo['classes'])
            file = _read(
                look, files, f'{key}.ann_file', dataset.ann_file, dataset.backend_args
            )
            if file is None:
                continue
            found.append(file)
            before = len(look.refusals)
            _check_files(look, part, file, dataset)
            # With a wrong image size, the boxes cannot be checked.
            if (
                check_declared(look, key, file, classes)
                and len(look.refusals) == before
            ):
                check_boxes(look, part, file, dataset)
                check_instance_masks(look, part, file)
                numberings.append(Numbering(file.name, file.label_names(classes)))
        if found:
            _check_metrics(look, Part(part, found), files, numberings, classes)
    if numberings:
        check_numberings(look, classes, numberings)


def _datasets(part: PartLook) -> Iterator[tuple[str, Any]]:
    """Keys and datasets that mmdet's own ``CocoDataset`` reads.

    Formats that are derived from it have rules of their own.
    """
    for key, cfg in part.leaf_cfgs():
        dataset = unread(cfg)
        own = next(
            (
                kind
                for kind in type(dataset).__mro__
                if kind.__module__ == 'mmdet.datasets.coco'
            ),
            None,
        )
        if own is None:
            continue
        classes = dataset.metainfo.get('classes')
        if (
            not classes
            or not isinstance(classes, (list, tuple))
            or not dataset.ann_file
        ):
            continue
        if (
            type(dataset).load_data_list is own.load_data_list
            and type(dataset).parse_data_info is own.parse_data_info
        ):
            yield key, dataset


def _read(
    look: Look,
    files: dict[str, CocoFile | None],
    key: str,
    path: str,
    backend_args: dict | None,
) -> CocoFile | None:
    """The file at a path. It is read once, and its faults are reported once."""
    place = osp.normpath(path) if '://' not in path else path
    if place not in files:
        files[place] = read_coco(look, key, path, backend_args)
    file = files[place]
    return file and CocoFile(key, place, file.images, file.annotations, file.categories)


def _check_metrics(
    look: Look,
    owner: Part,
    files: dict[str, CocoFile | None],
    numberings: list[Numbering],
    classes: list[str],
) -> None:
    for key, cfg in metrics_of(look, owner.part.name):
        path = cfg.get('ann_file')
        if type_name(cfg) != 'CocoMetric' or not isinstance(path, str):
            continue
        file = _read(look, files, f'{key}.ann_file', path, cfg.get('backend_args'))
        if file is None:
            continue
        check_metric_file(look, owner, file, cfg)
        if any(each.path == file.path for each in owner.files):
            continue
        if check_declared(look, owner.part.key, file, classes):
            numberings.append(Numbering(file.name, file.label_names(classes)))


def _check_files(look: Look, part: PartLook, file: CocoFile, dataset: Any) -> None:
    """Refuse images that do not exist or have another size."""
    prefix = dataset.data_prefix.get('img') or ''
    if '://' in prefix or dataset.backend_args:
        return
    absent = [
        image['file_name']
        for image in file.images
        if not osp.isfile(osp.join(prefix, image['file_name']))
    ]
    if absent:
        hint = _hint(prefix, absent[0], dataset)
        # Single missing files are reported together with damaged ones.
        if hint or len(absent) == len(file.images):
            path = osp.join(prefix, absent[0])
            hint = hint or 'Add the files, or correct data_prefix.img or file_name.'
            look.refuse(
                f'{file.name}: {len(absent)} of {len(file.images)} '
                f'images do not exist, for example {path!r}. {hint}'
            )
            return
    check_sizes(
        look,
        part,
        file.name,
        [
            Annotated(
                osp.join(prefix, image['file_name']), (image['width'], image['height'])
            )
            for image in file.images
        ],
    )


def _hint(prefix: str, name: str, dataset: Any) -> str:
    """Why an image is not where a file_name says; '' if that is unknown."""
    bare = name.replace('\\', '/')
    if bare != name:
        exists = osp.isfile(osp.join(prefix, bare))
        return (
            f'The file_name {name!r} has a backslash, which separates '
            'folders on Windows only. '
            + (
                f'Write {bare!r}.'
                if exists
                else f'Write slashes, and a path relative to {prefix!r}.'
            )
        )
    root = dataset.data_root or ''
    folder = next(
        (
            each
            for each in (root, osp.dirname(prefix.rstrip('/')))
            if osp.isfile(osp.join(each, bare))
        ),
        None,
    )
    if folder is not None:
        rest = osp.relpath(folder, root) if root else folder
        rest = '' if rest == '.' else f'{rest}/'
        return f'The image is in {folder!r}. Set data_prefix.img={rest!r}.'
    if osp.isfile(osp.join(prefix, osp.basename(bare))):
        return f'The folder has {osp.basename(bare)!r}. Correct file_name.'
    return ''
