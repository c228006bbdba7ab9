"""Colour images for a demo: the user's folders, or crops of photographs."""

import os
import random

from mmengine.config import Config

from ...utils.errors import FileNotFoundRefusal, ValueRefusal
from ...utils.files import atomic_file
from .data import DemoData
from .photographs import PHOTOGRAPHS, write_crops

VARIABLES = ('BISSL_PRETEXT_DIR', 'BISSL_DOWNSTREAM_DIR')
NUM_CLASSES = 'BISSL_NUM_CLASSES'
EXTENSIONS = (
    '.jpg',
    '.jpeg',
    '.jfif',
    '.png',
    '.webp',
    '.tif',
    '.tiff',
    '.bmp',
    '.ppm',
    '.pgm',
)
#: Maximal number of unlabeled images of a folder, drawn by a fixed seed.
MOST = 10_000
#: Images that pretraining sees in total, and the least and the largest number
#: of epochs. This takes two minutes on one core.
SEEN, EPOCHS = 66_000, (5, 60)
#: Least number of steps and epochs of fine-tuning.
STEPS, LEAST_EPOCHS = 150, 15


def images(root: str) -> DemoData:
    """The user's folders, or crops of photographs if the user names none.

    Args:
        root (str): Folder for what is written.

    Raises:
        ValueError: If the environment variables name only one of the two
            folders, or folders without images or classes.
        FileNotFoundError: If a folder or a photograph does not exist.
    """
    named = {name: os.environ.get(name, '') for name in VARIABLES}
    missing = [name for name, value in named.items() if not value]
    if not missing:
        return _own(root, *named.values())
    if len(missing) == 1:
        raise ValueRefusal(
            f'The environment variable {missing[0]} is not set, but the '
            f'other one of {" and ".join(VARIABLES)} is. Type '
            f'export {missing[0]}=FOLDER for your own images, or unset both '
            'for crops of photographs.'
        )
    return DemoData(
        write_crops(root),
        'crops of ten photographs',
        'crops of photographs',
        'The task is to say from which of ten photographs a crop of 32 x 32 '
        'pixels was cut. The photographs come with scikit-image and '
        'scikit-learn. Each photograph is cut into cells of 64 x 64 pixels, '
        'and the crops of a cell are in one split only. Crops of one cell '
        'overlap, so there are fewer independent test crops than files. And '
        'to tell ten photographs apart is not to tell kinds of objects apart.',
        sorted(PHOTOGRAPHS),
        os.path.join(root, 'pretext'),
        None,
        os.path.join(root, 'downstream'),
    )


def put_images(cfg: Config, data: DemoData) -> None:
    """Write folders, classes and lengths into one of the small configs.

    Args:
        cfg (Config): Config of the pretraining, the stage or the fine-tuning
            at the small scale; changed.
        data (DemoData): The images.
    """
    if 'head_warmup' in cfg.train_cfg:
        _put_pretext(cfg.train_cfg.pretext_dataloader, data)
        _put_downstream(cfg, cfg.model.downstream, data)
    elif cfg.model.get('head', {}).get('type') == 'LinearClsHead':
        _put_downstream(cfg, cfg.model, data)
        steps = data.counts['train'] // cfg.train_dataloader.batch_size
        epochs = max(LEAST_EPOCHS, -(-STEPS // steps))
        cfg.train_cfg.update(max_epochs=epochs, val_interval=max(1, epochs // 10))
        cfg.param_scheduler.end = epochs
    else:
        _put_pretext(cfg.train_dataloader, data)
        least, most = EPOCHS
        epochs = min(most, max(least, round(SEEN / data.counts['pretext'])))
        cfg.train_cfg.max_epochs = epochs
        warmup, decay = cfg.param_scheduler
        warmup.end = decay.begin = min(3, epochs // 5)
        decay.end = epochs
        cfg.default_hooks.logger.interval = 1
        cfg.default_hooks.checkpoint.interval = 1


def _put_pretext(loader: Config, data: DemoData) -> None:
    loader.dataset.dataset.data_root = data.pretext
    if data.pretext_list:
        loader.dataset.dataset.ann_file = data.pretext_list
    loader.batch_size = min(loader.batch_size, data.counts['pretext'])


def _put_downstream(cfg: Config, model: Config, data: DemoData) -> None:
    model.head.num_classes = len(data.classes)
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].dataset.dataset.data_root = data.downstream
    # A last batch of one image would have no batch statistics.
    cfg.train_dataloader.update(
        batch_size=min(50, data.counts['train']), drop_last=True
    )


def _own(root: str, pretext: str, downstream: str) -> DemoData:
    classes = _classes(downstream)
    counts = {
        part: len(_files(os.path.join(downstream, part)))
        for part in ('train', 'val', 'test')
    }
    unlabeled = _files(pretext)
    counts['pretext'] = min(MOST, len(unlabeled))
    folders: dict[str, str] = dict.fromkeys(('train', 'val', 'test'), downstream)
    folders['pretext'] = pretext
    for part, number in counts.items():
        # In a batch of one image there is nothing to contrast it with.
        if number < 2:
            raise ValueRefusal(
                f"The {part} split in '{folders[part]}' has {number} images "
                f'({", ".join(EXTENSIONS)}), but needs at least two. Add images.'
            )
    chosen = None
    if len(unlabeled) > MOST:
        chosen = os.path.abspath(os.path.join(root, 'pretext.txt'))
        lines = sorted(random.Random(0).sample(unlabeled, MOST))
        os.makedirs(root, exist_ok=True)
        with atomic_file(chosen) as file:
            file.write('\n'.join(lines) + '\n')
    return DemoData(
        counts,
        'images of yours',
        'images of yours',
        f'{counts["pretext"]} of {len(unlabeled)} unlabeled images from '
        f'{pretext}, and the labeled images from {downstream}.',
        classes,
        os.path.abspath(pretext),
        chosen,
        os.path.abspath(downstream),
        True,
    )


def _classes(downstream: str) -> list[str]:
    """Class folders of the training split; the variable's number is checked."""
    for part in ('train', 'val', 'test'):
        folder = os.path.join(downstream, part)
        if not os.path.isdir(folder):
            raise FileNotFoundRefusal(
                f"Folder '{folder}' does not exist. Type export "
                'BISSL_DOWNSTREAM_DIR=FOLDER with a folder that has '
                'train/<class>, val/<class> and test/<class>.'
            )
    train = os.path.join(downstream, 'train')
    classes = sorted(entry.name for entry in os.scandir(train) if entry.is_dir())
    said = os.environ.get(NUM_CLASSES)
    if said and said != str(len(classes)):
        raise ValueRefusal(
            f"{NUM_CLASSES} is {said}, but '{train}' has {len(classes)} class "
            f'folders. Type unset {NUM_CLASSES}, or correct the folders.'
        )
    if len(classes) < 2:
        raise ValueRefusal(
            f"'{train}' has {len(classes)} class folder(s), but needs at least "
            'two. Put the images of each class into a folder of its own.'
        )
    return classes


def _files(folder: str) -> list[str]:
    """Images in a folder and its subfolders, as paths relative to it."""
    if not os.path.isdir(folder):
        raise FileNotFoundRefusal(
            f"Folder '{folder}' does not exist. Set {' and '.join(VARIABLES)} "
            'to folders of images.'
        )
    return sorted(
        os.path.relpath(os.path.join(place, name), folder)
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.lower().endswith(EXTENSIONS)
    )
