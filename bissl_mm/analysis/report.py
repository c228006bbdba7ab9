"""A report of one comparison as a single HTML file with its pictures."""

import base64
import html
import io
import math
from collections.abc import Sequence
from itertools import cycle

import matplotlib
import numpy as np

from ..utils.files import atomic_file
from .permutation_test import significance
from .scalars import Series

matplotlib.use('Agg')
from matplotlib import pyplot as plt

COLOURS = ('#7a8793', '#c2512f', '#2f6f9f', '#4d8b57')
STYLE = {
    'font.size': 11,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.alpha': 0.25,
    'figure.dpi': 110,
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 17px/1.55 system-ui, sans-serif; max-width: 62rem;
  margin: 2.5rem auto; padding: 0 1.2rem; color: #23282d;
  background: #fbfaf8; }}
h1 {{ font-size: 1.9rem; margin-bottom: .2rem; }}
h2 {{ margin-top: 2.6rem; border-bottom: 2px solid #e4dfd6; }}
p.lead {{ font-size: 1.15rem; color: #4a5259; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ padding: .4rem .9rem; text-align: right;
  border-bottom: 1px solid #e4dfd6; }}
th:first-child, td:first-child {{ text-align: left; }}
img {{ max-width: 100%; height: auto; }}
.headline {{ font-size: 1.35rem; background: #fff; padding: 1rem 1.3rem;
  border-left: 5px solid {accent}; }}
small {{ color: #6b737a; }}
</style></head><body>
{body}
</body></html>
"""


def write_report(path: str, title: str, sections: Sequence[str]) -> None:
    """Write the page.

    Args:
        path (str): HTML file.
        title (str): Heading.
        sections (Sequence[str]): HTML of the parts, see the functions below.
    """
    body = f'<h1>{html.escape(title)}</h1>\n' + '\n'.join(sections)
    with atomic_file(path) as file:
        file.write(PAGE.format(title=html.escape(title), body=body, accent=COLOURS[1]))


def headline(outcome: dict, metric: str) -> str:
    """The result of two arms in one sentence."""
    first, second = outcome['arms']
    difference, p_value = outcome['difference'], outcome['p_value']
    numbers = len(first['test']), len(second['test'])
    if p_value is None:
        verdict = 'not tested'
    elif 2 / math.comb(sum(numbers), numbers[0]) >= 0.05:
        verdict = 'too few seeds to tell'
    elif p_value >= 0.05:
        verdict = 'no clear difference'
    else:
        verdict = 'better' if difference > 0 else 'worse'
    names = [html.escape(arm['name']) for arm in (first, second)]
    return (
        f'<p class="headline">{names[1]} {second["mean"]:.1f}% '
        f'against {names[0]} {first["mean"]:.1f}% '
        f'{html.escape(metric)}: <b>{difference:+.1f}</b>, {verdict} '
        f'({html.escape(significance(outcome))}, '
        f'{numbers[0]} and {numbers[1]} seeds).</p>'
    )


def result_table(outcome: dict) -> str:
    """Mean, standard deviation, chosen setting and time of each arm."""
    rows = [('arm', 'mean', 'std', 'best', 'worst', 'lr', 'weight decay', 'seconds')]
    for arm in outcome['arms']:
        test = arm['test'] or [math.nan]
        # None was chosen where no run of the search gave a number.
        setting = arm['setting'] or dict(lr=math.nan, weight_decay=math.nan)
        rows.append(
            (
                arm['name'],
                f'{arm["mean"]:.2f}',
                f'{arm["std"]:.2f}',
                f'{np.max(test):.1f}',
                f'{np.min(test):.1f}',
                f'{setting["lr"]:.2g}',
                f'{setting["weight_decay"]:.2g}',
                f'{arm["seconds"]:.0f}',
            )
        )
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """An HTML table; the first row is its head."""
    lines = []
    for i, row in enumerate(rows):
        tag = 'td' if i else 'th'
        cells = ''.join(f'<{tag}>{html.escape(str(c))}</{tag}>' for c in row)
        lines.append(f'<tr>{cells}</tr>')
    return '<table>' + ''.join(lines) + '</table>'


def section(title: str, text: str, *pictures: str) -> str:
    """A heading, a paragraph of HTML and pictures."""
    return f'<h2>{html.escape(title)}</h2>\n<p>{text}</p>\n' + '\n'.join(pictures)


def strip_plot(outcome: dict, metric: str, num_stages: int = 1) -> str:
    """Every seed of every arm as a dot; each stage has a form of its own."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.5, 0.9 + 0.85 * len(outcome['arms'])))
        for i, arm in enumerate(outcome['arms']):
            jitter = np.linspace(-0.16, 0.16, len(arm['test']))
            parts = np.array_split(np.arange(len(arm['test'])), num_stages)
            for part, form in zip(parts, cycle('os^Dv')):
                axes.scatter(
                    np.take(arm['test'], part),
                    i + jitter[part],
                    color=COLOURS[i],
                    s=42,
                    alpha=0.8,
                    marker=form,
                )
            axes.errorbar(
                arm['mean'],
                i + 0.33,
                xerr=arm['std'],
                fmt='d',
                color=COLOURS[i],
                capsize=4,
            )
        axes.set_yticks(
            range(len(outcome['arms'])), [arm['name'] for arm in outcome['arms']]
        )
        axes.set_ylim(-0.5, len(outcome['arms']) - 0.3)
        axes.set_xlabel(metric)
        return _embed(figure)


def curves(panels: Sequence[tuple[str, str, dict[str, Series], bool]]) -> str:
    """Panels of curves side by side.

    Args:
        panels (Sequence): Title, label of the horizontal axis, series by
            label, and whether the vertical axis is logarithmic.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            1, len(panels), figsize=(4.4 * len(panels), 3.2), squeeze=False
        )
        for axes, (title, label, lines, logarithmic) in zip(
            grid[0], panels, strict=True
        ):
            for colour, (name, series) in zip(
                COLOURS[1:] + COLOURS[:1],
                lines.items(),
                # There are more colours than curves.
                strict=False,
            ):
                axes.plot(
                    series['step'],
                    series['value'],
                    color=colour,
                    label=name,
                    linewidth=1.6,
                )
            axes.set_title(title)
            axes.set_xlabel(label)
            if logarithmic:
                axes.set_yscale('log')
            if len(lines) > 1:
                axes.legend(frameon=False, fontsize=9)
        figure.tight_layout()
        return _embed(figure)


def scatter_pair(
    titles: Sequence[str],
    points: Sequence[np.ndarray],
    labels: np.ndarray,
    names: Sequence[str],
) -> str:
    """Embedded features side by side, coloured by class."""
    with plt.rc_context({**STYLE, 'axes.grid': False}):
        figure, grid = plt.subplots(1, len(points), figsize=(5.2 * len(points), 4.9))
        colours = plt.get_cmap('tab10' if len(names) <= 10 else 'tab20')
        for axes, title, xy in zip(grid, titles, points, strict=True):
            for i, name in enumerate(names):
                chosen = labels == i
                axes.scatter(
                    *xy[chosen].T, s=11, color=colours(i % colours.N), label=name
                )
            axes.set_title(title)
            axes.set_xticks([])
            axes.set_yticks([])
        figure.tight_layout(rect=(0, 0.08, 1, 1))
        if len(names) <= colours.N:
            figure.legend(
                *grid[0].get_legend_handles_labels(),
                loc='lower center',
                ncols=min(10, len(names)),
                frameon=False,
                markerscale=2,
                columnspacing=1.0,
                handletextpad=0.1,
            )
        return _embed(figure)


def picture_rows(rows: dict[str, list[np.ndarray]], width: float = 0.85) -> str:
    """Rows of pictures, each with its name; ``width`` of one in inches."""
    with plt.rc_context({'font.size': 10}):
        number = max(len(row) for row in rows.values())
        figure, grid = plt.subplots(
            len(rows),
            number,
            figsize=(width * number, (width + 0.3) * len(rows)),
            squeeze=False,
        )
        for axes_row, (name, row) in zip(grid, rows.items(), strict=True):
            for axes in axes_row:
                axes.axis('off')
            # A shorter row leaves its last places empty.
            for axes, picture in zip(axes_row, row, strict=False):
                axes.imshow(picture, cmap='gray')
            axes_row[0].set_title(name, loc='left')
        figure.tight_layout(h_pad=0.6)
        return _embed(figure)


def _embed(figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', bbox_inches='tight')
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="">'
