"""The processes of the tests of several ranks."""

import time

import pytest
from dist_pool import Pool


def number(rank, world, value):
    return value + rank


def fails_first(rank, world):
    """The other rank answers when nobody listens any more."""
    if rank == 0:
        raise ValueError('of rank 0')
    time.sleep(0.5)
    return 'late'


def test_an_answer_after_a_failure_is_not_that_of_the_next_test():
    pool = Pool(2)
    try:
        assert pool.run(number, 1) == [1, 2]
        with pytest.raises(RuntimeError, match='of rank 0'):
            pool.run(fails_first)
        time.sleep(1)
        assert pool.run(number, 5) == [5, 6]
    finally:
        pool.close()
