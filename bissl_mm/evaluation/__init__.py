"""Metrics that the OpenMMLab libraries do not have."""

from .voc07_metric import VOC07Metric, eleven_point_precision

__all__ = ['VOC07Metric', 'eleven_point_precision']
