"""Order, resuming and replaying of the data streams."""

import pytest
import torch
from mmengine.registry import DefaultScope
from torch.utils.data import IterableDataset
from toy import DictDataset

from bissl_mm.datasets import LevelBatchSampler, LevelStream
from bissl_mm.registry import MODELS


def sampler(size=23, batch_size=2, phase_size=3, **kwargs):
    return LevelBatchSampler(size, batch_size, phase_size, 'lower', 0, **kwargs)


def indices(keys):
    return [i for _, i in keys]


def test_a_phase_never_repeats_a_sample_and_passes_end_early():
    given = sampler()
    # 11 batches per pass and 3 per phase: 3 phases, and 2 batches are left over.
    for phase in range(7):
        batches = [given.keys(3 * phase + i) for i in range(3)]
        flat = [i for b in batches for i in indices(b)]
        assert len(set(flat)) == 6
        assert {p for b in batches for p, _ in b} == {phase // 3}
    one_pass = [i for n in range(9) for i in indices(given.keys(n))]
    assert len(set(one_pass)) == 18


def test_small_datasets_are_used_batch_by_batch():
    given = sampler(size=7, batch_size=3, phase_size=8)
    passes = [given.place(n) for n in range(5)]
    assert passes == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    for data_pass in range(3):
        flat = indices(given.keys(2 * data_pass)) + indices(
            given.keys(2 * data_pass + 1)
        )
        assert len(set(flat)) == 6


def test_order_is_a_function_of_seed_level_and_pass():
    assert sampler().keys(4) == sampler().keys(4)
    assert sampler().keys(0) != LevelBatchSampler(23, 2, 3, 'lower', 1).keys(0)
    assert sampler().keys(0) != LevelBatchSampler(23, 2, 3, 'upper', 0).keys(0)
    first = [i for n in range(9) for i in indices(sampler().keys(n))]
    second = [i for n in range(9, 18) for i in indices(sampler().keys(n))]
    assert first != second
    unshuffled = sampler(shuffle=False)
    assert indices(unshuffled.keys(0)) == [0, 1]
    # A pass takes 18 of 23 samples, and the next pass continues from there.
    assert indices(unshuffled.keys(9)) == [18, 19]
    assert indices(unshuffled.keys(11)) == [22, 0]


@pytest.mark.parametrize(
    'size, batch, phase, world',
    [
        (103, 8, 5, 1),
        (103, 4, 5, 2),
        (23, 2, 3, 1),
        (7, 3, 8, 1),
        (9, 4, 1, 1),
        (64, 8, 4, 1),
    ],
)
def test_without_shuffling_every_sample_is_shown(size, batch, phase, world):
    ranks = [
        LevelBatchSampler(size, batch, phase, 'upper', 0, rank, world, shuffle=False)
        for rank in range(world)
    ]
    batches = [[key for rank in ranks for key in rank.keys(n)] for n in range(4 * size)]
    seen = [i for b in batches for i in indices(b)]
    # In order, again and again: no sample is seen two times more than another.
    assert seen == [i % size for i in range(len(seen))]
    # B.4: no pass has a sample twice, and with enough data no phase has.
    groups = {}
    for n, keys in enumerate(batches):
        for key in keys:
            groups.setdefault(key[0], []).append(key[1])
        if size >= phase * batch * world and n % phase == 0:
            flat = [i for b in batches[n : n + phase] for i in indices(b)]
            assert len(set(flat)) == len(flat)
    assert all(len(set(g)) == len(g) for g in groups.values())


def test_an_order_of_an_earlier_version_is_not_taken_up():
    def given():
        return LevelStream(
            dict(
                dataset=Noisy([None] * 23),
                batch_size=2,
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            'lower',
            3,
        )

    first = given()
    first.start(0)
    drawn(first, 10)
    state = first.state_dict()
    given().start(0, state)
    del state['order']
    with pytest.raises(ValueError, match='order is goes on now but was None'):
        given().start(0, state)


def test_ranks_share_the_batch_of_one_process():
    whole = sampler(batch_size=4)
    parts = [sampler(batch_size=2, rank=r, world_size=2) for r in range(2)]
    for n in range(12):
        assert whole.keys(n) == parts[0].keys(n) + parts[1].keys(n)


def test_far_positions_cost_no_iteration():
    assert sampler().place(3_000_001) == (333333, 4)


class Noisy(DictDataset):
    """Samples that draw from every generator."""

    def __getitem__(self, index):
        import random

        import numpy as np

        return dict(
            index=index,
            values=(random.random(), np.random.rand(), torch.rand(1).item()),
        )


def stream(workers=0, seed=0, **kwargs):
    given = LevelStream(
        dict(dataset=Noisy([None] * 23), batch_size=2, num_workers=workers),
        'lower',
        3,
        **kwargs,
    )
    given.start(seed)
    return given


def drawn(given, number):
    return [given.next() for _ in range(number)]


@pytest.mark.parametrize('workers', [0, 2])
def test_resumed_stream_gives_the_same_samples(workers):
    whole = drawn(stream(), 20)
    first = stream(workers)
    head = drawn(first, 7)
    state = first.state_dict()
    first.close()
    second = LevelStream(
        dict(dataset=Noisy([None] * 23), batch_size=2, num_workers=workers), 'lower', 3
    )
    second.start(0, state)
    assert head + drawn(second, 13) == whole
    second.close()


def test_any_batch_can_be_replayed():
    given = stream()
    batches = drawn(given, 5)
    assert given.batch_at(2) == batches[2]
    assert given.position == 5
    assert given.next() == stream().batch_at(5)


def test_augmentations_differ_between_samples_passes_and_levels():
    given = stream()
    values = {}
    for batch in drawn(given, 18):
        for index, value in zip(batch['index'], zip(*batch['values'])):
            values.setdefault(index, []).append(value)
    assert all(len(set(v)) == len(v) for v in values.values())
    assert max(len(v) for v in values.values()) == 2
    # No two samples of a pass have the same draws, nor has one on two levels.
    everything = [value for v in values.values() for value in v]
    assert len(set(everything)) == len(everything) == 36
    other = LevelStream(dict(dataset=given.dataset, batch_size=2), 'upper', 3)
    other.start(0)
    draws = {v for batch in drawn(other, 18) for v in zip(*batch['values'])}
    assert len(draws) == 36 and not draws & set(everything)


def test_loading_does_not_disturb_the_generators():
    given = stream()
    state = torch.get_rng_state()
    drawn(given, 4)
    assert torch.equal(torch.get_rng_state(), state)


def test_sibling_reads_the_same_data_in_its_own_order():
    given = stream()
    sibling = given.sibling('head_warmup')
    sibling.start(0)
    assert sibling.dataset is given.dataset
    batches = drawn(sibling, len(sibling))
    assert len({i for b in batches for i in b['index']}) == 22
    assert batches[0] != stream().next()
    assert given.position == 0


@pytest.mark.parametrize(
    'change, error, message',
    [
        (
            dict(batch_size=24),
            ValueError,
            'has 23 samples, fewer than one batch '
            'of 24 on each of 1 process.*at most 23',
        ),
        (dict(batch_size=0), ValueError, 'batch_size must be'),
        (dict(bach_size=2), TypeError, "Did you mean 'batch_size'"),
        (
            dict(sampler=dict(type='ClassAwareSampler')),
            ValueError,
            "sampler.type is 'ClassAwareSampler'",
        ),
        (
            dict(batch_sampler=dict(type='ClassBalancedBatches')),
            TypeError,
            'Set batch_sampler=None',
        ),
        (dict(collate_fn=dict(type='no_such')), KeyError, 'no_such'),
    ],
)
def test_bad_settings_are_named(change, error, message):
    cfg = {**dict(dataset=Noisy([None] * 23), batch_size=2), **change}
    with pytest.raises(error, match=message):
        LevelStream(cfg, 'lower', 3)


def test_two_processes_need_twice_the_samples():
    with pytest.raises(ValueError, match='12 on each of 2 process.* at most 11'):
        LevelStream(
            dict(dataset=Noisy([None] * 23), batch_size=12),
            'lower',
            3,
            rank=0,
            world_size=2,
        )


def test_iterable_datasets_are_refused():

    class Endless(IterableDataset):
        def __iter__(self):
            yield 0

    with pytest.raises(TypeError, match='iterable-style'):
        LevelStream(dict(dataset=Endless(), batch_size=1), 'lower', 1)


def batch_of(sizes, **settings):
    """The batch of a stream over images of these sizes."""
    images = [
        torch.full((3, size, size), i + 1, dtype=torch.uint8)
        for i, size in enumerate(sizes)
    ]
    samples = [dict(inputs=x, data_samples=i) for i, x in enumerate(images)]
    stream = LevelStream(
        dict(
            dataset=samples,
            batch_size=len(sizes),
            sampler=dict(type='DefaultSampler', shuffle=False),
            **settings,
        ),
        'upper',
    )
    stream.start(0)
    return stream.next()


@pytest.mark.parametrize('settings', [{}, dict(collate_fn=dict(type='pseudo_collate'))])
def test_images_of_one_size_are_stacked(settings):
    batch = batch_of([8, 8, 8], **settings)
    assert batch['inputs'].shape == (3, 3, 8, 8)
    assert batch['inputs'][:, 0, 0, 0].tolist() == [1, 2, 3]
    assert batch['data_samples'] == [0, 1, 2]
    assert [x.shape[1] for x in batch_of([8, 6, 8], **settings)['inputs']] == [8, 6, 8]


@pytest.mark.parametrize(
    'kind, others',
    [
        ('mmpretrain.ClsDataPreprocessor', dict(to_rgb=True)),
        ('mmpretrain.ClsDataPreprocessor', dict(pad_size_divisor=8)),
        ('ImgDataPreprocessor', dict(bgr_to_rgb=True, pad_size_divisor=8)),
    ],
)
def test_preprocessors_give_the_same_of_stacked_images(kind, others):
    stacked = batch_of([6, 6, 6])['inputs']
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        preprocessor = MODELS.build(
            dict(type=kind, mean=[9.0, 8.0, 7.0], std=[3.0, 2.0, 5.0], **others)
        )
    found = [
        preprocessor(dict(inputs=inputs), training=True)['inputs']
        for inputs in (stacked, list(stacked))
    ]
    assert torch.equal(*found)
