"""Puts environment variables into a config's text as data.

mmengine replaces ``{{$VARIABLE:default}}`` by the variable's text before
Python reads the config. So a folder with an apostrophe or a backslash breaks
the config, and a value that is code is run. This module escapes a value
within a string for that string. Outside of strings the value has to be a
number or another literal.
"""

import ast
import io
import os
import os.path as osp
import re
import tokenize
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from mmengine.config import Config

from ..utils.errors import ValueRefusal
from .plain_yaml import load_yaml

#: The same pattern as mmengine's: the name, and the default.
_VARIABLE = re.compile(r'\{\{[\'"]?\s*\$(\w+)\s*:\s*(\S*?)\s*[\'"]?\}\}')
_FILE = re.compile(
    r'\{\{\s*(fileDirname|fileBasenameNoExtension|fileBasename|fileExtname)'
    r'\s*\}\}'
)
#: Temporary file -> the config that it was made from.
_read: dict[str, str] = {}
_FSTRING_START = getattr(tokenize, 'FSTRING_START', None)
_FSTRING_MIDDLE = getattr(tokenize, 'FSTRING_MIDDLE', None)


@contextmanager
def variables_as_data() -> Iterator[None]:
    """Inside, mmengine reads configs with this module's replacements."""
    ours = dict(
        _substitute_env_variables=_put_environment,
        _substitute_predefined_vars=_put_file_names,
    )
    theirs = {name: Config.__dict__[name] for name in ours}
    for name, function in ours.items():
        setattr(Config, name, staticmethod(function))
    try:
        yield
    finally:
        _read.clear()
        for name, function in theirs.items():
            setattr(Config, name, function)


def with_variables(text: str) -> str:
    """A string of a config with the environment put in, or the defaults."""
    return _VARIABLE.sub(lambda m: os.environ.get(m.group(1), m.group(2)), text)


def _put_environment(filename: str, temp_config_name: str) -> dict[str, str]:
    """Replaces mmengine's function of the same arguments."""
    used: dict[str, str] = {}

    def form(match: re.Match, where: str) -> str:
        name, default = match.groups()
        if name not in os.environ:
            if not default and where != '#':
                raise ValueRefusal(
                    f'The config needs the environment variable {name}, '
                    f'which is not set. Type export {name}=VALUE before the '
                    'command.'
                )
            return default
        value = used[name] = os.environ[name]
        if not value:
            raise ValueRefusal(
                f'The environment variable {name} is empty. Type export '
                f'{name}=VALUE'
                + (
                    f', or unset {name} to take the default {default!r}.'
                    if default
                    else ' before the command.'
                )
            )
        if where == 'bare':
            return _literal(name, value, default)
        return _escaped(value, where, f'The environment variable {name}')

    _rewrite(filename, temp_config_name, _VARIABLE, form)
    if temp_config_name.endswith(('.yaml', '.yml')):
        # mmengine's loader would call what the file names.
        load_yaml(temp_config_name, _read.get(temp_config_name))
    return used


def _put_file_names(filename: str, temp_config_name: str) -> None:
    """Replaces mmengine's function of the same arguments."""
    _read[temp_config_name] = filename
    base = osp.basename(filename)
    values = dict(
        fileDirname=osp.dirname(filename),
        fileBasename=base,
        fileBasenameNoExtension=osp.splitext(base)[0],
        fileExtname=osp.splitext(base)[1],
    )

    def form(match: re.Match, where: str) -> str:
        value = values[match.group(1)]
        if where == 'bare':
            return repr(value)
        return _escaped(value, where, f'The name of the config, {filename!r},')

    _rewrite(filename, temp_config_name, _FILE, form)


def _rewrite(
    source: str, target: str, pattern: re.Pattern, form: Callable[[re.Match, str], str]
) -> None:
    with open(source, encoding='utf-8') as file:
        text = file.read()
    places = list(pattern.finditer(text))
    if places:
        # A temporary file keeps the suffix of its config.
        is_python = source.endswith('.py')
        name = _read.get(source, source)
        kinds = _kinds(name, text, places) if is_python else ['data'] * len(places)
        for match, kind in reversed(list(zip(places, kinds, strict=True))):
            text = text[: match.start()] + form(match, kind) + text[match.end() :]
    with open(target, 'w', encoding='utf-8') as file:
        file.write(text)


def _kinds(name: str, text: str, places: list[re.Match]) -> list[str]:
    """Where each variable stands.

    ``'#'`` means in a comment, ``'bare'`` in the code. Within a string it is
    the string's prefix and quote.
    """
    kinds = ['#'] * len(places)
    marked, end = '', 0
    for i, match in enumerate(places):
        marked += text[end : match.start()] + f'_place{i}_of_a_variable_'
        end = match.end()
    marked += text[end:]
    start = "'"
    try:
        for token in tokenize.generate_tokens(io.StringIO(marked).readline):
            if token.type == _FSTRING_START:
                start = token.string
            if token.type == tokenize.STRING:
                opening = re.match(r'\w*(\'\'\'|"""|\'|")', token.string)
                kind = opening.group() if opening else start
            elif token.type == _FSTRING_MIDDLE:
                kind = start
            elif token.type == tokenize.NAME:
                kind = 'bare'
            else:
                continue
            for i in re.findall(r'_place(\d+)_of_a_variable_', token.string):
                kinds[int(i)] = kind
    except (tokenize.TokenError, SyntaxError) as error:
        raise ValueRefusal(
            f'Config {name!r} is not valid Python: {error}. Correct the file.'
        ) from error
    return kinds


def _escaped(value: str, where: str, what: str) -> str:
    """A value within a string that begins with ``where``."""
    if where == '#':
        return ''
    prefix = where.rstrip('\'"').lower()
    if where == 'data' or 'r' in prefix or 'b' in prefix:
        # A raw string has no escapes, and JSON and YAML have other ones.
        if re.search(r'[\'"\\\n\r{}!&*#]|: ', value):
            raise ValueRefusal(
                f'{what} is {value!r}. The config uses it where quotes, '
                'backslashes and braces cannot be written. Choose a name '
                'without them, or write the config as Python without raw '
                'strings.'
            )
        return value
    text = value.encode('unicode_escape').decode('ascii')
    # mmengine and f-strings give braces a meaning.
    return text.translate({ord(c): f'\\x{ord(c):02x}' for c in '\'"{}'})


def _literal(name: str, value: str, default: str) -> str:
    """The literal that a value outside of strings is written as."""
    kind = None
    with suppress(ValueError, SyntaxError):
        kind = type(ast.literal_eval(default))
    wanted = {int: 'a whole number', float: 'a number'}.get(
        kind, 'a number, or a string in quotes'
    )
    try:
        if kind is int:
            return repr(int(value))
        if kind is float:
            # Neither nan nor inf is a literal.
            return f"float('{float(value)!r}')"
        return repr(ast.literal_eval(value))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        example = default or 'VALUE'
        raise ValueRefusal(
            f'The environment variable {name} is {value!r}, but must be '
            f'{wanted}. Type for example export {name}={example}.'
        ) from None
