"""The setting of an experiment: pretext task, network, and their configs."""

import difflib
import os
import os.path as osp
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...utils.check import check_mapping
from ...utils.errors import FileNotFoundRefusal, TypeRefusal, ValueRefusal

_CONFIGS = ('pretext', 'bilevel', 'fine_tune')
_SETTING = (*_CONFIGS, 'pretrained', 'released', 'options', 'published')
_RELEASED = ('backbone', 'head')


@dataclass(frozen=True)
class Setting:
    """One pretext task and network.

    Attributes:
        name (str): For the report; '' if there is only one.
        pretext (str, optional): Config of pretraining.
        bilevel (str, optional): Config of the bilevel stage.
        fine_tune (str): Config of fine-tuning.
        pretrained (str, optional): A file in the place of pretraining.
        head (str, optional): The head that the authors released beside it. Pretext
            pixels are then those of their code, see
            :func:`~bissl_mm.models.weights.pixels.unscale`.
        options (dict): ``pretext``, ``bilevel`` and ``fine_tune``: options by
            dotted key.
        published (str, optional): Key of its numbers.
    """

    name: str
    fine_tune: str
    pretext: str | None = None
    bilevel: str | None = None
    pretrained: str | None = None
    head: str | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published: str | None = None


def read_settings(path: str, given: Any) -> list[Setting]:
    """One setting, or several by name.

    Args:
        path (str): The experiment file, to which paths of configs are relative.
        given (dict): Its ``settings``.

    Raises:
        FileNotFoundError: If a file does not exist.
        TypeError: For an unknown key.
        ValueError: If there is no config for fine-tuning.
    """
    if not isinstance(given, Mapping):
        raise TypeRefusal(
            f'{path}: settings must be a dict, but is {given!r}. Write '
            "dict(fine_tune='../fine_tune/...py', ...), or several of them by name."
        )
    several = all(isinstance(value, Mapping) for value in given.values())
    named = given if several else {'': given}
    found = []
    for name, own in named.items():
        where = f'{path}: settings' + (f'[{name!r}]' if name else '')
        own = check_mapping(where, own, _SETTING)
        if not own.get('fine_tune'):
            raise ValueRefusal(
                f'{where}: fine_tune is missing. Name a config of configs/fine_tune.'
            )
        own['options'] = check_mapping(
            f'{where}: options', own.get('options'), _CONFIGS
        )
        for key in _CONFIGS:
            if own.get(key):
                own[key] = _config(path, own[key])
        if own.get('released') is not None:
            own['pretrained'], own['head'] = _released(where, own)
        own.pop('released', None)
        if own.get('pretrained') and not osp.isfile(own['pretrained']):
            raise FileNotFoundRefusal(
                f'{where}: pretrained {own["pretrained"]!r} does not exist. Correct '
                'the path, or leave it out and give pretext, a config.'
            )
        found.append(Setting(name, **own))
    return found


def _released(where: str, own: Mapping[str, Any]) -> tuple[str, str]:
    """The two files of a pretraining that the authors released."""
    place = f'{where}: released'
    given = check_mapping(place, own['released'], _RELEASED)
    if own.get('pretrained'):
        raise ValueRefusal(
            f'{where} has both pretrained and released. Leave one of them out.'
        )
    for key in _RELEASED:
        if not given.get(key):
            raise ValueRefusal(
                f'{place}: {key} is missing. Write dict(backbone=FILE, head=FILE).'
            )
        if not osp.isfile(given[key]):
            raise FileNotFoundRefusal(
                f'{place}: {key} {given[key]!r} does not exist. Correct the path.'
            )
    return given['backbone'], given['head']


def _config(path: str, given: str) -> str:
    place = osp.normpath(osp.join(osp.dirname(osp.abspath(path)), given))
    if not osp.isfile(place):
        names = sorted(_files(osp.dirname(place)))
        near = difflib.get_close_matches(osp.basename(place), names, 1, 0.0)
        hint = f' Did you mean {near[0]!r}?' if near else ''
        raise FileNotFoundRefusal(f'{path}: config {given!r} does not exist.{hint}')
    return place


def _files(folder: str) -> list[str]:
    if not osp.isdir(folder):
        return []
    return [name for name in os.listdir(folder) if name.endswith('.py')]
