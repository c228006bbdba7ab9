"""Stages of the method's variants. Add one row for a new variant."""

import pytest
import torch
from small_run import make_runner, small_config, weights
from test_resume import StopAt

from bissl_mm.analysis.logs import panels_of
from bissl_mm.utils.errors import Refusal

pytestmark = pytest.mark.usefixtures('plain_config_text')

SCHEDULE = dict(
    type='ScheduledDistance',
    schedule='exponential_increase',
    max_weight=0.5,
    min_weight=0.1,
)
#: Settings of ``optim_wrapper``, and of ``model`` and ``train_cfg`` by these names.
VARIANTS = {
    'scheduled lambda': dict(regularizer=SCHEDULE),
    'learned lambda': dict(
        regularizer=dict(type='LearnedDistance', weight=0.3, damping=0.0, lr=5.0)
    ),
    'elastic': dict(
        regularizer=dict(
            type='ElasticDistance', weight=0.3, l1=0.1, factors={'layer2': 0.1}
        )
    ),
    # Collected in the first alternation's lower steps and one more.
    'fisher': dict(regularizer=dict(type='FisherDistance', weight=0.3, steps=3)),
    'differences': dict(hypergradient=dict(curvature='differences')),
    'low rank': dict(
        hypergradient=dict(solver=dict(type='LowRankSolver', rank=3, tolerance=2.0))
    ),
    'empirical Fisher': dict(
        hypergradient=dict(curvature='fisher', solver=dict(type='LowRankSolver'))
    ),
    'LoRA': dict(model=dict(lora=dict(rank=2))),
    'unrolled': dict(
        hypergradient=dict(unrolled_steps=2),
        lower=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
    ),
    'first version': dict(
        direct_weight=0.01,
        hypergradient=dict(batches='first', num_batches=2),
        train_cfg=dict(backbone_adaptation=dict(interval=2, alpha=0.1)),
    ),
    'pretext head': dict(hypergradient=dict(pretext_head=True, head_damping=0.5)),
    'regularized head': dict(
        hypergradient=dict(pretext_head=True, head_damping=0.5, head_weight=0.1)
    ),
}


@pytest.fixture(scope='module')
def published():
    """Final weights of the published method, once they are known."""
    return {}


#: Those that keep something of their own in a checkpoint, or keep nothing.
OFTEN = ('learned lambda', 'low rank')


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=[] if name in OFTEN else [pytest.mark.whole])
        for name in VARIANTS
    ],
)
def test_a_stage_goes_on_bit_for_bit_and_differs_from_the_published(
    name, published, image_folders, tmp_path, monkeypatch
):
    def config(folder, change):
        cfg = small_config(
            monkeypatch,
            image_folders,
            tmp_path / folder,
            train_cfg__num_alternations=2,
            default_hooks__checkpoint__interval=1,
            optim_wrapper__hypergradient__solver=dict(
                type='RecyclingSolver', max_iters=2
            ),
        )
        for key, value in change.items():
            if key in ('model', 'train_cfg'):
                cfg[key].update(value)
            elif not isinstance(value, dict) or 'type' in value:
                # A regularizer of another type has settings of its own.
                cfg.optim_wrapper[key] = value
            else:
                cfg.optim_wrapper[key] = {**cfg.optim_wrapper[key], **value}
        return cfg

    def run(cfg, hooks=()):
        runner = make_runner(cfg, hooks)
        runner.train()
        return runner

    whole = run(config('whole', VARIANTS[name]))
    cfg = config('parts', VARIANTS[name])
    # In the upper phase of the second alternation.
    with pytest.raises(SystemExit):
        run(cfg, [StopAt('after_upper_step', 3)])
    cfg.resume = True
    again = run(cfg)
    for key, value in weights(again).items():
        assert torch.equal(value, weights(whole)[key]), key
    if not published:
        weight = dict(regularizer=dict(weight=0.5))
        published.update(weights(run(config('published', weight))))
    assert any(
        not torch.equal(published[key], value)
        for key, value in weights(whole).items()
        if key in published
    )
    stationarity = again.message_hub.get_scalar('train/lower/stationarity').data[0]
    assert (stationarity > 0).all() and (stationarity <= 1).all()
    logged = again.message_hub.get_scalar('train/regime/lambda').data[0]
    regularizer = whole.optim_wrapper.regularizer
    if name == 'learned lambda':
        assert logged[0] != logged[1] == regularizer.weight != pytest.approx(0.3)
    else:
        assert logged.tolist() == pytest.approx(regularizer.weights(2))
    # What is drawn is what was used.
    ((_, _, lines, _),) = panels_of({name: cfg.work_dir}, ['regime/lambda'])
    drawn = lines[name]
    assert drawn['step'][-1] == 2
    used = [logged[step - 1] for step in drawn['step']]
    assert drawn['value'] == pytest.approx(used)


@pytest.mark.parametrize('types', [('SquaredDistance', 'LearnedDistance')])
@pytest.mark.parametrize('turned', [False, True])
def test_a_run_does_not_resume_with_a_lambda_that_is_learned_instead_of_set(
    types, turned, image_folders, tmp_path, monkeypatch
):
    before, after = types[::-1] if turned else types
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        train_cfg__head_warmup=None,
        optim_wrapper__regularizer=dict(type=before, weight=0.3),
    )
    make_runner(cfg).train()
    cfg.optim_wrapper.regularizer.type = after
    cfg.resume = True
    with pytest.raises(Refusal, match=f'{after} cannot go on .*load_from'):
        make_runner(cfg).train()
