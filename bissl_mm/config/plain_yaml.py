"""Reads YAML as data, without calling anything that it names."""

from typing import Any

import yaml

from ..utils.errors import ValueRefusal


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, and tuples, which mmengine writes."""


_PlainLoader.add_constructor(
    'tag:yaml.org,2002:python/tuple',
    lambda loader, node: tuple(loader.construct_sequence(node, deep=True)),
)


def load_yaml(path: str, name: str | None = None) -> Any:
    """The content of a YAML file.

    Args:
        path (str): The file.
        name (str, optional): Of the file, for the message. Defaults to its
            path.

    Raises:
        ValueError: If it is not YAML, or asks for Python objects.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return yaml.load(file.read(), _PlainLoader)
    except yaml.YAMLError as error:
        text = ' '.join(str(error).split()).replace(' in "<unicode string>",', ',')
        raise ValueRefusal(
            f'Config {name or path!r} is not plain YAML: {text}. Tags such as '
            '!!python/object are not read. Write a config that needs code in '
            'Python.'
        ) from error
