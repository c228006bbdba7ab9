"""A message names a key that nothing reads, and the right key."""

import re

import pytest
from small_run import CONFIG
from task_configs import CONFIGS

from bissl_mm.config import notes_of, read_config
from bissl_mm.config.options import split_options
from bissl_mm.utils.errors import Refusal

#: With the published solver.
PUBLISHED = CONFIG.with_name('bissl-simclr_r18_b64-10x4-10t_cifar10-48px_published.py')


def read(*options, path=CONFIG):
    return read_config(str(path), split_options(options))


def child(tmp_path, text, base=CONFIG):
    path = tmp_path / 'child.py'
    path.write_text(f'_base_ = {str(base)!r}\n{text}\n')
    return path


@pytest.mark.parametrize(
    'option, right',
    [
        ('optim_wraper.damping=3', 'optim_wrapper'),
        ('train_datalodaer.batch_size=3', 'train_dataloader'),
        ('randomnes.seed=3', 'randomness'),
        ('custom_hook=[]', 'custom_hooks'),
        ('param_schedular.lower=[]', 'param_scheduler'),
        ('modle.pretrained=x', 'model'),
        ('damping=3', 'optim_wrapper.hypergradient.damping'),
        ('env_cfg.mp_cfg.mp_start_methd=fork', 'env_cfg.mp_cfg.mp_start_method'),
        ('auto_scale_lr.enabel=True', 'auto_scale_lr.enable'),
        ('randomness.seeds=3', 'randomness.seed'),
    ],
)
def test_a_misspelt_option_names_the_right_key(option, right):
    with pytest.raises(TypeError, match=f"Did you mean '?{right}'?\\?"):
        read(option)


@pytest.mark.parametrize(
    'key, right',
    [
        ('optim_wraper', 'optim_wrapper'),
        ('defualt_hooks', 'default_hooks'),
        ('train_datloader', 'train_dataloader'),
        ('modl', 'model'),
        ('log_levle', 'log_level'),
        ('param_schedulers', 'param_scheduler'),
    ],
)
def test_a_misspelt_key_of_a_file_names_the_right_one(key, right, tmp_path):
    path = child(tmp_path, f'{key} = dict(a=1)')
    with pytest.raises(TypeError, match=f"child.py: .*{key}.*'{right}'"):
        read(path=path)
    # In a base, too.
    other = tmp_path / 'grandchild.py'
    other.write_text("_base_ = 'child.py'\n")
    with pytest.raises(TypeError, match=f"child.py: .*{key}.*'{right}'"):
        read(path=other)


@pytest.mark.parametrize(
    'option, place',
    [
        ('pretext_dataloader.batch_size=4', 'train_cfg.pretext_dataloader.batch'),
        ('pretext_model.backbone.depth=50', 'model.pretext.backbone.depth'),
        ('train_pipeline.0.x=3', 'train_dataloader.dataset.pipeline.0.x'),
    ],
)
def test_an_option_on_a_copied_variable_names_the_place(option, place):
    with pytest.raises(TypeError, match=f'Set it where it is used: .*{place}'):
        read(option)


def test_a_file_that_changes_a_copied_variable_is_refused(tmp_path):
    path = child(tmp_path, 'pretext_model = dict(backbone=dict(depth=50))')
    with pytest.raises(TypeError, match='no effect.* is used: model.pretext'):
        read(path=path)
    path = child(tmp_path, 'pretext_dataloader = dict(batch_size=3)')
    with pytest.raises(TypeError, match='is used: train_cfg.pretext_dataloader'):
        read(path=path)


def test_own_variables_are_left_alone(tmp_path):
    path = child(
        tmp_path,
        """
size = 3
models = ['a']
_scratch = dict(x=1)
for pipelines in models:
    pass
train_dataloader = dict(batch_size=size, num_workers=len(models))""",
    )
    assert read(path=path).train_dataloader.batch_size == 3
    path = child(tmp_path, 'my_number = 3')
    (note,) = notes_of(read(path=path))
    assert 'nothing reads the key(s) my_number.' in note


def test_a_config_that_was_written_out_is_read_without_a_word(tmp_path):
    path = tmp_path / 'written.py'
    read('train_cfg.num_alternations=7').dump(path)
    cfg = read(path=path)
    assert cfg.train_cfg.num_alternations == 7
    assert (
        'train_pipeline' in cfg
        and cfg.task == 'imagefolder-64px'
        and notes_of(cfg) == []
    )


def test_shipped_configs_have_no_unread_key():
    assert len(CONFIGS) > 30
    for path in CONFIGS[::3]:
        assert notes_of(read(path=path)) == []


@pytest.mark.parametrize(
    'option, text',
    [
        ('train_dataloader.batch_size', 'is not KEY=VALUE'),
        ('=3', 'is not KEY=VALUE'),
        ('train_cfg.num_alternations.x=3', "100, which has no key 'x'"),
        ('param_scheduler.lower.7.end=3', 'is a list of 2 entries'),
        ('param_scheduler.lower.first.end=3', 'is a list of 2 entries'),
        ('train_dataloader.x=[(1]', 'Imbalanced'),
    ],
)
def test_an_option_that_cannot_be_read_is_a_sentence(option, text):
    with pytest.raises(Refusal, match=text):
        read(option)


@pytest.mark.parametrize(
    'folder', ['a,b', '/data/my images', 'c\\d, e', '2024', "O'Brien"]
)
def test_a_path_stays_as_it_was_typed(folder):
    cfg = read(
        f'train_dataloader.dataset.data_root={folder}',
        f'model.pretrained={folder}/x.pth',
    )
    assert cfg.train_dataloader.dataset.data_root == folder
    assert cfg.model.pretrained == f'{folder}/x.pth'


def test_other_values_are_read_as_by_mmengine():
    cfg = read(
        'model.pretrained=None',
        'train_dataloader.x=1,2.5',
        "train_dataloader.y=['red cell', 'b']",
        'val_dataloader.x=a,b',
        'val_dataloader.y=[a,(1,2)]',
        'val_dataloader.z=True',
    )
    assert cfg.model.pretrained is None
    assert cfg.train_dataloader.x == [1, 2.5]
    assert cfg.train_dataloader.y == ['red cell', 'b']
    assert cfg.val_dataloader.x == ['a', 'b']
    assert cfg.val_dataloader.y == ['a', (1, 2)]
    assert cfg.val_dataloader.z is True


def test_a_solver_of_another_type_begins_with_its_own_settings():
    place = 'optim_wrapper.hypergradient.solver'
    cfg = read(f'{place}.type=MinresSolver', path=PUBLISHED)
    hypergradient = cfg.optim_wrapper.hypergradient
    assert hypergradient.solver == dict(type='MinresSolver')
    (note,) = notes_of(cfg)
    assert 'max_iters=5 of LayerwiseCGSolver' in note
    cfg = read(f'{place}.type=CGSolver', f'{place}.max_iters=7', path=PUBLISHED)
    hypergradient = cfg.optim_wrapper.hypergradient
    assert hypergradient.solver == dict(type='CGSolver', max_iters=7)
    assert notes_of(cfg) == []
    cfg = read('optim_wrapper.lower.optimizer.type=AdamW')
    assert cfg.optim_wrapper.lower.optimizer == dict(
        type='AdamW', lr=0.125, weight_decay=1e-6
    )
    option = 'optim_wrapper.hypergradient.solver.type=LayerwiseCGSolver'
    cfg = read(option, path=PUBLISHED)
    assert cfg.optim_wrapper.hypergradient.solver.max_iters == 5


@pytest.mark.parametrize(
    'options, expected',
    [
        ([], None),
        (['solver.type=DiscardSolver'], None),
        (['unrolled_steps=2', 'solver.type=CGSolver'], None),
        (['solver.type=CGSolver', 'check_residual=random'], None),
        (
            ['solver.type=CGSolver'],
            "CGSolver, but check_residual='never' and damping=0, .*damping=100 .*=random",
        ),
        (['solver.type=LowRankSolver'], 'damping=10 '),
        (
            ['solver.type=CGSolver', 'damping=1'],
            "'never', as .* Set optim_wrapper.hypergradient.check_residual=random",
        ),
    ],
)
def test_a_solver_that_keeps_the_settings_of_v_itself_is_told(options, expected):
    notes = notes_of(read(*[f'optim_wrapper.hypergradient.{o}' for o in options]))
    assert len(notes) == (expected is not None)
    assert expected is None or re.search(expected, notes[0])


def test_a_regularizer_of_another_type_keeps_what_it_knows():
    place = 'optim_wrapper.regularizer'
    cfg = read(f'{place}.type=ElasticDistance', f'{place}.l1=0.1')
    weight = read().optim_wrapper.regularizer.weight
    assert cfg.optim_wrapper.regularizer == dict(
        type='ElasticDistance', weight=weight, l1=0.1
    )
    cfg = read(
        f'{place}.type=ScheduledDistance',
        f'{place}.schedule=cosine_decay',
        f'{place}.max_weight=0.1',
    )
    assert cfg.optim_wrapper.regularizer == dict(
        type='ScheduledDistance', schedule='cosine_decay', max_weight=0.1
    )
    (note,) = notes_of(cfg)
    assert f'ScheduledDistance does not keep weight={weight!r} of' in note


@pytest.mark.parametrize(
    'given, text',
    [
        (
            "type='ScheduledDistance', schedule='cosine_decay', max_weight=0.1",
            'ScheduledDistance has no weight=0.08, which it inherits from Squared',
        ),
        ("type='WeightedDistance', factors=dict(layer4=0.1)", None),
        (
            "_delete_=True, type='ScheduledDistance', schedule='cosine_decay', "
            'max_weight=0.1',
            None,
        ),
    ],
)
def test_a_file_that_changes_the_regularizer_inherits_what_it_knows(
    given, text, tmp_path
):
    path = child(tmp_path, f'optim_wrapper = dict(regularizer=dict({given}))')
    if text is None:
        assert notes_of(read(path=path)) == []
        return
    with pytest.raises(TypeError, match=f'child.py: .*{text}.* Add _delete_=True'):
        read(path=path)


def test_a_file_that_changes_the_solver_is_told_what_it_keeps(tmp_path):
    path = child(
        tmp_path,
        'optim_wrapper = dict(hypergradient=dict('
        "solver=dict(type='MinresSolver', tolerance=0.1)))",
        PUBLISHED,
    )
    (note,) = notes_of(read(path=path))
    assert 'MinresSolver inherits max_iters=5 from LayerwiseCGSolver' in note
    path = child(
        tmp_path,
        'optim_wrapper = dict(hypergradient=dict('
        "solver=dict(_delete_=True, type='MinresSolver')))",
        PUBLISHED,
    )
    assert notes_of(read(path=path)) == []
    path = child(
        tmp_path,
        'optim_wrapper = dict(hypergradient=dict(solver=dict(max_iters=9)))',
        PUBLISHED,
    )
    assert notes_of(read(path=path)) == []


@pytest.mark.parametrize(
    'name, text',
    [
        ('config.yaml', '_base_: {base}\noptim_wraper:\n  damping: 3\n'),
        ('config.json', '{{"_base_": "{base}", "optim_wraper": {{"a": 3}}}}'),
    ],
)
def test_configs_of_other_formats_are_checked(name, text, tmp_path):
    base = tmp_path / f'base{name[6:]}'
    base.write_text('{"model": {"type": "X"}}')
    path = tmp_path / name
    path.write_text(text.format(base=base.name))
    with pytest.raises(TypeError, match="optim_wraper'. Did you mean 'optim_w"):
        read(path=path)


@pytest.mark.parametrize(
    'option, right',
    [
        ('lower.paramwise_cfg.norm_decay_mul=0', 'norm_decay_mult'),
        ('lower.paramwise_cfg.custom_keys.backbone.lr_mul=0', 'lr_mult'),
        ('upper_head.paramwise_cfg.bias_decay=0', 'bias_decay_mult'),
    ],
)
def test_a_misspelt_multiplier_of_parameters_is_named(option, right):
    key, _, value = option.partition('=')
    with pytest.raises(TypeError, match=f"{key}. Did you mean '{right}'"):
        read(f'optim_wrapper.{option}')
    if right != 'lr_mult':
        cfg = read(f'optim_wrapper.{key.rpartition(".")[0]}.{right}=0')
        assert right in str(cfg.optim_wrapper)


@pytest.mark.parametrize(
    'option', ['train_cfg..num_alternations=3', '.model.pretrained=x', 'model.=x']
)
def test_an_option_with_an_empty_key_is_refused(option):
    with pytest.raises(TypeError, match='one dot between two names'):
        read(option)


@pytest.mark.parametrize('level', ['lower', 'upper'])
def test_a_misspelt_clipping_is_named(level):
    option = f'optim_wrapper.{level}.clip_grad.max_nrom=5'
    with pytest.raises(TypeError, match=f"{level}.clip_grad: .*mean 'max_norm'"):
        read(option)


def test_a_key_in_quotes_is_refused():
    with pytest.raises(TypeError, match='has a quote.*in a config of your own'):
        read("optim_wrapper.regularizer.factors.'layer4.0'=0.1")


def test_the_launcher_is_an_argument():
    with pytest.raises(TypeError, match='nothing reads it here. Type --launcher'):
        read('launcher=abc')


def test_a_config_that_fails_names_its_line(tmp_path):
    path = child(tmp_path, 'a = 1\nwork_dir = a.nothing')
    with pytest.raises(ValueError, match=r"'nothing' \(.*child.py, line 3\)"):
        read(path=path)
    path.write_text("_base_ = 'child.py'\n")
    with pytest.raises(ValueError, match='inherit from itself'):
        read(path=path)


def test_a_yaml_config_calls_nothing(tmp_path):
    path, marker = tmp_path / 'config.yaml', tmp_path / 'ran'
    path.write_text(f'work_dir: !!python/object/apply:os.mkdir ["{marker}"]\n')
    with pytest.raises(ValueError, match='config.yaml.* is not plain YAML'):
        read(path=path)
    assert not marker.exists()
    # As a base, too.
    other = tmp_path / 'child.yaml'
    other.write_text('_base_: config.yaml\n')
    with pytest.raises(ValueError, match='is not plain YAML'):
        read(path=other)
    assert not marker.exists()
    path.write_text('size: !!python/tuple [1, 2]\n')
    assert read(path=path).size == (1, 2)


@pytest.mark.parametrize(
    'key', ['lars_exclude', 'fix_lr', 'lr', 'weight_decay', 'momentum']
)
def test_custom_keys_may_hold_what_an_optimizer_reads(key):
    cfg = read(f'optim_wrapper.lower.paramwise_cfg.custom_keys.bn.{key}=1')
    assert cfg.optim_wrapper.lower.paramwise_cfg.custom_keys.bn == {key: 1}


def test_modules_cannot_be_imported_by_an_option():
    with pytest.raises(TypeError, match='imported while the config is read'):
        read('custom_imports.imports=[mine]')
