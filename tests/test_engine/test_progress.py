"""Bookkeeping of a run's position."""

from bissl_mm.engine.loop.progress import Progress


def test_means_are_taken_and_smallest_values_kept():
    progress = Progress()
    for curvature, loss in ((2.0, 1.0), (-1.0, 2.0), (3.0, 6.0)):
        progress.record('upper', dict(min_curvature=curvature, loss=loss))
    progress.record('lower', dict(loss=4.0))
    assert progress.pop_means() == {
        'upper/min_curvature': -1.0,
        'upper/loss': 3.0,
        'lower/loss': 4.0,
    }
    assert progress.pop_means() == {}


def test_state_goes_through_plain_data():
    progress = Progress(phase='upper', alternation=3, step=2)
    progress.record('upper', dict(loss=1.0))
    copy = Progress(**progress.to_dict())
    assert copy == progress
    assert copy.name() == '3_upper_2'
    assert copy.describe() == 'alternation 4, upper level, after 2 steps'


def test_whole_alternations_are_named_by_their_number():
    assert Progress(phase='lower', alternation=3).name() == '3'
    assert Progress().name() == '0_head_warmup_0'
