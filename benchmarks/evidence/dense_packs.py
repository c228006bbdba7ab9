"""Sets with boxes or masks: what stands in the small configs for each."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from coco_layout import CocoPart, find_coco
from coco_numbers import check_ids, number_alike, without_repeats
from dense_pack import DensePack, write
from mask_ids import check_ids as check_mask_ids
from mask_layout import masks_and_notes
from mask_names import MaskPart
from mmengine.config import Config, ConfigDict

from bissl_mm.analysis.runs.fine_tune import Setting
from bissl_mm.datasets.look.headers import read_header
from bissl_mm.utils.errors import ValueRefusal


class _OwnLayout(DensePack):
    """A set whose layout gives notes of its own."""

    _layout_notes: Sequence[str] = ()

    @property
    def notes(self) -> list[str]:
        # Only a set that was found has notes.
        about_parts = super().notes
        return [*self._layout_notes, *about_parts]


class DetectionPack(_OwnLayout):
    """A set in COCO's format, for a small Faster R-CNN C4.

    Its files are written anew: with the images of a part, the categories that
    are used in any part, ``area`` and ``iscrowd`` where they are missing. Ids of
    boxes stay, for messages; if one is missing, repeated or below 1, all are numbered
    from 1.
    """

    library = 'mmdet'
    metric, metric_name = 'coco/bbox_mAP_50', 'AP50'
    task = 'coco-c4-128px'
    looked_for = (
        'looked for JSON files with images, annotations that have '
        'a bbox, and categories'
    )
    search = [Setting(lr, 0.001) for lr in (0.1, 0.2, 0.4, 0.8)]

    def find(self) -> dict[str, CocoPart]:
        notes: list[str] = []
        found = find_coco(Path(self.root), notes)
        if not found:
            return {}
        for part in found.values():
            check_ids(Path(self.root), part)
        found, repeats = without_repeats(found)
        found, numbers = number_alike(found)
        for part in found.values():
            if not part.data['annotations']:
                # A precision without a box is no number.
                raise ValueRefusal(
                    f'{Path(self.root) / part.file} has no box of a category that '
                    f'{found["train"].file} lists, so there is nothing to learn or to '
                    'measure. Name the categories alike, or move the file out of the '
                    'folder.'
                )
        self._layout_notes = (*notes, *repeats, *numbers)
        return found

    def strata(self, part: CocoPart) -> dict[str, list[int]]:
        with_box = {
            each.get('image_id')
            for each in part.data['annotations']
            # mmdet leaves the others out, or counts them for nothing.
            if each.get('bbox') and not each.get('iscrowd') and not each.get('ignore')
        }
        has = [each.get('id') in with_box for each in part.data['images']]
        return {
            'with boxes': [i for i, it_has in enumerate(has) if it_has],
            '': [i for i, it_has in enumerate(has) if not it_has],
        }

    def draw(self, part: CocoPart, indices: list[int]) -> CocoPart:
        images = [part.data['images'][i] for i in sorted(indices)]
        ids = {each.get('id') for each in images}
        return CocoPart(
            part.file,
            part.images,
            dict(
                part.data,
                images=images,
                annotations=[
                    each
                    for each in part.data['annotations']
                    if each.get('image_id') in ids
                ],
            ),
        )

    @property
    def number(self) -> int:
        """Images for training that have a box; mmdet leaves others out."""
        return len(
            {
                each.get('image_id')
                for each in self._file(self.parts['train'])['annotations']
            }
        )

    @cached_property
    def categories(self) -> list[dict]:
        """Those that a box has, or all if that is the number asked for."""
        everything = self.parts['train'].data['categories']
        ids = set().union(*(part.used() for part in self.parts.values()))
        used = [each for each in everything if each.get('id') in ids]
        wanted = self.num_classes
        if wanted in (None, len(used)):
            return used
        if wanted == len(everything):
            return everything
        raise ValueRefusal(
            f'BISSL_NUM_CLASSES is {wanted}, but '
            f'{self.parts["train"].file} has {len(everything)} categories, '
            f'of which boxes have {len(used)}: '
            f'{", ".join(str(each.get("name")) for each in used)}. Type '
            f'export BISSL_NUM_CLASSES={len(used)}.'
        )

    def put(self, cfg: Config, unit: int, lists: Path) -> None:
        names = tuple(str(each.get('name')) for each in self.categories)
        model = cfg.model.get('downstream', cfg.model)
        model.roi_head.bbox_head.num_classes = len(names)
        for name, part in self.parts.items():
            dataset = cfg[f'{name}_dataloader'].dataset.dataset
            source = Path(part.file).stem
            path = str(
                write(
                    lists,
                    f'{self.name}-{name}-of-{source}',
                    '.json',
                    json.dumps(self._file(part)),
                )
            )
            self.sources[path] = str(Path(self.root, part.file))
            dataset.update(
                data_root='',
                ann_file=path,
                data_prefix=dict(img=f'{part.images}/'),
                metainfo=dict(classes=names),
            )
            if name != 'train':
                cfg[f'{name}_evaluator'].ann_file = path
        self.put_loader(cfg.train_dataloader)

    def _file(self, part: CocoPart) -> dict:
        ids = [each.get('id') for each in part.data['annotations']]
        # pycocotools takes a match with the id 0 for none.
        usable = all(type(i) is int and i > 0 for i in ids) and len({*ids}) == len(ids)
        boxes = []
        for i, each in enumerate(part.data['annotations'], 1):
            box = each.get('bbox')
            filled = dict(iscrowd=0)
            if (
                isinstance(box, list)
                and len(box) == 4
                and all(isinstance(v, (int, float)) for v in box)
            ):
                filled['area'] = box[2] * box[3]
            given = {k: v for k, v in each.items() if v is not None}
            boxes.append({**filled, **given, 'id': each['id'] if usable else i})
        return dict(
            images=part.data['images'],
            annotations=boxes,
            # mmdet numbers the categories in the order of each file.
            categories=self.categories,
        )


class SegmentationPack(_OwnLayout):
    """A set in mmseg's format, for a small FCN.

    Masks hold the number of a class, from 0, and 255 where there is none.
    """

    library = 'mmseg'
    metric, metric_name = 'mIoU', 'mIoU'
    task = 'masks-fcn8-128px'
    looked_for = (
        'looked for folders of images and of masks, img_dir/train '
        'and ann_dir/train for example'
    )
    batch = 8
    #: Pixels of an image, whatever its shape.
    AREA = 128 * 96
    search = [Setting(lr, 0.001) for lr in (0.05, 0.1, 0.2, 0.4)]

    def find(self) -> dict[str, MaskPart]:
        found, self._layout_notes = masks_and_notes(Path(self.root))
        return found

    def check(self) -> None:
        check_mask_ids(self.root, self.parts.values(), self.num_classes)

    def draw(self, part: MaskPart, indices: list[int]) -> MaskPart:
        everything = [
            (suffix, name) for suffix, names in part.names.items() for name in names
        ]
        names: dict[str, list[str]] = {}
        for i in sorted(indices):
            names.setdefault(everything[i][0], []).append(everything[i][1])
        return MaskPart(part.images, part.masks, part.mask_suffix, names)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height in the networks: the shape of most training
        images."""
        part, ratios = self.parts['train'], []
        for suffix, names in part.names.items():
            for name in names[:100]:
                header = read_header(str(part.images / (name + suffix)))
                # The look over the data names one that cannot be read.
                if not header.error:
                    # The loader turns photographs as their camera was held.
                    width, height = header.decoded_size('color', 'cv2')
                    ratios.append(width / height)
        ratio = min(2.0, max(0.5, float(np.median(ratios or [1.0]))))
        width = 16 * round((self.AREA * ratio) ** 0.5 / 16)
        return width, 16 * max(1, round(self.AREA / width / 16))

    def put(self, cfg: Config, unit: int, lists: Path) -> None:
        if not self.num_classes:
            raise ValueRefusal(
                'The number of classes in the masks is not known. Type '
                'export BISSL_NUM_CLASSES=NUMBER.'
            )
        model = cfg.model.get('downstream', cfg.model)
        model.decode_head.num_classes = self.num_classes
        for name, part in self.parts.items():
            self._put_part(cfg[f'{name}_dataloader'], name, part, lists)
        self.put_loader(cfg.train_dataloader)

    def _put_part(
        self, loader: ConfigDict, name: str, part: MaskPart, lists: Path
    ) -> None:
        inner = loader.dataset.dataset
        for step in inner.pipeline:
            if step.type == 'Resize':
                step.scale = self.size
        datasets = []
        for suffix, names in part.names.items():
            for stem in names:
                # Lines of a list are stripped.
                if stem != stem.strip():
                    raise ValueRefusal(
                        f'{part.images}: the name of {stem + suffix!r} has a blank at '
                        'an end, which lists of names cannot have. Rename the image '
                        'and its mask.'
                    )
            path = write(lists, f'{self.name}-{name}', '.txt', '\n'.join(names) + '\n')
            datasets.append(
                dict(
                    inner,
                    data_root='',
                    ann_file=str(path),
                    data_prefix=dict(
                        img_path=str(part.images), seg_map_path=str(part.masks)
                    ),
                    img_suffix=suffix,
                    seg_map_suffix=part.mask_suffix,
                    metainfo=dict(classes=tuple(map(str, range(self.num_classes)))),
                )
            )
        loader.dataset.dataset = (
            datasets[0]
            if len(datasets) == 1
            else dict(type='ConcatDataset', _scope_='mmseg', datasets=datasets)
        )
