"""The scope `mmbackbones`: its types resolve from mmdet and mmseg configs without an import."""

from mmengine.registry import MODELS as ROOT
from mmengine.registry import Registry

MODELS = Registry('model', parent=ROOT, scope='mmbackbones', locations=['mmbackbones.models'])
