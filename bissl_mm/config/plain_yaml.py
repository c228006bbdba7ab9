"""YAML that holds data, and calls nothing."""

from typing import Any

import yaml

from ..utils.errors import ValueRefusal


class _PlainLoader(yaml.SafeLoader):
    """Knows tuples, too, which mmengine writes."""


_PlainLoader.add_constructor(
    'tag:yaml.org,2002:python/tuple',
    lambda loader, node: tuple(loader.construct_sequence(node, deep=True)),
)


def load_yaml(path: str, name: str | None = None) -> Any:
    """What a YAML file holds.

    Args:
        path (str): The file.
        name (str, optional): Of the file, for the message. Defaults to its
            path.

    Raises:
        ValueError: If it is no YAML, or has Python objects made.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return yaml.load(file.read(), _PlainLoader)
    except yaml.YAMLError as error:
        text = ' '.join(str(error).split()).replace(' in "<unicode string>",', ',')
        raise ValueRefusal(
            f'Config {name or path!r} is not plain YAML: {text}. Tags such as '
            '!!python/object are not read; what needs code belongs in a '
            'config of Python.'
        ) from error
