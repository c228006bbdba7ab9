"""Models of the bilevel stage."""

from .backbone_map import BackboneMap, BackbonePairs
from .batch_views import BatchViews
from .bissl_model import BiSSLModel, unwrap
from .losses.functional import loss_with_state, pretext_closure, pure_forward
from .losses.outputs import pretext_outputs_closure
from .pretext import BYOL, SimCLR
from .pretext.norm import DifferentiableSyncBatchNorm, set_sync_norms
from .small_resnet import SmallResLayer, SmallResNet
from .weights.pretrained import check_pretrained_init, load_pretrained

__all__ = [
    'BYOL',
    'BackboneMap',
    'BackbonePairs',
    'BatchViews',
    'BiSSLModel',
    'DifferentiableSyncBatchNorm',
    'SimCLR',
    'SmallResLayer',
    'SmallResNet',
    'check_pretrained_init',
    'load_pretrained',
    'loss_with_state',
    'pretext_closure',
    'pretext_outputs_closure',
    'pure_forward',
    'set_sync_norms',
    'unwrap',
]
