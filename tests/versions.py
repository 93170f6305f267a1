"""Marks for tests of what older versions of PyTorch lack."""

import pytest
import torch
from lib.engines import OLDEST, is_old

from mmbackbones.layers.recomputation import CAN_ASK

needs_exporter = pytest.mark.skipif(is_old(), reason=f'writes ONNX with PyTorch {OLDEST} or newer')
needs_recomputation = pytest.mark.skipif(not CAN_ASK, reason='recomputes with PyTorch 2.8 or newer')
needs_tracer = pytest.mark.skipif(
    torch.__version__ < '2.8', reason="cannot compile mmengine's wrapper of nms"
)
