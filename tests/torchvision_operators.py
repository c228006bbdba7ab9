"""torchvision's operators in the place of mmcv's compiled ones.

With them mmdet and upstream's mmseg can be imported, and small detectors run, where
mmcv-lite is installed. ``BISSL_OPERATORS=torchvision`` switches them on in
``conftest.py``; processes that a test starts do not have them.
"""

import importlib.abc
import importlib.machinery
import sys

import torch
import torchvision
from torch import Tensor

NAME = 'mmcv._ext'


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    assert offset == 0
    return torchvision.ops.nms(bboxes, scores, iou_threshold)


def _aligned(values: Tensor, rois: Tensor, settings: dict) -> Tensor:
    # 1 is the mean; mmcv has the maximum, too.
    assert settings['pool_mode'] == 1
    return torchvision.ops.roi_align(
        values,
        rois,
        (settings['aligned_height'], settings['aligned_width']),
        settings['spatial_scale'],
        settings['sampling_ratio'],
        settings['aligned'],
    )


def roi_align_forward(input, rois, output, argmax_y, argmax_x, **settings) -> None:
    output.copy_(_aligned(input, rois, settings))


def roi_align_backward(
    grad_output, rois, argmax_y, argmax_x, grad_input, **settings
) -> None:
    with torch.enable_grad():
        # The operator is linear in the values.
        values = torch.zeros_like(grad_input, requires_grad=True)
        out = _aligned(values, rois, settings)
        grad_input.copy_(torch.autograd.grad(out, values, grad_output)[0])


def get_compiling_cuda_version() -> str:
    return 'not available'


def _missing(name: str):
    """mmcv looks for every operator at its import, and calls few."""
    if name.startswith('__'):
        raise AttributeError(name)

    def operator(*args, **kwargs):
        raise NotImplementedError(f'{name} is not among these operators')

    return operator


class _Operators(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, path, target=None):
        if fullname == NAME:
            return importlib.machinery.ModuleSpec(NAME, self)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        for operator in (
            nms,
            roi_align_forward,
            roi_align_backward,
            get_compiling_cuda_version,
        ):
            setattr(module, operator.__name__, operator)
        module.__getattr__ = _missing


def install() -> None:
    """Let mmcv find these operators. Call it before mmcv is imported."""
    sys.meta_path.insert(0, _Operators())
