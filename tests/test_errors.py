"""Refusals and bugs are distinguished, by class and at the end of a tool."""

import argparse
import ast
import builtins
import logging

import pytest
from conftest import ROOT
from mmengine.registry import DATASETS, FUNCTIONS
from torch.utils.data import DataLoader

from bissl_mm import command_line
from bissl_mm.engine import launch
from bissl_mm.utils import errors
from bissl_mm.utils.errors import (
    KeyRefusal,
    Refusal,
    ValueRefusal,
    refusal_in,
    refusal_text,
)

#: Raised for mistakes of the code that calls, whose traceback is needed.
INTERNAL = {
    # Ends a run of five steps.
    ('bissl_mm/analysis/start.py', '_Enough'),
    # The error of a worker process, of the same class, with the name of its run.
    ('bissl_mm/analysis/runs/workers.py', '_named'),
    ('bissl_mm/datasets/seeded_dataset.py', 'AssertionError'),
    # Any error in a transform, with the sample's file.
    ('bissl_mm/datasets/seeded_dataset.py', 'RuntimeError'),
    ('bissl_mm/engine/steps/optim_wrapper.py', 'RuntimeError'),
    # The refusal of the dry run's own process.
    ('bissl_mm/engine/memory/command.py', 'result'),
    # The exit status after a signal.
    ('bissl_mm/engine/loop/bookkeeping.py', 'SystemExit'),
    # A stand-in that no solver applies.
    ('bissl_mm/engine/steps/system_checks.py', 'AssertionError'),
    ('bissl_mm/hypergradient/operators/curvature.py', 'RuntimeError'),
    ('bissl_mm/hypergradient/linalg/vectors.py', 'ValueError'),
    ('bissl_mm/models/losses/functional.py', 'KeyError'),
    # Ends a loop over a data set.
    ('bissl_mm/text/chunks.py', 'IndexError'),
    # The loader catches it and refuses the file.
    ('bissl_mm/utils/pickled_objects.py', 'RefusedPickleError'),
    ('bissl_mm/utils/pickled_storages.py', 'RefusedPickleError'),
    ('bissl_mm/utils/restricted_pickle.py', 'RefusedPickleError'),
    # Ends a run after a few timed steps.
    ('bissl_mm/experiments/runs/timing.py', '_Enough'),
    # The exit status after a signal; and after Ctrl-C.
    ('bissl_mm/experiments/queue/pool.py', 'SystemExit'),
    ('bissl_mm/experiments/runs/launched.py', 'SystemExit'),
    ('tools/experiment.py', 'SystemExit'),
    ('tools/compare_arms.py', 'SystemExit'),
    ('tools/demo.py', 'SystemExit'),
}
CLASSES = [
    c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Refusal)
]


def trees():
    for folder in ('bissl_mm', 'tools'):
        for path in sorted((ROOT / folder).rglob('*.py')):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def test_every_raise_is_a_refusal_or_listed_as_internal():
    refusals = {c.__name__ for c in CLASSES}
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                kinds = {ast.unparse(base) for base in node.bases}
            # A function whose result is raised.
            elif isinstance(node, ast.FunctionDef) and node.returns:
                kinds = {ast.unparse(node.returns)}
            else:
                continue
            if kinds & refusals:
                refusals.add(node.name)
    others = set()
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                name = ast.unparse(node.exc).split('(')[0]
                if name not in refusals:
                    others.add((path, name))
    assert others == INTERNAL


@pytest.mark.parametrize('cls', CLASSES, ids=lambda c: c.__name__)
def test_a_refusal_is_the_built_in_error_of_its_name(cls):
    assert str(cls("sampler 'a' is unknown.")) == "sampler 'a' is unknown."
    if cls is not Refusal:
        name = cls.__name__.replace('Refusal', 'Error')
        assert issubclass(cls, getattr(builtins, name))


@DATASETS.register_module(force=True)
class RefusesKey:
    def __init__(self):
        raise KeyRefusal("key 'a' is unknown.")


@pytest.mark.parametrize(
    'cfg, text',
    [
        (
            dict(type='bissl_mm.StratifiedPart', dataset=None, share=2.0),
            'StratifiedPart: share must be between 0 and 1, but is 2.0. Write for '
            'example share=0.8.',
        ),
        (dict(type='mmengine.RefusesKey'), "key 'a' is unknown."),
    ],
)
def test_registries_leave_a_refusal_recognisable(cfg, text):
    with pytest.raises(Exception) as info:
        DATASETS.build(cfg)
    assert refusal_text(refusal_in(info.value)) == text


class RefusesSamples:
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise ValueRefusal(f'sample {index}: too small.')


def test_workers_leave_a_refusal_recognisable():
    with pytest.raises(ValueError) as info:
        next(iter(DataLoader(RefusesSamples(), num_workers=1)))
    assert refusal_text(refusal_in(info.value)) == 'sample 0: too small.'


def test_only_an_explicit_cause_makes_a_refusal():
    with pytest.raises(LookupError) as info:
        try:
            raise ValueRefusal('no.')
        except ValueRefusal as refusal:
            raise LookupError('of a library') from refusal
    assert str(refusal_in(info.value)) == 'no.'
    with pytest.raises(TypeError) as info:
        try:
            raise ValueRefusal('no.')
        except ValueRefusal:
            1 + 'a bug while it was handled'
    assert refusal_in(info.value) is None


def ends_with(main, monkeypatch, capsys) -> str:
    def leave(status):
        raise SystemExit(status)

    monkeypatch.setattr(command_line, 'end_process', leave)
    # Loggers of earlier tests write to what those captured, which is closed.
    monkeypatch.setattr(logging, 'raiseExceptions', False)
    with pytest.raises(SystemExit, match='1'):
        command_line.run_tool(main)
    return capsys.readouterr().err


def test_a_bug_of_the_package_prints_its_traceback(monkeypatch, capsys):
    def main(argv):
        launch.load_config(argparse.Namespace())

    error = ends_with(main, monkeypatch, capsys)
    assert error.startswith('Traceback') and 'launch.py' in error
    assert error.splitlines()[-1].startswith('[rank 0] AttributeError: ')


def test_a_refusal_prints_one_sentence(monkeypatch, capsys):
    def main(argv):
        FUNCTIONS.build(dict(type='default_colate'))

    assert ends_with(main, monkeypatch, capsys) == (
        "[rank 0] no function is registered as 'default_colate'. Did you mean "
        "'default_collate'? Import a class of your own with "
        'custom_imports.\n'
    )

    def main(argv):
        DATASETS.build(dict(type='bissl_mm.StratifiedPart', dataset=None, share=2.0))

    assert ends_with(main, monkeypatch, capsys) == (
        '[rank 0] StratifiedPart: share must be between 0 and 1, but is 2.0. '
        'Write for example share=0.8.\n'
    )
