"""Random views of whole batches, faster than transforms of single images."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from ..registry import MODELS
from ..utils.check import check_keys, check_known_keys
from ..utils.errors import TypeRefusal, ValueRefusal

#: Weights of R, G and B in a grey value.
_GREY = (0.299, 0.587, 0.114)
#: From R, G and B to Y, I and Q.
_YIQ = (_GREY, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


@MODELS.register_module()
@check_keys
class BatchViews(BaseDataPreprocessor):
    """Augments and normalises a batch of images of one size.

    Each image has its own random draws. torchvision and OpenMMLab draw once for
    a whole batch, or transform one image after the other. The views of 128
    images of 32 px then take longer than a step of a small network. In
    evaluation, images are only normalised.

    A view is a random resized crop, a mirror, with ``prob`` a change of
    brightness, contrast, saturation and hue (always in this order, while
    SimCLR's is random), and a conversion to grey. All run on the device of the
    model, bilinear and without antialiasing: crops are enlarged, not reduced.

    Args:
        mean (Sequence[float]): Mean of pixels from 0 to 255, in the order R, G,
            B if ``to_rgb``.
        std (Sequence[float]): Standard deviation, likewise.
        to_rgb (bool): Whether to convert the images from B, G, R, the order in
            which OpenMMLab loads them. Defaults to True.
        num_views (int, optional): Number of views of each image; they are
            returned as a list of batches. Defaults to None: one batch, not in a
            list.
        crop_scale (Sequence[float], optional): Smallest and largest share of
            the area in a crop. None keeps the whole image. Defaults to
            (0.2, 1).
        crop_ratio (Sequence[float]): Smallest and largest ratio of width to
            height. Defaults to (3/4, 4/3).
        flip_prob (float): Probability of a mirror. Defaults to 0.5.
        color_jitter (dict, optional): ``brightness``, ``contrast`` and
            ``saturation`` (largest change of a factor of 1), ``hue`` (largest
            share of a turn) and ``prob``. Defaults to None: no change.
        gray_prob (float): Probability of a conversion to grey. Defaults to 0.
        batch_augments (dict, optional): mmpretrain's classifiers pass their
            ``train_cfg`` here. Only None is supported. Defaults to None.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        to_rgb: bool = True,
        num_views: int | None = None,
        crop_scale: Sequence[float] | None = (0.2, 1.0),
        crop_ratio: Sequence[float] = (3 / 4, 4 / 3),
        flip_prob: float = 0.5,
        color_jitter: dict[str, float] | None = None,
        gray_prob: float = 0.0,
        batch_augments: dict | None = None,
    ) -> None:
        # A copy to a GPU need not wait for what the GPU is doing.
        super().__init__(non_blocking=True)
        if batch_augments is not None:
            raise ValueRefusal(
                'BatchViews cannot mix images, but model.train_cfg is '
                f'{batch_augments!r}. Set model.train_cfg=None, or '
                "data_preprocessor.type='ClsDataPreprocessor'."
            )
        if min(std) <= 0:
            raise ValueRefusal(f'BatchViews: std must be above 0, but is {list(std)}.')
        for name, values in (('mean', mean), ('std', std)):
            self.register_buffer(
                name, torch.tensor(values).float().view(1, -1, 1, 1), False
            )
        self.register_buffer('grey', torch.tensor(_GREY).view(1, 3, 1, 1), False)
        yiq = torch.tensor(_YIQ)
        self.register_buffer('yiq', torch.stack((yiq, torch.linalg.inv(yiq))), False)
        self.to_rgb = to_rgb
        self.num_views = num_views
        self.crop_scale = crop_scale
        self.crop_ratio = crop_ratio
        self.flip_prob = flip_prob
        self.color_jitter = dict(color_jitter or {})
        check_known_keys(
            'BatchViews.color_jitter',
            self.color_jitter,
            ('brightness', 'contrast', 'saturation', 'hue', 'prob'),
        )
        self.gray_prob = gray_prob

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess a collated batch.

        Args:
            data (dict): ``inputs``, uint8 of shape (N, 3, H, W) or a list of
                (3, H, W), and ``data_samples``.
            training (bool): Whether views are drawn.

        Returns:
            dict: ``inputs``, float (N, 3, H, W) or a list of ``num_views``
            such, and ``data_samples``.
        """
        data = self.cast_data(data)
        images = _stacked(data['inputs'])
        if self.to_rgb:
            images = images.flip(1)
        images = images.float()
        inputs: Any
        if not training:
            inputs = self._normalised(images)
        elif self.num_views is None:
            inputs = self._view(images)
        else:
            inputs = [self._view(images) for _ in range(self.num_views)]
        return dict(inputs=inputs, data_samples=data.get('data_samples'))

    def _view(self, images: Tensor) -> Tensor:
        images = self._cropped(images)
        if self.color_jitter:
            chosen = _chosen(images, self.color_jitter.get('prob', 1.0))
            images = torch.where(chosen, self._jittered(images), images)
        if self.gray_prob:
            images = torch.where(
                _chosen(images, self.gray_prob),
                self._in_grey(images).expand_as(images),
                images,
            )
        return self._normalised(images)

    def _normalised(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def _cropped(self, images: Tensor) -> Tensor:
        if self.crop_scale is None and not self.flip_prob:
            return images
        size = len(images)
        matrix = images.new_zeros(size, 2, 3)
        low, high = self.crop_scale or (1.0, 1.0)
        area = low + (high - low) * _uniform(images)
        log_ratio = (
            [math.log(r) for r in self.crop_ratio] if self.crop_scale else [0.0, 0.0]
        )
        ratio = torch.exp(
            log_ratio[0] + (log_ratio[1] - log_ratio[0]) * _uniform(images)
        )
        # Edges of the crop as shares of the image's edges.
        width = (area * ratio).sqrt().clamp(max=1)
        height = (area / ratio).sqrt().clamp(max=1)
        mirror = 1 - 2 * (_uniform(images) < self.flip_prob).float()
        matrix[:, 0, 0] = width * mirror
        matrix[:, 1, 1] = height
        matrix[:, 0, 2] = (2 * _uniform(images) - 1) * (1 - width)
        matrix[:, 1, 2] = (2 * _uniform(images) - 1) * (1 - height)
        grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False, padding_mode='border')

    def _jittered(self, images: Tensor) -> Tensor:
        def factor(name: str) -> Tensor:
            most = self.color_jitter.get(name, 0.0)
            return (1 + most * (2 * _uniform(images) - 1)).view(-1, 1, 1, 1)

        images = (images * factor('brightness')).clamp(0, 255)
        mean = self._in_grey(images).mean((2, 3), keepdim=True)
        images = torch.lerp(mean.expand_as(images), images, factor('contrast')).clamp(
            0, 255
        )
        images = torch.lerp(
            self._in_grey(images).expand_as(images), images, factor('saturation')
        ).clamp(0, 255)
        hue = self.color_jitter.get('hue', 0.0)
        if hue:
            turn = 2 * math.pi * hue * (2 * _uniform(images) - 1)
            matrices = hue_rotation(turn, self.yiq)
            images = torch.einsum('nij,njhw->nihw', matrices, images).clamp(0, 255)
        return images

    def _in_grey(self, images: Tensor) -> Tensor:
        return (images * self.grey).sum(1, keepdim=True)


def _stacked(inputs: Tensor | Sequence[Tensor]) -> Tensor:
    if isinstance(inputs, Tensor):
        return inputs
    sizes = {tuple(image.shape) for image in inputs}
    if len(sizes) != 1:
        raise TypeRefusal(
            f'BatchViews needs images of one size, but got {sorted(sizes)}. '
            'Resize and crop them in the pipeline.'
        )
    return torch.stack(list(inputs))


def _uniform(images: Tensor) -> Tensor:
    """A number from 0 to 1 for each image."""
    return torch.rand(len(images), device=images.device)


def _chosen(images: Tensor, prob: float) -> Tensor:
    return (_uniform(images) < prob).view(-1, 1, 1, 1)


def hue_rotation(angle: Tensor, yiq: Tensor) -> Tensor:
    """Matrices that rotate the colour plane of YIQ and do not change grey values.

    Args:
        angle (Tensor): Of each image, shape ``(N, )``.
        yiq (Tensor): The matrix from RGB to YIQ and its inverse, shape
            ``(2, 3, 3)``.

    Returns:
        Tensor: Shape ``(N, 3, 3)``.
    """
    turn = torch.zeros(len(angle), 3, 3, device=angle.device)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -angle.sin(), angle.sin()
    return yiq[1] @ turn @ yiq[0]
