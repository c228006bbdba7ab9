"""The published implementation's outputs, reproduced.

Vectors come from ``tests/conformance``, or from the folder that
``BISSL_CONFORMANCE_DIR`` names; every file of the two forms in it is a case.
"""

import json

import numpy as np
import pytest
import torch
from conftest import CONFORMANCE_DIR
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from toy import DictDataset, ToyDownstream, ToyPretext

from bissl_mm.engine import BiSSLOptimWrapper, BiSSLTrainLoop
from bissl_mm.models import BiSSLModel

pytestmark = pytest.mark.conformance


def cases(form: str) -> list:
    found = sorted(CONFORMANCE_DIR.glob(f'{form}_*.npz'))
    if found:
        return [pytest.param(p, id=p.stem) for p in found]
    skip = pytest.mark.skip(
        reason=f'no {form}_*.npz in {CONFORMANCE_DIR}; set BISSL_CONFORMANCE_DIR'
    )
    return [pytest.param(None, marks=skip)]


class Case:
    """One file of vectors with its settings."""

    def __init__(self, path) -> None:
        archive = np.load(path)
        self.arrays = {k: torch.from_numpy(archive[k]) for k in archive.files}
        self.settings = json.loads(path.with_suffix('.json').read_text())

    def __getitem__(self, key: str) -> torch.Tensor:
        return self.arrays[key]

    def part(self, prefix: str) -> dict:
        return {
            k[len(prefix) :]: v for k, v in self.arrays.items() if k.startswith(prefix)
        }

    def model(self) -> BiSSLModel:
        pretext, downstream = ToyPretext().double(), ToyDownstream().double()
        pretext.load_state_dict(self.part('in/lower.'))
        downstream.load_state_dict(self.part('in/upper.'))
        return BiSSLModel(pretext, downstream)

    def solver(self) -> dict:
        if self.settings['layerwise']:
            return dict(type='LayerwiseCGSolver', max_iters=self.settings['cg_iters'])
        return dict(
            type='CGSolver',
            max_iters=self.settings['cg_iters'],
            negative_curvature='continue',
            epsilon=1e-12,
        )


def assert_same(actual: torch.Tensor, expected: torch.Tensor, name: str):
    """rtol 1e-6 of the tensor's largest number.

    A convolution's bias before a batch norm has a gradient of exactly 0;
    there both sides hold rounding noise, hence the absolute term.
    """
    scale = expected.abs().max().item()
    torch.testing.assert_close(
        actual.cpu(),
        expected,
        rtol=1e-6,
        atol=max(1e-6 * scale, 1e-14),
        msg=lambda text: f'{name}: {text}',
    )


def sgd(model, lr=0.0, momentum=0.0, weight_decay=0.0, clip=None):
    clip_grad = dict(max_norm=clip) if clip else None
    optimizer = torch.optim.SGD(
        model.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay
    )
    return OptimWrapper(optimizer, clip_grad=clip_grad)


@pytest.mark.parametrize('path', cases('hypergradient'))
def test_upper_step_gives_the_published_hypergradient(path, device):
    case = Case(path)
    model = case.model().to(device)
    wrapper = BiSSLOptimWrapper(
        sgd(model.pretext),
        sgd(model.downstream),
        sgd(model.downstream),
        regularizer=dict(weight=case.settings['lam']),
        hypergradient=dict(damping=case.settings['damping'], solver=case.solver()),
    )
    pretext_batch = dict(inputs=[case['in/view1'], case['in/view2']])
    wrapper.begin_upper_phase(model, [pretext_batch], seed=0)
    assert_same(
        wrapper.system.curvature_operator.loss, case['out/pretext_loss'], 'pretext loss'
    )
    found = wrapper.upper_gradient(
        model, dict(inputs=case['in/images'], data_samples=case['in/labels']), seed=0
    )
    names = [n for n, _ in model.pretext.backbone.named_parameters()]
    seen = dict(
        found.logs,
        grads=found.gradients,
        v=dict(zip(names, found.v)),
        v_ij=dict(zip(names, found.solution.value)),
    )
    assert_same(
        seen['loss_at_lower'],
        case['out/downstream_loss_at_lower'],
        'downstream loss at theta_P',
    )
    assert_same(
        seen['loss_at_upper'],
        case['out/downstream_loss_at_upper'],
        'downstream loss at theta_D',
    )
    for kind in ('v', 'v_ij'):
        expected = case.part(f'out/{kind}.')
        assert expected.keys() == seen[kind].keys()
        for name, value in expected.items():
            assert_same(seen[kind][name], value, f'{kind} of {name}')
    expected = case.part('out/upper_grad.')
    assert expected.keys() == seen['grads'].keys()
    for name, value in expected.items():
        assert_same(seen['grads'][name], value, f'upper gradient of {name}')


class KeepOutputs(Hook):
    """Keeps each alternation's means."""

    def __init__(self) -> None:
        self.outputs = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.outputs.append(outputs)


@pytest.mark.parametrize('path', cases('trajectory'))
def test_loop_gives_the_published_trajectory(path, tmp_path, float64, device):
    case = Case(path)
    settings = case.settings
    model = case.model()
    # The stage itself copies theta_P to theta_D; here both are given.
    model.copy_backbone_to_upper = lambda: None
    views = [dict(inputs=[a, b]) for a, b in zip(case['in/view1'], case['in/view2'])]
    images = [
        dict(inputs=x, data_samples=y)
        for x, y in zip(case['in/images'], case['in/labels'])
    ]

    def stream(batches):
        # One sample of the dataset is one batch of the vectors.
        return dict(
            dataset=DictDataset(batches),
            batch_size=1,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type=lambda samples: samples[0]),
        )

    hook = KeepOutputs()
    levels = {
        level: sgd(
            part,
            settings[level]['lr'],
            settings[level]['momentum'],
            settings[level]['weight_decay'],
            settings['clip_norm'],
        )
        for level, part in (('lower', model.pretext), ('upper', model.downstream))
    }
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader=stream(images),
        train_cfg=dict(
            type=BiSSLTrainLoop,
            pretext_dataloader=stream(views),
            num_alternations=settings['T'],
            num_lower_steps=settings['N_L'],
            num_upper_steps=settings['N_U'],
            head_warmup=None,
        ),
        optim_wrapper=BiSSLOptimWrapper(
            **levels,
            head_warmup=sgd(model.downstream),
            regularizer=dict(weight=settings['lam']),
            hypergradient=dict(damping=settings['damping'], solver=case.solver()),
        ),
        default_hooks=dict(checkpoint=None),
        custom_hooks=[hook],
        cfg=Config(dict(log_level='ERROR')),
        randomness=dict(seed=0),
        log_level='ERROR',
    )
    runner.train()
    keys = (
        'lower/pretext_loss',
        'lower/proximal_loss',
        'upper/loss_at_lower',
        'upper/loss_at_upper',
    )
    losses = torch.tensor([[o[k] for k in keys] for o in hook.outputs])
    assert_same(losses, case['out/mean_losses'], 'mean losses')
    for level, part in (('lower', model.pretext), ('upper', model.downstream)):
        params = dict(part.named_parameters())
        expected = case.part(f'out/{level}.')
        assert expected.keys() == params.keys()
        for name, value in expected.items():
            assert_same(params[name].detach(), value, f'{level} {name}')
