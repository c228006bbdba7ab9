"""The look over the data as one table."""

from typing import List

from .findings import Look


def table_lines(look: Look) -> List[str]:
    """Lines of the table: a row a part."""
    lines = ['Data looked over:']
    for part in look:
        number = len(part.dataset) if part.dataset is not None else '?'
        lines.append(f'  {part.name:8} {number:>8} samples')
    return lines
