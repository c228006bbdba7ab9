"""A CUDA device that is none, for tests on machines without a GPU.

Tensors say ``cuda:0`` and compute on the CPU. Inside :class:`PretendedCuda`
``tensor.to('cuda')``, ``torch.ones(3, device='cuda')`` and ``model.cuda()`` work.
The values are real, so that a whole training step runs and can be compared with
the CPU's. What a GPU would object to is an error here: tensors of two devices in
one operation, and operations without a CUDA kernel. What would make the host wait
for the device is noted with the line of code that asked for it.

Not emulated: the numerics of TF32 and cuDNN, the choice of kernels, races of
streams, the transport of collectives, mmcv's CUDA operators.
"""

from .mode import PretendedCuda
from .tensor import MixedDevices, OnCuda

__all__ = ['MixedDevices', 'OnCuda', 'PretendedCuda']
