"""Pictures of a report."""

import warnings

import pytest

from bissl_mm.experiments.report import pictures
from bissl_mm.experiments.report.table import Entry, Table


@pytest.fixture
def panels(monkeypatch):
    """Titles of the panels and lines of each, by picture."""
    seen = []

    def look(figure):
        seen.append(
            {
                axes.get_title(): axes.get_legend_handles_labels()[1]
                for axes in figure.axes
            }
        )
        return 'data:'

    monkeypatch.setattr(pictures, 'embed', look)
    return seen


def test_a_table_of_top5_leaves_out_the_sets_without_it(panels):
    both = dict(pets=Entry([50.0, 51.0], 2), voc07=Entry([70.0, 71.0], 2))
    rows = {('FT', None): both, ('BiSSL+FT', 5): both, ('BiSSL+FT', 10): both}
    top5 = {row: dict(pets=entries['pets']) for row, entries in rows.items()}
    columns = ['pets', 'voc07']
    tables = [Table('SimCLR', columns, rows), Table('SimCLR, top5', columns, top5)]
    names = [title for title, _ in pictures.pictures_of(tables)]
    assert names[:2] == ['SimCLR', 'SimCLR, top5']
    lines = ['FT', 'BiSSL+FT']
    for picture, tasks in zip(panels, (columns, ['pets']), strict=False):
        assert {task: sorted(texts) for task, texts in picture.items()} == {
            task: sorted(lines) for task in tasks
        }


def test_panels_without_a_result_have_no_legend(panels):
    entry = Entry([], 2, curves=[], search=[])
    rows = {('FT', None): dict(pets=entry), ('BiSSL+FT', 5): dict(pets=entry)}
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        pictures.pictures_of([Table('SimCLR', ['pets'], rows)])
    assert panels and all(not any(picture.values()) for picture in panels)
