"""The two views of an image that SimCLR and BYOL compare."""

from collections.abc import Sequence
from numbers import Real

from mmcv.transforms import BaseTransform

from ..registry import TRANSFORMS
from ..utils.check import check_keys
from ..utils.errors import ValueRefusal


@TRANSFORMS.register_module()
@check_keys
class SimCLRViews(BaseTransform):
    """Two random views of an image, made by mmpretrain's transforms.

    Each view is a random resized crop (Pillow, bicubic) with a horizontal flip of
    probability 0.5, a change of colours and a conversion to grey. The first view is
    blurred; the second is blurred and solarized with small probabilities. This
    follows Bardes et al., as section 4.2.1 of the paper does.

    Images are as OpenMMLab loads them: ``(H, W, 3)`` uint8 in the order B, G, R.
    ``results['img']`` becomes a list of two images ``(size, size, 3)``.

    Args:
        size (int): Height and width of a view, in pixels.
        min_scale (float): Least share of the image's area in a crop.
            Defaults to 0.5, the paper's.
        color_jitter (Sequence[float]): Strength of brightness, contrast,
            saturation and hue. Defaults to (0.4, 0.4, 0.2, 0.1).
        jitter_prob (float): Probability of the change of colours. Defaults to
            0.8.
        gray_prob (float): Probability of the conversion to grey. Defaults to
            0.2.
        blur_radius (Sequence[float]): Range of the radius of Pillow's blur,
            in pixels. Defaults to (0.1, 2).
        blur_probs (Sequence[float]): Probabilities of the blur in the first
            and in the second view. Defaults to (1, 0.1).
        solarize_prob (float): Probability of the solarization of the second
            view, which inverts values from 128 on. Defaults to 0.2.

    Raises:
        ValueError: For a value out of its range.
    """

    def __init__(
        self,
        size: int,
        min_scale: float = 0.5,
        color_jitter: Sequence[float] = (0.4, 0.4, 0.2, 0.1),
        jitter_prob: float = 0.8,
        gray_prob: float = 0.2,
        blur_radius: Sequence[float] = (0.1, 2.0),
        blur_probs: Sequence[float] = (1.0, 0.1),
        solarize_prob: float = 0.2,
    ) -> None:
        _check_numbers('size', [size], 1, least=1)
        _check_numbers('min_scale', [min_scale], 1, most=1)
        _check_numbers('color_jitter', color_jitter, 4)
        for name, value in (
            ('jitter_prob', jitter_prob),
            ('gray_prob', gray_prob),
            ('solarize_prob', solarize_prob),
        ):
            _check_numbers(name, [value], 1, most=1)
        _check_numbers('blur_radius', blur_radius, 2)
        _check_numbers('blur_probs', blur_probs, 2, most=1)
        self.size = size
        common = _common(size, min_scale, color_jitter, jitter_prob, gray_prob)
        first, second = (
            dict(
                type='GaussianBlur',
                magnitude_range=tuple(blur_radius),
                magnitude_std='inf',
                prob=prob,
            )
            for prob in blur_probs
        )
        solarize = dict(type='Solarize', thr=128, prob=solarize_prob)
        self.views = TRANSFORMS.build(
            dict(
                type='MultiView',
                _scope_='mmpretrain',
                num_views=[1, 1],
                transforms=[[*common, first], [*common, second, solarize]],
            )
        )

    def transform(self, results: dict) -> dict:
        """Replace the image by the two views.

        Args:
            results (dict): With ``img``, ``(H, W, 3)`` uint8, B, G, R.

        Returns:
            dict: The same with ``img`` a list of two views.
        """
        return self.views(results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size})'


def _common(
    size: int,
    min_scale: float,
    color_jitter: Sequence[float],
    jitter_prob: float,
    gray_prob: float,
) -> list[dict]:
    """Transforms of both views, before the blur."""
    names = ('brightness', 'contrast', 'saturation', 'hue')
    jitter = dict(zip(names, color_jitter, strict=True))
    return [
        dict(
            type='RandomResizedCrop',
            scale=size,
            crop_ratio_range=(min_scale, 1.0),
            interpolation='bicubic',
            backend='pillow',
        ),
        dict(type='RandomFlip', prob=0.5),
        dict(
            type='RandomApply',
            transforms=[dict(type='ColorJitter', **jitter)],
            prob=jitter_prob,
        ),
        dict(
            type='RandomGrayscale',
            prob=gray_prob,
            keep_channels=True,
            # For B, G and R.
            channel_weights=(0.114, 0.587, 0.2989),
        ),
    ]


def _check_numbers(
    name: str,
    values: Sequence[float],
    count: int,
    least: float = 0,
    most: float = float('inf'),
) -> None:
    """Refuse what is not ``count`` numbers from ``least`` to ``most``."""
    numbers = list(values) if isinstance(values, Sequence) else []
    if len(numbers) != count or not all(
        isinstance(value, Real) and least <= value <= most for value in numbers
    ):
        shown = values[0] if count == 1 else values
        kind = 'a number' if count == 1 else f'{count} numbers'
        upper = '' if most == float('inf') else f' and at most {most}'
        raise ValueRefusal(
            f'SimCLRViews: {name} must be {kind} of at least {least}{upper}, '
            f'but is {shown!r}.'
        )
