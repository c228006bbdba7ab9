"""Misspelt types and arguments end in one sentence with the right name."""

import mmpretrain.datasets
import mmpretrain.models  # noqa: F401
import pytest
from mmengine.config import Config
from mmengine.registry import (
    DATASETS,
    HOOKS,
    LOOPS,
    MODELS,
    OPTIMIZERS,
    TRANSFORMS,
    init_default_scope,
)
from mmengine.runner import Runner
from small_run import CONFIG

import bissl_mm.engine  # noqa: F401
from bissl_mm.config import is_type, read_config, type_name
from bissl_mm.config.explain import explained
from bissl_mm.config.type_names import remember
from bissl_mm.datasets import LevelStream
from bissl_mm.models import DifferentiableSyncBatchNorm
from bissl_mm.registry import build_regularizer, build_solver


def error_of(function, *args) -> str:
    init_default_scope('bissl_mm')
    with pytest.raises(Exception) as info:
        function(*args)
    text = str(explained(info.value))
    assert '\n' not in text
    return text


@pytest.mark.parametrize(
    'registry, name, right',
    [
        (LOOPS, 'BiSSLTrainLop', 'BiSSLTrainLoop'),
        (HOOKS, 'SolverMonitrHook', 'SolverMonitorHook'),
        (HOOKS, 'LogerHook', 'LoggerHook'),
        (MODELS, 'BiSLModel', 'BiSSLModel'),
        (MODELS, 'mmpretrain.ImageClasifier', 'mmpretrain.ImageClassifier'),
        (MODELS, 'ImageClasifier', 'mmpretrain.ImageClassifier'),
        (DATASETS, 'mmpretrain.CustomDatset', 'mmpretrain.CustomDataset'),
        (TRANSFORMS, 'mmpretrain.PackInput', 'mmpretrain.PackInputs'),
        (OPTIMIZERS, 'SDG', 'SGD'),
        (OPTIMIZERS, 'bissl_mm.LRS', 'bissl_mm.LARS'),
    ],
)
def test_a_misspelt_type_names_the_nearest(registry, name, right):
    text = error_of(registry.build, dict(type=name))
    assert f"registered as '{name}'. Did you mean '{right}'?" in text


def test_a_type_of_another_scope_says_which():
    text = error_of(MODELS.build, dict(type='ImageClassifier'))
    assert "write type='mmpretrain.ImageClassifier'" in text


def test_a_misspelt_regularizer_names_the_nearest():
    text = error_of(build_regularizer, dict(type='ElasticDistnce'))
    assert "registered as 'ElasticDistnce'. Did you mean 'ElasticDistance'?" in text


def test_a_misspelt_solver_names_the_nearest():
    text = error_of(build_solver, dict(type='MinresSolvr'))
    assert (
        "no solver is registered as 'MinresSolvr'. Did you mean 'bissl_mm.MinresSolver'"
        in text
        or "'MinresSolver'" in text
    )


def test_the_place_in_the_config_is_named():
    cfg = read_config(
        str(CONFIG),
        {
            'model.downstream.backbone.type': 'ResNett',
            'model.pretext.backbone.norm_cfg.type': 'BNN',
        },
    )
    text = error_of(MODELS.build, cfg.model.downstream)
    assert text.startswith('model.downstream.backbone.type: no model')
    # mmcv's message has no name.
    text = error_of(MODELS.build, cfg.model.pretext)
    assert text.startswith('model.pretext.backbone.norm_cfg.type: no model')


def test_an_argument_of_a_library_names_the_nearest():
    cfg = read_config(
        str(CONFIG),
        {'model.downstream.backbone.dept': 50, 'model.downstream.head.num_clases': 3},
    )
    text = error_of(MODELS.build, cfg.model.downstream)
    assert text == (
        'model.downstream.backbone.dept: ResNet has no argument '
        "'dept'. Did you mean 'depth'?"
    )
    del cfg.model.downstream.backbone['dept']
    text = error_of(MODELS.build, cfg.model.downstream)
    assert 'head.num_clases: ' in text and "'num_classes'?" in text


def test_an_argument_that_a_component_lacks_is_named_with_its_place():
    cfg = read_config(str(CONFIG))
    del cfg.model.downstream.head['num_classes']
    remember(cfg)
    text = error_of(MODELS.build, cfg.model.downstream)
    assert text.startswith('model.downstream.head: ') and 'lacks num_classes' in text
    assert text.endswith(' Add num_classes=VALUE there.')
    # Without a component that lacks it, a missing argument is a bug.
    error = TypeError("f() missing 1 required positional argument: 'a'")
    assert explained(error) is None


def test_a_collate_function_of_mmengine_names_the_nearest():
    cfg = read_config(
        str(CONFIG), {'val_dataloader.collate_fn.type': 'defualt_collate'}
    )
    loader = dict(cfg.val_dataloader, dataset=[0])
    text = error_of(Runner.build_dataloader, loader, 0)
    assert text.startswith('val_dataloader.collate_fn.type: ')
    assert "Did you mean 'default_collate'" in text


def test_an_error_of_a_worker_process_is_read():
    error = RuntimeError(
        "arm A, seed 0: 'LogerHook is not in the mmengine::hook registry. Please check'"
    )
    assert "as 'LogerHook'. Did you mean 'LoggerHook'" in str(explained(error))


def test_errors_that_are_no_setting_stay_bugs():
    assert explained(TypeError("f() got an unexpected keyword argument 'a'")) is None
    assert explained(KeyError('x')) is None
    assert (
        explained(
            TypeError(
                'ResNet.__init__() got an unexpected keyword '
                "argument 'no_config_has_it'"
            )
        )
        is None
    )


def test_a_collate_function_names_the_nearest():
    with pytest.raises(KeyError, match="Did you mean 'default_collate'"):
        LevelStream(
            dict(dataset=[0], batch_size=1, collate_fn=dict(type='default_colate')),
            'lower',
        )


@pytest.mark.parametrize('key, right', [('epz', 'eps'), ('momentm', 'momentum')])
def test_keys_of_the_norm_are_checked(key, right):
    with pytest.raises(TypeError, match=f"Did you mean '{right}'"):
        DifferentiableSyncBatchNorm(4, **{key: 0.1})


def test_types_are_names_or_classes():
    cls = DifferentiableSyncBatchNorm
    for kind in ('Norm', 'mmdet.Norm', 'mmdet::Norm', 'a.b.Norm'):
        assert is_type(dict(type=kind), 'Other', 'Norm')
    assert is_type(dict(type=cls), '_BatchNorm')
    assert type_name(cls) == 'DifferentiableSyncBatchNorm'
    assert not is_type(None, 'Norm') and not is_type(dict(), 'Norm')


def test_a_depth_that_no_network_has_is_named():
    cfg = read_config(str(CONFIG), {'model.downstream.backbone.depth': 19})
    text = error_of(MODELS.build, cfg.model)
    assert text.startswith(
        'model.downstream.backbone.depth is 19, but there is no resnet'
    )


def test_a_config_without_a_model_is_told_so():
    cfg = Config(dict(train_cfg=dict(by_epoch=True, max_epochs=3)))
    remember(cfg)
    assert error_of(Runner.from_cfg, cfg).startswith('The config has no model')


def test_parts_of_a_split_belong_together(tmp_path):
    cfg = read_config(str(CONFIG), {'val_dataloader': None})
    cfg.work_dir = str(tmp_path)
    text = error_of(Runner.from_cfg, cfg)
    assert 'the config has val_cfg and val_evaluator alone' in text
    assert '--cfg-options val_dataloader=None val_cfg=None val_evaluator=None.' in text


@pytest.mark.parametrize('base, kind', [('[]', 'a list'), ('None', 'None')])
def test_a_dict_in_the_place_of_another_value_is_told(base, kind, tmp_path):
    (tmp_path / 'base.py').write_text(f'param_scheduler = {base}')
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'base.py'\nparam_scheduler = dict(lower=[])")
    with pytest.raises(TypeError) as info:
        Config.fromfile(path)
    text = str(explained(info.value))
    assert f'param_scheduler: the config has a dict where its base has {kind}' in text
    assert 'Write param_scheduler=dict(_delete_=True, ...)' in text
    replaced = path.read_text().replace('dict(', 'dict(_delete_=True, ')
    path.write_text(replaced)
    assert Config.fromfile(path).param_scheduler == dict(lower=[])
