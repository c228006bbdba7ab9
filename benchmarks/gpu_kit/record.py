"""A record as JSON and as a table."""

import math


def show(value) -> str:
    if isinstance(value, float):
        return f'{value:.4g}'
    if isinstance(value, dict):
        return '{' + ', '.join(f'{k} {show(v)}' for k, v in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(map(show, value)) + ']'
    return str(value)


def plain(value):
    """As JSON takes it: no NaN, no infinity."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(record: dict) -> str:
    """All rows, a line each, for people."""
    lines = ['| part | row | figures |', '| --- | --- | --- |']
    for name, part in record['parts'].items():
        for row in part['rows']:
            figures = ', '.join(
                f'{k} {show(v)}'
                for k, v in row.items()
                if k not in ('row', 'details') and v is not None
            )
            lines.append(f'| {name} | {row["row"]} | {figures} |')
        text = f'**{part["status"]}**'
        if 'traceback' in part:
            text += ': ' + part['traceback'].strip().splitlines()[-1]
        lines.append(f'| {name} | {part["seconds"]:.0f} s | {text} |')
    return '\n'.join(lines)
