"""Writes a report as one HTML file that contains its pictures.

The functions below return a picture as a data address (``data:image/png``).
"""

import base64
import io
import math
import os.path as osp
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from mmengine.utils import mkdir_or_exist

from ..utils.check import check_in
from ..utils.files import atomic_file
from .scalars import Series

matplotlib.use('Agg')
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

COLOURS = ('#7a8793', '#c2512f', '#2f6f9f', '#4d8b57')
STYLE: dict[Any, Any] = {
    'font.size': 11,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.alpha': 0.25,
    'figure.dpi': 110,
}
_TEMPLATES = Environment(
    loader=PackageLoader('bissl_mm.analysis'),
    # Names of arms, classes and folders are text, not HTML.
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_report(path: str, template: str, **values: Any) -> None:
    """Write a page.

    Args:
        path (str): HTML file; its folder is made.
        template (str): File in this package's ``templates``, for example
            ``'demo.html'``.
        **values: Values for the names in the template.
    """
    page = _TEMPLATES.get_template(template).render(accent=COLOURS[1], **values)
    mkdir_or_exist(osp.dirname(osp.abspath(path)))
    with atomic_file(path) as file:
        file.write(page)


def result_rows(outcome: dict) -> list[tuple[str, ...]]:
    """Rows of a table with mean, deviation, chosen setting and time per arm.

    The first row is the head of the table.
    """
    rows = [('arm', 'mean', 'std', 'best', 'worst', 'lr', 'weight decay', 'seconds')]
    for arm in outcome['arms']:
        test = arm['test'] or [math.nan]
        # No setting was chosen if no run of the search gave a number.
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
    return rows


def strip_plot(outcome: dict, metric: str, num_stages: int = 1) -> str:
    """A picture with a dot per fine-tuning; each stage has its own marker."""
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
        return embed(figure)


#: Title, label of the horizontal axis, series by label, whether the vertical axis
#: is logarithmic.
Panel = tuple[str, str, dict[str, Series], bool]


def curves(panels: Sequence[Panel]) -> str:
    """Panels of curves side by side."""
    with plt.rc_context(STYLE):
        return embed(draw_curves(panels, len(panels)))


def save_curves(path: str, panels: Sequence[Panel]) -> None:
    """Write panels of curves, three in a row, as a picture.

    Args:
        path (str): Its ending is the format, for example ``.svg``; its folder is
            made.
        panels (Sequence): The panels.

    Raises:
        ValueError: If there is no such format.
    """
    form = path.rpartition('.')[2].lower()
    check_in('--out', 'the ending of the file', form, ('png', 'svg', 'pdf'))
    with plt.rc_context(STYLE):
        figure = draw_curves(panels, min(len(panels), 3))
        mkdir_or_exist(osp.dirname(osp.abspath(path)))
        with atomic_file(path, 'wb') as file:
            figure.savefig(file, format=form)
        plt.close(figure)


def draw_curves(panels: Sequence[Panel], columns: int) -> Figure:
    """Draw panels of curves, ``columns`` in a row."""
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(4.4 * columns, 3.2 * rows), squeeze=False
    )
    for axes in grid.flat[len(panels) :]:
        axes.axis('off')
    for axes, (title, label, lines, logarithmic) in zip(
        grid.flat, panels, strict=False
    ):
        for colour, (name, series) in zip(
            cycle(COLOURS[1:] + COLOURS[:1]), lines.items()
        ):
            axes.plot(
                series['step'], series['value'], color=colour, label=name, linewidth=1.6
            )
        axes.set_title(title)
        axes.set_xlabel(label)
        if logarithmic:
            axes.set_yscale('log')
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    return figure


def scatter_pair(
    titles: Sequence[str],
    points: Sequence[np.ndarray],
    labels: np.ndarray,
    names: Sequence[str],
) -> str:
    """t-SNE pictures side by side, coloured by class."""
    with plt.rc_context({**STYLE, 'axes.grid': False}):
        figure, ((*grid,),) = plt.subplots(
            1, len(points), figsize=(5.2 * len(points), 4.9), squeeze=False
        )
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
        return embed(figure)


def picture_rows(
    rows: Mapping[str, Sequence[np.ndarray] | np.ndarray], width: float = 0.85
) -> str:
    """Rows of pictures, each row with its name; ``width`` is in inches."""
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
        return embed(figure)


def embed(figure) -> str:
    """A figure of matplotlib as a data address; the figure is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', bbox_inches='tight')
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'data:image/png;base64,{data}'


def add_legend(axes) -> None:
    """A legend, if anything has a label; an empty one makes matplotlib warn."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=9)
