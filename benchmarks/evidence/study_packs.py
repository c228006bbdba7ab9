"""The sets of the study, in a folder with one sub-folder each."""

from pathlib import Path

from dense_pack import DensePack
from dense_packs import DetectionPack, SegmentationPack
from packs import ByolPack, MaePack, Pack
from regime import DEVELOPMENT, LABELS, STEPS

#: Sets of the step others: other pretext tasks, and dense tasks.
OTHERS = (*(f'{name}-{kind}' for name in DEVELOPMENT for kind in ('byol', 'mae')),)
OTHERS += ('bccd', 'camvid')
#: Of each development set its folder; both have ten classes.
_FOLDERS = {'sign_digits-5': 'sign_digits', 'cifar10-25': 'cifar10_labeled'}


def study_packs(data: Path) -> dict[str, Pack]:
    """The sets of classification, by name.

    Args:
        data (Path): The folder.
    """
    dtd5 = str(data / 'dtd5')
    packs = {
        'dtd5': Pack('dtd5', dtd5, 40),
        # 25 images are one step.
        'dtd5-5': Pack('dtd5-5', dtd5, STEPS, labels=5),
    }
    for base, folder in _FOLDERS.items():
        family = base.rsplit('-', 1)[0]
        for labels in LABELS[base]:
            steps = max(1, labels * 10 // 50)
            name = f'{family}-{labels}'
            packs[name] = Pack(name, str(data / folder), round(STEPS / steps), labels)
    return packs


def other_packs(data: Path) -> dict[str, DensePack]:
    """The development sets after other pretext tasks, and dense tasks.

    Args:
        data (Path): The folder.
    """
    own = study_packs(data)
    packs = [
        kind(
            f'{name}-{kind.pretext}', own[name].root, own[name].epochs, own[name].labels
        )
        for name in DEVELOPMENT
        for kind in (ByolPack, MaePack)
    ]
    packs += [
        DetectionPack('bccd', str(data / 'bccd_voc')),
        SegmentationPack('camvid', str(data / 'camvid'), num_classes=11),
    ]
    return {pack.name: pack for pack in packs}
