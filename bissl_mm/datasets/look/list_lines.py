"""Reads the lines of a plain text list as a library does."""

from collections.abc import Callable
from typing import Any, NamedTuple

from .findings import Look

#: Byte-order marks with which UTF-8 and UTF-16 files may begin.
_MARK = b'\xef\xbb\xbf'
_MARKS_16 = (b'\xff\xfe', b'\xfe\xff')
_WITHOUT_BLANK = "sed -i '/^[[:space:]]*$/d' {path!r}"
_WITHOUT_MARK = r"sed -i '1s/^\xEF\xBB\xBF//' {path!r}"


class TextList(NamedTuple):
    """A list that a dataset will read.

    Args:
        key (str): Its dotted key in the config.
        path (str): The file.
        labelled (bool): Whether a line ends in a blank and a number.
        image_of (Callable, optional): Gives the file for a name; None if the
            names are not files.
    """

    key: str
    path: str
    labelled: bool
    image_of: Callable[[str], str] | None


def decoded_lines(look: Look, given: TextList, content: bytes) -> list[str] | None:
    """The lines as mmengine's ``list_from_file`` takes them."""
    if content.startswith(_MARKS_16):
        look.refuse(
            f'{given.key}: {given.path!r} is UTF-16, but is read as '
            'UTF-8. Save it as UTF-8, for example with iconv -f UTF-16 -t UTF-8.'
        )
        return None
    try:
        text = content.decode('utf-8')
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b'\n') + 1
        look.refuse(
            f'{given.key}: {given.path!r}, line {line} is not UTF-8. '
            'Save the file as UTF-8, for example with iconv -f '
            'LATIN1 -t UTF-8.'
        )
        return None
    if content.startswith(_MARK):
        look.refuse(
            f'{given.key}: {given.path!r} begins with a byte-order mark, '
            'which would become part of the first name. Remove it: '
            + _WITHOUT_MARK.format(path=given.path)
        )
        text = text[1:]
    # All kinds of newlines are accepted, and the last line may lack its own.
    lines = text.replace('\r\n', '\n').replace('\r', '\n').split('\n')
    return lines[:-1] if lines[-1] == '' else lines


def read_line(line: str, labelled: bool) -> Any:
    """Name and label in a line, and what is wrong with it."""
    if not line.strip():
        return '', '', 'is blank. Remove blank lines: ' + _WITHOUT_BLANK
    if not labelled:
        return line, '', ''
    name, blank, label = line.strip().rpartition(' ')
    if blank:
        try:
            int(label)
            return name, label, ''
        except ValueError:
            pass
    for sign, title in (('\t', 'a tab'), (',', 'a comma'), (';', 'a semicolon')):
        if sign in line:
            return (
                '',
                '',
                (f'has {title} between name and label ({{line!r}}). Write a blank.'),
            )
    if not blank:
        return (
            '',
            '',
            (
                'has no label ({line!r}). Write the name, a blank '
                'and the number of the class.'
            ),
        )
    return (
        '',
        '',
        (
            'does not end in a whole number ({line!r}). Write the number of the '
            'class, counted from 0 in the order of the classes, not its name.'
        ),
    )
