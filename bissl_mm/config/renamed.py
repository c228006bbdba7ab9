"""Finds the present config for a name from before ``--task`` existed."""

import os.path as osp
import re

from .tasks import CHECKPOINT, find_slot

_STAGE = re.compile(
    r'(bissl-.+t)_(in1k|cifar10|imagefolder|coco-c4|masks-fcn8)(?:-(.+?))?(_recycling)?'
)
_FINE_TUNE = re.compile(
    r'(?:(faster-rcnn|fcn16|fcn8|retinanet|deeplabv3)-)?(r\d+|vit-\w+)-(?:c4-)?'
    r'(bissl-)?(simclr|byol|mae)(?:-public)?_\w+-\w+_(.+)'
)
#: Small stages had ten alternations, then thirty.
_SMALL = re.compile(r'(bissl-\w+_b64-10x4-)10t_cifar10-48px(_[\w-]+)?')
_SCENES = re.compile(r'(.+_digit-scenes)-(detection|segmentation)')
#: Image size of a network, if it has only one.
_SIZES = {'r10': 32, 'vit-s8': 96, 'vit-t8': 48, 'vit-p4': 32}
_SOLVED = (
    ' --cfg-options optim_wrapper.hypergradient.damping=100 '
    'optim_wrapper.hypergradient.solver.type=RecyclingSolver '
    'optim_wrapper.hypergradient.solver.tolerance=0.1'
)


def new_command(path: str) -> str | None:
    """A sentence with what to type instead of a config's former name.

    Args:
        path (str): The former name; the file does not exist.

    Returns:
        str, optional: A sentence, or None if no config had this name.
    """
    folder, name = osp.split(path)
    stem = osp.splitext(name)[0]
    if small := _SMALL.fullmatch(stem):
        return _of_small(path, folder, *small.groups())
    found = _of_scenes(stem) or _of_stage(stem) or _of_fine_tuning(stem)
    if found is None:
        return None
    new, task, more = found
    place = osp.join(folder, f'{new}.py')
    if not osp.isfile(place):
        return None
    slot = find_slot(place)
    if not task or slot is None or not slot.takes(task):
        # A name of this form that never was.
        return None
    return f'Config {path!r} is now {place} --task {task}{more}.'


def _of_small(path: str, folder: str, head: str, variant: str | None) -> str | None:
    new, former = (
        osp.join(folder, f'{head}{end}.py')
        for end in (f'30t_cifar10-48px{variant or ""}', '10t_cifar10-48px_published')
    )
    if not osp.isfile(new):
        return None
    text = f'Config {path!r} is now {new}, with 30 alternations'
    return f'{text}.' if variant else f'{text}; {former} has the former settings.'


def _of_scenes(stem: str) -> tuple[str, str, str] | None:
    match = _SCENES.fullmatch(stem)
    return match and (match[1], f'digit-scenes-{match[2]}', '')


def _of_stage(stem: str) -> tuple[str, str, str] | None:
    match = _STAGE.fullmatch(stem)
    if match is None:
        return None
    setting, data, rest, solved = match.groups()
    more = _SOLVED if solved else ''
    if data == 'in1k':
        size = 224 if rest == 'pets-224px' else 96
        return f'{setting}_in1k-{size}px', _of_size(rest), more
    if data == 'cifar10':
        return f'{setting}_cifar10-48px_published', rest or '', more
    if data == 'imagefolder':
        return f'{setting}_imagefolder-64px', 'imagefolder-64px', more
    return f'{setting}_imagefolder-32px', f'{data}-{rest}', more


def _of_fine_tuning(stem: str) -> tuple[str, str, str] | None:
    match = _FINE_TUNE.fullmatch(stem)
    if match is None:
        return None
    head, network, bissl, pretext, data = match.groups()
    size = _SIZES.get(network)
    if network == 'r50':
        size = 224 if '224px' in data else 96
    elif network == 'r18':
        size = 64 if data == 'imagefolder' else 48
        data = data.replace('imagefolder', 'imagefolder-64px')
    if head:
        set_name, _, rest = data.partition('-')
        kind = head.replace('faster-rcnn', 'c4')
        data = '-'.join(filter(None, (set_name, kind, rest)))
    more = ''
    if bissl or pretext == 'byol':
        more = f' after export {CHECKPOINT}=PATH, the file that it starts from'
    return f'{network}_{size}px', _of_size(data), more


def _of_size(task: str | None) -> str:
    """The task of a name that had the size of the images in it."""
    return (task or '').replace('pets-224px', 'pets')
