"""One setting says which batch norms take statistics over all processes."""

import pytest
import torch
from mmpretrain.models.utils.sparse_modules import (
    SparseBatchNorm2d,
    SparseSyncBatchNorm2d,
)
from small_models import build, classifier_cfg, simclr_cfg
from torch import nn

from bissl_mm.models import BiSSLModel, DifferentiableSyncBatchNorm, set_sync_norms
from bissl_mm.models.checks import check_differentiable
from bissl_mm.utils.errors import TypeRefusal


def model(sync_norms, norm='BN'):
    return BiSSLModel(
        build(simclr_cfg(norm=norm)),
        build(classifier_cfg(norm), seed=3),
        sync_norms=sync_norms,
    )


def norms(module):
    return [
        m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ]


@pytest.mark.parametrize('norm', ['BN', 'bissl_mm.DifferentiableSyncBN'])
def test_one_setting_decides_for_every_norm_of_both_levels(norm):
    across = [bool(getattr(m, 'synchronised', False)) for m in norms(model(None, norm))]
    # More norms than one backbone has.
    assert len(across) > 40
    assert set(across) == {norm != 'BN'}
    assert all(m.synchronised for m in norms(model(True, norm)))
    assert not any(getattr(m, 'synchronised', False) for m in norms(model(False, norm)))


def test_tensors_and_their_names_stay():
    plain = build(simclr_cfg()).eval()
    plain.backbone.bn1.weight.requires_grad_(False)
    before = dict(plain.state_dict(keep_vars=True))
    after = dict(set_sync_norms(plain, True).state_dict(keep_vars=True))
    assert list(before) == list(after)
    assert all(after[name] is tensor for name, tensor in before.items())
    assert type(plain.backbone.bn1) is DifferentiableSyncBatchNorm
    assert not plain.backbone.bn1.training


def test_a_norm_used_in_two_places_stays_one():
    norm = nn.BatchNorm2d(3, eps=0.1, momentum=0.3)
    pair = set_sync_norms(nn.Sequential(norm, nn.ReLU(), norm), True)
    assert pair[0] is pair[2]
    assert (pair[0].eps, pair[0].momentum) == (0.1, 0.3)
    images = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(pair[0](images), norm(images))


def test_torchs_own_synchronised_norm_gets_a_second_derivative():
    norm = set_sync_norms(nn.SyncBatchNorm(3), False)
    assert type(norm) is DifferentiableSyncBatchNorm
    assert not norm.synchronised


def test_norms_that_do_more_are_not_replaced():
    """SparK's normalise the visible places alone."""
    local, across = SparseBatchNorm2d(3), SparseSyncBatchNorm2d(3)
    for norm, synchronised in ((local, True), (across, True), (across, False)):
        with pytest.raises(TypeRefusal, match=f'a {type(norm).__name__} has a forward'):
            set_sync_norms(nn.Sequential(norm), synchronised)
    assert set_sync_norms(local, False) is local
    check_differentiable(local, nn.Identity())
    with pytest.raises(TypeRefusal, match="'0' is a SparseSyncBatchNorm2d, .*no Hess"):
        check_differentiable(nn.Sequential(across), nn.Identity())
    check_differentiable(nn.Sequential(across), nn.Identity(), curvature='differences')
