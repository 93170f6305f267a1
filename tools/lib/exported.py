"""Files of tools/export.py in the place of models: what they find, as mm's data samples."""

import mmcv
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import InstanceData, PixelData

from lib.usage import usage_errors
from mmbackbones.deploy import Model

ENDINGS = ('.onnx', '.xml')


def is_exported(path):
    """Whether it names a file of ONNX or OpenVINO, by its ending."""
    return path is not None and path.lower().endswith(ENDINGS)


def open_exported(path, **options):
    """The file as a `mmbackbones.deploy.Model`."""
    with usage_errors(ImportError, OSError, ValueError):
        return Model(path, **options)


def fill(sample, found):
    """Put what was found in a picture into a data sample, as the models of mm do."""
    if 'boxes' in found:
        keys = dict(bboxes='boxes', scores='scores', labels='labels', masks='masks')
        parts = {name: torch.from_numpy(found[key]) for name, key in keys.items() if key in found}
        sample.pred_instances = InstanceData(**parts)
    if 'panoptic' in found:
        sample.pred_panoptic_seg = PixelData(sem_seg=torch.from_numpy(found['panoptic'])[None])
    if 'classes' in found:
        classes = torch.from_numpy(found['classes']).long()[None]
        name = 'sem_seg' if is_of_mmdet(sample) else 'data'
        sample.pred_sem_seg = PixelData(**{name: classes})
    return sample


def is_of_mmdet(sample):
    """Whether a data sample is one of mmdet, which names its parts in another way than mmseg."""
    return type(sample).__module__.startswith('mmdet')


@MODELS.register_module(force=True)
class ExportedModel(BaseModel):
    """A model for mm's test loop: it reads and resizes pictures as programs with the file do."""

    def __init__(self, file, data_preprocessor=None):
        super().__init__()
        self.file = Model(file)

    def test_step(self, data):
        """The data samples of a batch with what the file finds."""
        for sample in data['data_samples']:
            image = mmcv.imread(sample.img_path, backend='cv2')
            fill(sample, self.file(image[..., ::-1]))
        if any(map(is_of_mmdet, data['data_samples'])):
            from mmdet.models.utils import samplelist_boxtype2tensor

            samplelist_boxtype2tensor(data['data_samples'])  # as its own models do
        return data['data_samples']

    def forward(self, inputs, data_samples=None, mode='tensor'):
        """There is none: files neither train nor give maps."""
        raise NotImplementedError('a file of tools/export.py can be tested alone')
