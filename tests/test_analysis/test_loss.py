"""The loss of the validation data."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from small_models import classifier_cfg

import bissl_mm.models  # noqa: F401
from bissl_mm.analysis.runs.loss import mean_loss


def test_loss_is_the_mean_over_images_with_running_statistics():
    torch.manual_seed(0)
    init_default_scope('mmpretrain')
    model = MODELS.build(classifier_cfg())
    number = model.head.num_classes
    # In training, so that statistics of the batch would give another loss.
    model.train()
    batches = []
    for size in (5, 2):
        labels = torch.arange(size) % number
        batches.append(
            dict(
                inputs=torch.randn(size, 3, 32, 32),
                data_samples=[DataSample().set_gt_label(i) for i in labels],
            )
        )
    found = mean_loss(model, batches)
    model.eval()
    losses = []
    with torch.no_grad():
        for batch in batches:
            data = model.data_preprocessor(batch)
            (features,) = model.neck(model.backbone(data['inputs']))
            labels = torch.tensor([int(s.gt_label) for s in batch['data_samples']])
            losses += F.cross_entropy(model.head.fc(features), labels, reduction='none')
    assert found == pytest.approx(float(torch.stack(losses).mean()), rel=1e-6)
