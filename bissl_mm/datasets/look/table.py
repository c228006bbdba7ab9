"""Shows a look over the data as a table."""

from .findings import Look
from .parts import MAX_HEADERS, MAX_PIXELS, PartLook

#: Number of classes per split that the log shows with their counts.
NAMED = 8


def table_lines(look: Look, whole: bool = False) -> list[str]:
    """Lines of the table.

    Each split has its numbers, its classes with counts, and what is left out.

    Args:
        look (Look): The findings of the checks.
        whole (bool): Whether to name every class. Defaults to False: if there
            are more than ``NAMED``, only the classes with the highest and the
            lowest count are named, and those without any.
    """
    if all(part.dataset is None for part in look):
        # The data were refused before any dataset was built.
        return []
    lines = [
        'Data, headers and pixels of all files:'
        if look.everything
        else f'Data looked over (headers of at most {MAX_HEADERS} files per '
        f'split, pixels of {MAX_PIXELS}; tools/check_data.py CONFIG reads all):'
    ]
    for part in look:
        lines += _part_lines(part, whole)
    return lines


def _part_lines(part: PartLook, whole: bool) -> list[str]:
    if part.dataset is None:
        return [f'  {part.name:<8}not read']
    facts = ''.join(f', {title} {value}' for title, value in part.facts.items())
    lines = [f'  {part.name:<8}{len(part.dataset)} samples{facts}']
    for title in dict.fromkeys(
        title for counts in part.classes.values() for title in counts
    ):
        counts = {
            name: counts[title]
            for name, counts in part.classes.items()
            if title in counts
        }
        lines.append(
            f'{"":10}{title} of {len(counts)} classes: {_counts(counts, whole)}'
        )
    shown = part.left_out if whole else part.left_out[:3]
    lines += [f'{"":10}left out: {line}' for line in shown]
    if len(shown) < len(part.left_out):
        lines.append(f'{"":10}left out: {len(part.left_out) - len(shown)} more kinds')
    return lines


def _counts(counts: dict[str, int], whole: bool) -> str:
    if whole or len(counts) <= NAMED:
        return ', '.join(f'{name} {n}' for name, n in counts.items())
    ordered = sorted(counts, key=lambda name: -counts[name])
    zero = [name for name in ordered if not counts[name]]
    some = [name for name in ordered if counts[name]]
    text = ''
    if some:
        most, least = some[0], some[-1]
        text = (
            f'each {counts[most]}'
            if counts[most] == counts[least]
            else (f'most {most} {counts[most]}, least {least} {counts[least]}')
        )
    if zero:
        more = ', ...' * (len(zero) > NAMED)
        text += (
            f'{", " * bool(text)}none of {len(zero)}: {", ".join(zero[:NAMED])}{more}'
        )
    return text
