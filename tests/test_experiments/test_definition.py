"""Experiment files: what they say, and how wrong ones are refused."""

from collections import Counter

import experiment_files
import pytest
from conftest import ROOT

from bissl_mm.experiments.definition.experiment import read_experiment
from bissl_mm.experiments.runs.graph import Builder
from bissl_mm.experiments.runs.own_config import read_own
from bissl_mm.utils.errors import Refusal

TOOL = str(ROOT / 'tools/experiment.py')
#: A setting of a file, whose pretraining is not the experiment's.
FILE = dict(experiment_files.SETTINGS, pretext=None, pretrained=TOOL)
OWN = dict(pretext={'train_cfg.max_epochs': 3})


def test_file_is_read_and_options_replace_its_values(tmp_path):
    path = experiment_files.write(tmp_path, hours='two')
    found = read_experiment(path, 'small', {'seeds': 2})
    assert found.name == 'study' and found.preset == 'small' and found.seeds == 2
    assert [arm.name for arm in found.arms] == ['FT', 'BiSSL+FT']
    assert found.settings[0].name == '' and found.stages == 1


def test_values_of_several_keys_vary_together(tmp_path):
    vary = dict(
        name='N_L',
        stage={
            'train_cfg.num_lower_steps': [1, 2],
            'param_scheduler.lower.0.end': [3, 4],
        },
        fine_tune={'train_cfg.max_epochs': [5, 6]},
    )
    found = read_experiment(experiment_files.write(tmp_path, vary=vary)).vary
    assert found.name == 'N_L' and found.values == (1, 2)
    assert found.options[1] == dict(
        stage={'train_cfg.num_lower_steps': 2, 'param_scheduler.lower.0.end': 4},
        fine_tune={'train_cfg.max_epochs': 6},
    )


@pytest.mark.parametrize(
    'changes, text',
    [
        (dict(task=['x']), "unknown key 'task'. Did you mean 'tasks'"),
        (dict(tasks=['imagefolder-32']), "Did you mean 'imagefolder-32px'"),
        (dict(tasks=[]), 'tasks is missing'),
        (dict(tasks=['pets', 3]), 'tasks must be a list of names or a dict'),
        (dict(tasks={'Mine': {}}), "task 'Mine' is none that r10_32px.py takes"),
        (dict(tasks={'Mine': dict(lik='x')}), "tasks.'Mine'.*Did you mean 'like'"),
        (
            dict(tasks={'Mine': dict(like='imagefolder-32px', stage=3)}),
            'stage must be a dict of options, but is 3',
        ),
        (dict(settings=dict(finetune='x')), "Did you mean 'fine_tune'"),
        (dict(settings=dict(fine_tune='fine_tune/r10.py')), 'does not exist'),
        (dict(settings=['x']), 'settings must be a dict'),
        (
            dict(settings=dict(fine_tune=experiment_files.SETTINGS['fine_tune'])),
            "arm 'FT' has no checkpoint to start from",
        ),
        (
            dict(settings=dict(experiment_files.SETTINGS, pretrained='no.pth')),
            "pretrained 'no.pth' does not exist",
        ),
        (
            dict(settings=dict(experiment_files.SETTINGS, released=dict(backbone='x'))),
            "released: head is missing|backbone 'x' does not exist",
        ),
        (
            dict(
                settings=dict(
                    experiment_files.SETTINGS, released=dict(backbone=TOOL, head='no')
                )
            ),
            "released: head 'no' does not exist",
        ),
        (dict(arms={'Mine': dict(checkpoint='no.pth')}), "'no.pth' does not exist"),
        (dict(search=dict(point=3)), "unknown key 'point'. Did you mean 'points'"),
        (dict(search=dict(points=[(0, 0.1)])), 'Write pairs of learning rate'),
        (dict(search=dict(settings=0)), 'settings must be a whole number'),
        (dict(search=dict(stages=2)), 'stages is 2, but each arm has 1'),
        (dict(search=dict(choice='loss')), "choice is 'loss'"),
        (dict(search=dict(loss_margin=-1)), 'loss_margin is -1. Write a share'),
        (
            dict(arms={'FT': dict(tasks=['pets'])}),
            "tasks: unknown key 'pets'. Did you mean 'imagefolder-32px'",
        ),
        (
            dict(arms=['Random initialization'], report=dict(kind='features')),
            "'Random initialization' starts from no backbone",
        ),
        (dict(seeds=0), 'seeds must be a whole number'),
        (dict(vary=dict(stage={'a': [1], 'b': [1, 2]})), 'all of the same length'),
        (
            dict(vary=dict(arms=['BiSSL'], stage={'a': [1]})),
            "vary.arms: unknown key 'BiSSL'. Did you mean 'BiSSL.FT'",
        ),
        (dict(vary=dict(stage={'a': 100})), 'vary.stage needs a list of values'),
        (dict(vary=dict(stage=5)), 'vary.stage needs a list of values.*but is 5'),
        (dict(vary=dict(stage={'a': [1]}, labels=3)), "vary needs.*'labels': 3"),
        (dict(vary=dict(labels=['a'])), 'needs one list of values for each key'),
        (dict(settings=FILE, arms={'FT': OWN}), "arm 'FT' .*setting lacks pretext"),
        (
            dict(settings=FILE, arms=['BiSSL+FT'], vary=dict(pretext={'a': [1]})),
            "arm 'BiSSL.FT' .*setting lacks pretext",
        ),
        (dict(search=dict(lr=[1, 0.1])), 'search: lr must be two numbers above 0'),
        (dict(search=dict(weight_decay=[0, 0.1])), 'weight_decay must be two numbers'),
        (dict(search=dict(grid=3)), 'a number of learning rates and one of weight'),
        (dict(search=dict(grid=[3, 0])), 'grid must be a whole number of at least 1'),
        (dict(processes=dict(stage='4')), 'processes: stage must be a whole number'),
        (dict(arms={'FT': dict(settings=0)}), "'FT'.: settings must be a whole number"),
        (dict(arms={'FT': dict(fine_tune=3)}), 'fine_tune must be a dict of options'),
        (dict(report=dict(kind='plot')), "report.kind is 'plot'"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(changes, text, tmp_path):
    path = experiment_files.write(tmp_path, **changes)
    with pytest.raises(Refusal, match=text) as found:
        read_experiment(path)
    assert '\n' not in str(found.value)


def test_values_that_are_lists_or_none_have_cells_of_their_own(tmp_path):
    vary = dict(name='clip', stage={'optim_wrapper.upper.clip_grad': [None, [1.0]]})
    experiment = read_experiment(experiment_files.write(tmp_path, vary=vary))
    assert experiment.vary.values == ('None', '[1.0]')
    options = [own['stage'] for own in experiment.vary.options]
    assert [*map(list, map(dict.values, options))] == [[None], [[1.0]]]


def test_none_is_the_default(tmp_path):
    nothing = dict(seeds=None, stages=None, vary=None, processes=None, report=None)
    search = dict(settings=None, lr=None, grid=None, points=None, choice=None)
    path = experiment_files.write(tmp_path, search=search, **nothing)
    found = read_experiment(path)
    plain = read_experiment(experiment_files.write(tmp_path, search=None, seeds=None))
    assert found == plain and found.stages == 1


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(Refusal, match='does not exist'):
        read_experiment(str(tmp_path / 'no.py'))
    (tmp_path / 'broken.py').write_text('tasks = [')
    with pytest.raises(Refusal, match='cannot be read'):
        read_experiment(str(tmp_path / 'broken.py'))


def test_sets_of_ones_own_are_options_for_a_shipped_task(tmp_path):
    """Each has its columns, folders and runs; the pretraining is shared."""
    root = {
        f'{part}_dataloader.dataset.dataset.data_root': 'own'
        for part in ('train', 'val', 'test')
    }
    own = dict(
        like='imagefolder-32px',
        stage={**root, 'model.downstream.head.num_classes': 7},
        fine_tune={**root, 'model.head.num_classes': 7},
    )
    tasks = {'mine': own, 'imagefolder-32px': {}}
    arms = ['FT', 'Data mix', 'BiSSL+FT']
    path = experiment_files.write(tmp_path, tasks=tasks, arms=arms)
    found = read_experiment(path)
    assert [(t.name, t.like) for t in found.tasks] == [
        ('mine', 'imagefolder-32px'),
        ('imagefolder-32px', 'imagefolder-32px'),
    ]
    builder = Builder(found)
    nodes = list(builder.graph())
    assert [cell.task for cell in builder.cells] == ['mine'] * 3 + [
        'imagefolder-32px'
    ] * 3
    kinds = Counter(node.kind for node in nodes)
    # The shared pretraining and a mix for each set.
    assert kinds == dict(pretrain=3, stage=2, search=18, seed=24)
    for node in nodes:
        if node.label.get('task') == 'mine':
            cfg = read_own(node.spec)
            if node.label['arm'] == 'Data mix' and node.kind == 'pretrain':
                mixed = cfg.train_dataloader.dataset.datasets[1]
                assert mixed.dataset.data_root == 'own'
                continue
            assert cfg.train_dataloader.dataset.dataset.data_root == 'own'
            model = cfg.model.get('downstream', cfg.model)
            assert model.head.num_classes == 7
