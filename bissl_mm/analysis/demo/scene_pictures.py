"""Draws dense predictions beside the ground truth."""

import numpy as np
import torch
from matplotlib import colormaps
from mmengine.runner import Runner
from PIL import Image, ImageDraw

ZOOM = 3
NUMBER = 5
MIN_SCORE = 0.3


def detections(runner: Runner) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Boxes on the first test pictures with scores above ``MIN_SCORE``.

    Args:
        runner (Runner): A fine-tuning runner with the weights to show.

    Returns:
        tuple: True and predicted boxes, lists of ``(H, W, 3)`` uint8.
    """
    truth, predicted = [], []
    for picture, sample in _predictions(runner):
        dataset = runner.test_loop.dataloader.dataset
        instances = dataset.get_data_info(len(truth))['instances']
        truth.append(
            draw_boxes(
                picture,
                [i['bbox'] for i in instances],
                [i['bbox_label'] for i in instances],
            )
        )
        found = sample.pred_instances
        found = found[found.scores > MIN_SCORE]
        predicted.append(
            draw_boxes(picture, found.bboxes.tolist(), found.labels.tolist())
        )
    return truth, predicted


def segmentations(runner: Runner) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Label maps on the first test pictures.

    Args:
        runner (Runner): A fine-tuning runner with the weights to show.

    Returns:
        tuple: True and predicted labels, lists of ``(H, W, 3)`` uint8.
    """
    truth, predicted = [], []
    for picture, sample in _predictions(runner):
        truth.append(draw_labels(picture, sample.gt_sem_seg.data[0].numpy()))
        predicted.append(draw_labels(picture, sample.pred_sem_seg.data[0].numpy()))
    return truth, predicted


def draw_boxes(picture: np.ndarray, boxes: list, labels: list) -> np.ndarray:
    """An enlarged picture with boxes ``(x1, y1, x2, y2)`` and their classes."""
    height, width = picture.shape[:2]
    canvas = Image.fromarray(picture).resize((ZOOM * width, ZOOM * height))
    draw = ImageDraw.Draw(canvas)
    for box, label in zip(boxes, labels, strict=True):
        colour = tuple(_colour(label).tolist())
        corners = [ZOOM * value for value in box]
        draw.rectangle(corners, outline=colour, width=2)
        draw.text(
            (corners[0] + 3, corners[1] + 1), str(label), fill=colour, font_size=18
        )
    return np.asarray(canvas)


def draw_labels(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The picture with classes from 1 on in colour; 0 is the background."""
    shown = picture.astype(float)
    for label in np.unique(labels):
        if 0 < label < 255:
            here = labels == label
            shown[here] = 0.35 * shown[here] + 0.65 * _colour(label - 1)
    return shown.astype(np.uint8).repeat(ZOOM, 0).repeat(ZOOM, 1)


def _colour(label: int) -> np.ndarray:
    return (np.array(colormaps['tab10'](int(label) % 10)[:3]) * 255).astype(int)


@torch.no_grad()
def _predictions(runner: Runner) -> list:
    """Pictures ``(H, W, 3)`` uint8 with predicted samples."""
    dataset = runner.test_loop.dataloader.dataset
    model = runner.model.eval()
    pairs = []
    for index in range(min(NUMBER, len(dataset))):
        data = dataset[index]
        picture = data['inputs'].numpy().transpose(1, 2, 0)
        batch = dict(inputs=[data['inputs']], data_samples=[data['data_samples']])
        pairs.append((picture, model.test_step(batch)[0].cpu()))
    return pairs
