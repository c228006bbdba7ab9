"""The pixel values that reach a backbone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ...config import is_type
from ...utils.errors import ValueRefusal


@dataclass
class Pixels:
    """``(x - mean) / std`` of a pixel x from 0 to 255, by channel.

    Attributes:
        order (str): Order of the channels, ``'RGB'`` or ``'BGR'``.
        mean (list[float]): Mean by channel, in this order.
        std (list[float]): Standard deviation by channel, in this order.
    """

    order: str
    mean: list[float]
    std: list[float]

    @classmethod
    def of(cls, model: nn.Module, pipeline: Sequence[Any]) -> 'Pixels':
        """Read what a model's data pipeline and preprocessor do to a pixel.

        The settings of the transforms are read. Random transforms are ignored.

        Args:
            model (nn.Module): It has a ``data_preprocessor`` of OpenMMLab.
            pipeline (Sequence[dict]): Transforms of its data.
        """
        pixels = cls('BGR', [0.0], [1.0])
        for step in _steps(pipeline):
            pixels._transform(step)
        pixels._preprocess(getattr(model, 'data_preprocessor', None))
        return pixels

    def __str__(self) -> str:
        mean, std = (
            '[' + ', '.join(f'{v:g}' for v in values) + ']'
            for values in (self.mean, self.std)
        )
        return f'(x - {mean}) / {std} of {self.order}'

    def _transform(self, step: dict) -> None:
        name = str(step.get('type'))
        if (
            is_type(step, 'LoadImageFromFile', 'LoadImageFromNDArray')
            and step.get('channel_order', 'bgr') == 'rgb'
        ):
            self.order = 'RGB'
        elif is_type(step, 'ToTensor', 'ConvertImageDtype') and 'torchvision' in name:
            self._normalise([0.0], [255.0])
        elif is_type(step, 'ToPIL', 'NumpyToPIL') and step.get('to_rgb'):
            self._turn()
        elif is_type(step, 'Normalize') and 'mean' in step:
            if 'torchvision' not in name and step.get('to_rgb', True):
                self._turn()
            self._normalise(step['mean'], step['std'])
        elif is_type(step, 'Albu', 'Albumentations'):
            for inner in step.get('transforms') or ():
                if is_type(inner, 'Normalize'):
                    most = inner.get('max_pixel_value', 255.0)
                    self._normalise(
                        [m * most for m in inner.get('mean', (0.485, 0.456, 0.406))],
                        [s * most for s in inner.get('std', (0.229, 0.224, 0.225))],
                    )

    def _preprocess(self, preprocessor: Any) -> None:
        if getattr(
            preprocessor, '_channel_conversion', getattr(preprocessor, 'to_rgb', False)
        ):
            self._turn()
        mean: Any = getattr(preprocessor, 'mean', None)
        std: Any = getattr(preprocessor, 'std', None)
        if getattr(preprocessor, '_enable_normalize', mean is not None):
            self._normalise(mean.flatten().tolist(), std.flatten().tolist())

    def _turn(self) -> None:
        self.order = 'BGR' if self.order == 'RGB' else 'RGB'
        self.mean, self.std = self.mean[::-1], self.std[::-1]

    def _normalise(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Apply ``(x - mean) / std`` to the pixels so far."""
        size = max(len(self.mean), len(mean))
        rows = [
            list(v) * size if len(v) == 1 else list(v)
            for v in (self.mean, self.std, mean, std)
        ]
        self.mean = [m + n * s for m, s, n, _ in zip(*rows, strict=True)]
        self.std = [s * t for _, s, _, t in zip(*rows, strict=True)]


def _steps(pipeline: Any) -> Iterator[dict]:
    """All transforms, including inner ones. Of several views the first is
    taken."""
    if isinstance(pipeline, dict):
        yield pipeline
        if is_type(pipeline, 'Albu', 'Albumentations'):
            return
        inner = pipeline.get('transforms') or ()
        if (
            is_type(pipeline, 'MultiView')
            and inner
            and isinstance(inner[0], (list, tuple))
        ):
            inner = inner[0]
        yield from _steps(inner)
    elif isinstance(pipeline, (list, tuple)):
        for step in pipeline:
            yield from _steps(step)


def unscale(model: nn.Module) -> None:
    """Normalise as the authors' pretext code does: pixels of 0 to 255 by a mean and
    deviation that are those of pixels of 0 to 1. Their released backbones are of such
    images; downstream images they scale.

    Args:
        model (nn.Module): Its ``data_preprocessor`` is changed.

    Raises:
        ValueError: If that does not normalise.
    """
    preprocessor = getattr(model, 'data_preprocessor', None)
    mean: Any = getattr(preprocessor, 'mean', None)
    std: Any = getattr(preprocessor, 'std', None)
    if mean is None or std is None or std.max() <= 1:
        raise ValueRefusal(
            f'unscaled_pixels: the data_preprocessor of {type(model).__name__} has mean '
            f'{None if mean is None else mean.flatten().tolist()}, not that of pixels '
            'of 0 to 255, so there is nothing to change. Set unscaled_pixels=False.'
        )
    mean /= 255
    std /= 255
