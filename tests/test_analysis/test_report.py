"""The page of a demo, made from values only."""

from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError

from bissl_mm.analysis.demo.tasks import ARMS
from bissl_mm.analysis.report import write_report


class Parts(HTMLParser):
    """Texts of all elements of a kind, and whether all elements are closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.texts = [], {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag not in ('meta', 'img', 'br'):
            self.open.append(tag)
            self.texts.setdefault(tag, []).append('')

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.open:
            self.texts[tag][-1] += data


def values(**others):
    given = dict(
        title='BiSSL: a task',
        arms=ARMS,
        budget=dict(settings=7, seeds=3),
        caveat='No more than it says.',
        comparisons=['one', 'another'],
        counts=dict(pretext=90, train=50, val=20, test=30),
        labeled='labeled pictures',
        note='Pictures of digits.',
        num_lower_steps=400,
        num_stages=2,
        quick=False,
        unlabeled='pictures',
        stage_rows=[('mean of', 'all'), ('FT', '50.0')],
        strip_plot='data:,a',
        result_rows=[('arm', 'mean'), ('FT', '50.00')],
        predictions=None,
        samples='data:,b',
        level_curves='data:,c',
        assumption_curves=None,
        data_distance=None,
        backbone_curves='data:,d',
        features=None,
        seconds=[('pretext', 12.3), ('bissl', 4.0)],
        cores=2,
        torch='2',
        version='1',
    )
    assert others.keys() <= given.keys()
    return {**given, **others}


def page_of(folder, **others):
    path = folder / 'report.html'
    write_report(str(path), 'demo.html', **values(**others))
    return path.read_text(encoding='utf-8')


def test_what_comes_from_the_user_is_text_in_the_report(tmp_path):
    name = '<i>A & B</i>'
    page = page_of(
        tmp_path, note=name, comparisons=[name], stage_rows=[('mean of',), (name,)]
    )
    assert '<i>' not in page
    parts = Parts(page)
    assert parts.open == [] and parts.texts['td'][0] == name
    assert page.count('&lt;i&gt;A &amp; B') == 3


def test_parts_come_with_what_they_show(tmp_path):
    plain = page_of(tmp_path)
    assert Parts(plain).texts['h2'] == [
        'The pictures',
        'Both levels',
        'The two backbones',
        'Time',
    ]
    assert plain.count('<img ') == 4 and 'quick run' not in plain
    full = page_of(
        tmp_path,
        quick=True,
        predictions='data:,e',
        features=dict(
            neighbours=dict(zip(ARMS, (61.04, 72.0, 83.0), strict=True)),
            scatter='data:,f',
        ),
    )
    assert full.count('<img ') == 6 and 'the figures mean nothing' in full
    assert '61.0% after pretraining' in ' '.join(full.split())
    assumed = page_of(tmp_path, assumption_curves='data:,g')
    assert assumed.count('<img ') == 5 and 'energy coefficient' not in assumed
    measured = page_of(tmp_path, assumption_curves='data:,g', data_distance=0.1234)
    assert 'features is 0.123 (energy coefficient' in ' '.join(measured.split())


def test_the_first_row_of_a_table_is_its_head(tmp_path):
    texts = Parts(page_of(tmp_path)).texts
    assert texts['th'] == ['mean of', 'all', 'arm', 'mean']
    assert texts['td'] == ['FT', '50.0', 'FT', '50.00']


def test_a_value_that_is_missing_is_an_error(tmp_path):
    given = values()
    del given['caveat']
    with pytest.raises(UndefinedError, match='caveat'):
        write_report(str(tmp_path / 'report.html'), 'demo.html', **given)
    assert list(tmp_path.iterdir()) == []
