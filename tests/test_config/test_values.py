"""Values of the wrong kind are refused before anything is built."""

import pytest
from conftest import ROOT
from mmengine.config import Config

from bissl_mm.config import read_config
from bissl_mm.config.metric_names import check_metric_names
from bissl_mm.config.optim_settings import check_optim_wrappers
from bissl_mm.config.options import merge_options, split_options
from bissl_mm.config.values import check_values
from bissl_mm.engine.hooks import ExportBackboneHook
from bissl_mm.engine.search_space import place_holder_note, search_space
from bissl_mm.models import BiSSLModel
from bissl_mm.utils.errors import Refusal

STAGE4 = ROOT / 'configs/fine_tune/r18_64px.py'


@pytest.mark.parametrize(
    'place, value, kind',
    [
        ('train_dataloader.batch_size', '8', 'a whole number'),
        ('val_dataloader.batch_size', 0, 'a whole number'),
        ('train_cfg.pretext_dataloader.batch_size', 4.5, 'a whole number'),
        ('test_dataloader.num_workers', 'two', 'a whole number'),
        ('train_cfg.max_epochs', 1.5, 'a whole number'),
        ('train_cfg.max_iters', '20', 'a whole number'),
        ('train_cfg.val_interval', 0, 'a whole number'),
        ('randomness.seed', 'abc', 'a whole number'),
        ('default_hooks.logger.interval', 0, 'a whole number'),
        ('model.head.num_classes', '3', 'a whole number'),
        ('model.downstream.roi_head.bbox_head.num_classes', 3.0, 'a whole number'),
        ('train_dataloader.persistent_workers', 'False', 'True or False'),
        ('train_dataloader.sampler.shuffle', 'no', 'True or False'),
        ('optim_wrapper.optimizer.lr', '0.1', 'a number'),
        ('optim_wrapper.upper.optimizer.lr', [0, 1], 'a number'),
        ('optim_wrapper.lower.optimizer.weight_decay', float('nan'), 'a number'),
        ('model.head.temperature', 0, 'a number above 0'),
        ('model.pretext.head.temperature', -1, 'a number above 0'),
        ('model.data_preprocessor.std', [1.0, 0.0, 1.0], 'a list of numbers above 0'),
        ('train_dataloader.dataset.pipeline', [dict(std=(0, 0, 0))], None),
        ('log_level', 'LOUD', 'one of DEBUG, INFO'),
        ('env_cfg', None, 'a dict'),
        ('randomness', None, 'a dict'),
        ('model', None, 'a dict'),
        ('param_scheduler.lower', None, r'a list of schedules, or \[\]'),
        ('param_scheduler.upper', 0.1, 'a list of schedules'),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_key(place, value, kind):
    cfg = Config(dict(model=dict(), train_cfg=dict()))
    cfg.merge_from_dict({place: value})
    if kind is None:
        place, kind = f'{place}.0.std', 'a list of numbers above 0'
    with pytest.raises(Refusal, match=f'^{place} must be {kind}.* but is'):
        check_values(cfg)


def test_a_loop_is_chosen_once():
    for by_epoch in (True, False):
        loop = dict(type='BiSSLTrainLoop', by_epoch=by_epoch, num_alternations=3)
        with pytest.raises(
            Refusal, match=f"^train_cfg .*'BiSSLTrainLoop' .*={by_epoch}"
        ):
            check_values(Config(dict(train_cfg=loop)))
    with pytest.raises(
        Refusal, match='max_epochs=3 and no by_epoch.* Add by_epoch=True'
    ):
        check_values(Config(dict(train_cfg=dict(max_epochs=3))))
    for loop in (dict(by_epoch=True, max_epochs=1), dict(type='BiSSLTrainLoop'), None):
        check_values(Config(dict(train_cfg=loop)))


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(clip_grad=5), 'clip_grad must be a dict.* Write dict.max_norm=5'),
        (
            dict(clip_grad=dict(max_nrom=5)),
            "clip_grad: unknown key 'max_nrom'. Did you mean 'max_norm'",
        ),
        (dict(clip_grad=dict(norm_type=2)), 'clip_grad lacks max_norm'),
        (dict(clip_grad=dict(max_norm='a')), 'max_norm must be a number'),
        (
            dict(clip_grad=dict(type='value', max_norm=5)),
            "unknown key 'max_norm'.* Known keys: clip_value",
        ),
        (dict(clip_grad=dict(type='nrom', max_norm=5)), "'norm', 'value'"),
        (dict(accumulative_counts='two'), 'accumulative_counts must be a whole num'),
    ],
)
@pytest.mark.parametrize('level', [None, 'upper'])
def test_a_wrapper_that_would_fail_at_its_first_step_is_refused(settings, words, level):
    wrapper = dict(optimizer=dict(type='SGD', lr=0.1), **settings)
    cfg = Config(dict(optim_wrapper=wrapper if level is None else {level: wrapper}))
    place = 'optim_wrapper' + '.upper' * (level == 'upper')
    with pytest.raises(Refusal, match=f'^{place}.*{words}'):
        check_optim_wrappers(cfg)


def test_honest_clipping_is_taken():
    for clipping in (
        None,
        dict(max_norm=5, norm_type=2, error_if_nonfinite=True),
        dict(type='value', clip_value=0.1),
    ):
        wrapper = dict(optimizer=dict(), clip_grad=clipping, accumulative_counts=2)
        check_optim_wrappers(Config(dict(optim_wrapper=wrapper)))
    # A wrapper of the user's, with clipping of its own.
    own = dict(type='MyWrapper', optimizer=dict(), clip_grad=5)
    check_optim_wrappers(Config(dict(optim_wrapper=own)))


def test_honest_values_of_other_forms_are_taken():
    check_values(
        Config(
            dict(
                model=dict(
                    head=dict(num_classes=[2, 3], temperature=0.1),
                    neck=dict(num_classes=None, init_cfg=dict(std=0)),
                    data_preprocessor=dict(mean=[0, 0, 0], std=[58.4, 1, 0.5]),
                ),
                log_level='ERROR',
                train_dataloader=dict(batch_size=None, num_workers=0, shuffle=1),
                train_cfg=dict(max_iters=1e4),
                randomness=dict(seed=None),
                param_scheduler=dict(lower=[], upper=dict(type='ConstantLR')),
                optim_wrapper=dict(
                    optimizer=dict(lr=1, eps=(1e-30, 1e-3)),
                    paramwise_cfg=dict(custom_keys=dict(lr='x')),
                ),
            )
        )
    )


@pytest.mark.parametrize(
    'option, word',
    [
        ('optim_wrapper.optimizer.lr=O.1', "'O.1' is not"),
        ('optim_wrapper.optimizer.lr=0,1', 'a comma makes a list'),
        ('train_dataloader.num_workers=many', "'many' is not"),
        ('default_hooks.logger.interval=1O', "'1O' is not"),
        ('train_dataloader.persistent_workers=Flase', 'Write True or False'),
    ],
)
def test_text_for_a_number_or_a_switch_is_refused(option, word):
    with pytest.raises(Refusal, match=f'^--cfg-options {option}: .*{word}'):
        read_config(str(STAGE4), split_options([option]))


def test_a_call_as_a_value_is_refused():
    option = "optim_wrapper.regularizer=dict(type='SquaredDistance', weight=1)"
    for text in (option, option.replace(', ', ',')):
        with pytest.raises(Refusal, match='one option for each key'):
            merge_options(Config(dict(optim_wrapper=dict())), split_options([text]))


def test_honest_options_change_the_kind_of_a_value():
    cfg = Config(dict(a=0.5, b=3, c=True, d=None, e='x', f=2))
    options = split_options(['a=1', 'b=2.5', 'c=0', 'd=text', 'e=4', 'f=(1,5)'])
    merge_options(cfg, options)
    assert cfg.to_dict() == dict(a=1, b=2.5, c=0, d='text', e=4, f=(1, 5))
    merge_options(cfg, split_options(['a=None', 'b=inf', 'f=[1]']))
    assert cfg.a is None and cfg.b == float('inf') and cfg.f == [1]


@pytest.mark.parametrize(
    'key, right', [('intervall', 'interval'), ('max_kept_ckpts', 'max_keep_ckpts')]
)
def test_a_key_that_the_first_saving_would_meet_is_refused(key, right):
    with pytest.raises(
        Refusal,
        match=f"default_hooks.checkpoint: unknown key '{key}'. Did you mean '{right}'",
    ):
        read_config(str(STAGE4), split_options([f'default_hooks.checkpoint.{key}=3']))


def evaluation(evaluator, classes=3, **hooks):
    return Config(
        dict(
            model=dict(head=dict(num_classes=classes)),
            val_evaluator=evaluator,
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', **hooks)),
        )
    )


@pytest.mark.parametrize(
    'evaluator, hooks, word',
    [
        (dict(type='Accuracy', topk=(1, 5)), {}, 'topk has 5, but there are 3'),
        (
            dict(type='Accuracy'),
            dict(save_best='accuracy/top5'),
            "'accuracy/top5'.*Did you mean 'accuracy/top1'",
        ),
        (
            dict(type='Accuracy'),
            dict(save_best=['auto', 'top1']),
            "Did you mean 'accuracy/top1'",
        ),
        (
            dict(type='CocoMetric', metric='bbox'),
            dict(save_best='bbox_mAP'),
            "Did you mean 'coco/bbox_mAP'",
        ),
        (dict(type='CocoMetric', metric='mAP'), {}, 'metric is .mAP.'),
        (dict(type='mmseg.IoUMetric'), dict(save_best='miou'), "Did you mean 'mIoU'"),
        (
            [dict(type='IoUMetric', iou_metrics=['IoU'])],
            {},
            "val_evaluator.0.iou_metrics is 'IoU'.*'mIoU'",
        ),
    ],
)
def test_metrics_that_are_not_reported_are_refused(evaluator, hooks, word):
    with pytest.raises(Refusal, match=word):
        check_metric_names(evaluation(evaluator, **hooks))


@pytest.mark.parametrize(
    'evaluator, name',
    [
        (dict(type='Accuracy', topk=(1, 3)), 'accuracy/top3'),
        (dict(type='Accuracy', prefix='mine'), 'mine/top1'),
        (dict(type='Accuracy', thrs=(0.5,)), 'accuracy/top1_thr-0.50'),
        (dict(type='CocoMetric', classwise=True), 'coco/nut_precision'),
        (dict(type='IoUMetric', iou_metrics=['mDice']), 'mDice'),
        ([dict(type='Accuracy'), dict(type='MyMetric')], 'my/metric'),
        (None, 'anything'),
    ],
)
def test_metrics_that_may_be_reported_are_taken(evaluator, name):
    check_metric_names(evaluation(evaluator, save_best=name))


def test_early_stopping_by_an_unknown_metric_is_refused():
    cfg = evaluation(dict(type='IoUMetric'))
    cfg.custom_hooks = [dict(type='EarlyStoppingHook', monitor='acc')]
    with pytest.raises(Refusal, match='custom_hooks.0.monitor'):
        check_metric_names(cfg)


def test_the_note_on_place_holders_needs_no_weight_decay():
    note = place_holder_note(
        dict(
            search=dict(seeds=2),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
        )
    )
    assert note.startswith('lr=0.1: ')


@pytest.mark.parametrize(
    'option, remedy',
    [
        ('train_dataloader=16', 'train_dataloader.batch_size=VALUE'),
        ('default_hooks.checkpoint=none', 'or default_hooks.checkpoint=None'),
        ('param_scheduler=none', 'a list in .* such as param_scheduler.0.'),
    ],
)
def test_a_value_in_the_place_of_a_component_is_refused(option, remedy):
    cfg = Config(
        dict(
            train_dataloader=dict(batch_size=2),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook')),
            param_scheduler=[dict(type='LinearLR')],
        )
    )
    with pytest.raises(Refusal, match=f'^--cfg-options {option}: .*{remedy}'):
        merge_options(cfg, split_options([option]))


def test_honest_values_take_the_place_of_others():
    cfg = Config(dict(data_prefix=dict(img='a'), hooks=[dict(a=1)], params=['a'], b={}))
    options = ['data_prefix=b', 'hooks=[]', 'params=norm', 'b=None']
    merge_options(cfg, split_options(options))
    assert cfg.to_dict() == dict(data_prefix='b', hooks=[], params='norm', b=None)


@pytest.mark.parametrize('key', ['share_backbone', 'unscaled_pixels', 'sync_norms'])
def test_text_for_a_switch_that_the_config_does_not_have_is_refused(key):
    # Any text would count as True.
    with pytest.raises(Refusal, match=f"BiSSLModel: {key} is 'no'.* True, False"):
        BiSSLModel(pretext={}, downstream={}, **{key: 'no'})


def test_switches_take_what_is_true_or_false():
    assert ExportBackboneHook(best=1).best and not ExportBackboneHook(best=False).best
    with pytest.raises(Refusal, match="ExportBackboneHook: best is 'off'"):
        ExportBackboneHook(best='off')


@pytest.mark.parametrize(
    'key, value, kind',
    [
        ('seeds', 0, 'a whole number of at least 1'),
        ('settings', -1, 'a whole number of at least 1'),
        ('lr', (0.0, 1.0), 'two numbers above 0'),
        ('lr', 0.1, 'two numbers above 0'),
        ('weight_decay', (1e-2, 1e-5), 'two numbers above 0, the lower one first'),
        ('weight_decay', (float('nan'), 1.0), 'two numbers above 0'),
    ],
)
def test_a_search_that_finds_nothing_is_refused(key, value, kind):
    with pytest.raises(Refusal, match=f'^search: {key} must be {kind}'):
        search_space(dict(search={key: value}))
    option = f'--{key.replace("_", "-")}'
    with pytest.raises(Refusal, match=f'^command line: {option} must be {kind}'):
        search_space({}, {key: value})


def test_what_is_typed_replaces_the_search_of_the_config():
    typed = dict(lr=[0.1, 0.1], seeds=None, settings=2, config='x.py')
    space = search_space(dict(search=dict(seeds=3, settings=9)), typed)
    assert (space['lr'], space['seeds'], space['settings']) == ([0.1, 0.1], 3, 2)
    assert 'config' not in space


#: In mmengine's new style, a config imports its bases.
NEW_STYLE = """from mmengine.config import read_base
from mmengine.dataset import default_collate
with read_base():
    from .plain import *
"""


@pytest.fixture
def read_child(tmp_path):
    """Reads a config that inherits from a plain one, in either style."""
    plain = 'model = dict(type="A")\ntrain_dataloader = dict(batch_size=4)\n'
    (tmp_path / 'plain.py').write_text(plain)

    def read(begin, lines):
        path = tmp_path / 'child.py'
        path.write_text(begin + lines)
        return read_config(str(path))

    return read


@pytest.mark.parametrize(
    'begin', [NEW_STYLE, "_base_ = 'plain.py'\n"], ids=['new style', 'old style']
)
@pytest.mark.parametrize(
    'value, shown',
    [
        ('lambda i: None', "the function '<lambda>'"),
        ('dict(type=[double])', "the function 'double'"),
        ('slice.mro', 'mro'),
        ('iter([1])', '<list_iterator object'),
    ],
)
def test_a_value_that_no_text_stands_for_is_refused(begin, value, shown, read_child):
    lines = f'def double(x):\n    return 2 * x\ntrain_dataloader = dict(a={value})\n'
    with pytest.raises(Refusal, match=f'child.py: train_dataloader.a.* is .*{shown}'):
        read_child(begin, lines)


def test_a_config_of_the_new_style_may_use_functions(read_child):
    lines = (
        'def double(x):\n    return 2 * x\n'
        'train_dataloader.update(batch_size=double(3))\n'
        'train_dataloader.update(collate_fn=dict(type=default_collate))\n'
    )
    cfg = read_child(NEW_STYLE, lines)
    assert cfg.train_dataloader.batch_size == 6
    # Written as text, as runs do.
    written = dict()
    exec(cfg.pretty_text, written)
    assert written['train_dataloader']['collate_fn']['type'].endswith('collate')
    assert 'double' not in written
