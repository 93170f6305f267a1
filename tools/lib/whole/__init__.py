"""Whole models of mmdet and mmseg as modules that engines' graphs are made of.

Each takes a picture as it is and gives what the model finds in it, which mm's own functions do with
branches on data. `METHODS` says which file beside this one knows the models of a class of mm.
"""

from importlib import import_module

from torch import nn

from lib.whole.picture import Picture, needed_divisor
from lib.whole.pipeline import named, test_steps

# What files for any size are made from. PyTorch takes a number that is 1 here, such as that of the
# windows of a small map, for one that always is. It computes with shapes alone: size costs nothing.
EXAMPLE = 1376, 1760
# What lies among mmcv's operators and can be exported: the first two are written anew here, the
# others (of CCNet and NAS-FPN) are plain PyTorch.
EXPORTABLE = {
    'MultiScaleDeformableAttention', 'RoIAlign',
    'CrissCrossAttention', 'ConcatCell', 'GlobalPoolingCell', 'SumCell',
}  # fmt: skip
# The method in which heads of mm predict for one image. A file repeats it, so it must be the known
# one; if it moves, detectors cannot be exported.
OF_ONE_IMAGE = '_predict_by_feat_single'
METHODS = {  # a class of mm: what stands for it and for the classes made from it
    'SingleStageDetector': 'dense_heads.DenseDetector',
    'TwoStageDetector': 'two_stage.RegionDetector',
    'DETR': 'queries.QueryDetector',
    'DeformableDETR': 'queries.DeformableQueryDetector',
    'MaskFormer': 'mask_queries.mask_query_model',
    'EncoderDecoder': 'segmenters.segmenter',
}


class Refused(TypeError):
    """A model that no whole file can be written of; the text is a sentence for the user."""


class WholeModel(nn.Module):
    """A picture (H, W, 3) in uint8 RGB, or several with `batch`, -> what a model of mm finds in it.

    Methods inherit from this class: `__init__` raises `Refused` for what it does not know, without
    looking at weights, which are loaded later; `forward` computes `output_names`.
    """

    task, masks = 'detection', 'none'
    output_names = ('boxes', 'scores', 'labels')
    counted_outputs = ('boxes', 'scores', 'labels', 'masks', 'segments')  # one for each find
    takes_several = False  # pictures in a file of --batch
    computes_half = False  # in float16 with --half; otherwise only weights are stored so
    score_threshold = None  # below which nothing is found
    mask_threshold = 0.5  # from which on a pixel belongs to a mask

    def __init__(self, model, settings):
        super().__init__()
        self.model, self.settings = model.eval(), settings
        pad, divisor = settings.get('pad'), needed_divisor(model)
        self.picture = Picture(model.data_preprocessor, pad, divisor)
        refuse_operators(model)
        several = settings.get('batch')
        if several and not self.takes_several:
            raise Refused(
                f'{type(model).__name__} finds another number of things in each picture, so its '
                f'files take one at a time; leave out --batch'
            )
        self.axes = {1: 'height', 2: 'width'} if several else {0: 'height', 1: 'width'}

    def features(self, images):
        """What the neck of the model gives of prepared pictures, or its backbone."""
        return self.model.extract_feat(images.to(next(self.model.parameters()).dtype))

    def mask_heads(self):
        """The modules of mm whose outputs are the masks of boxes."""
        return []


def refuse_operators(model):
    """Raise `Refused` if a model has operators of mmcv that engines lack, e.g. deformable ones."""
    kinds = {type(module) for module in model.modules()}
    names = {kind.__name__ for kind in kinds if kind.__module__.startswith('mmcv.ops')}
    if found := sorted(names - EXPORTABLE):
        names = ', '.join(found)
        raise Refused(f'{type(model).__name__} has {names} of mmcv, which engines lack')


def check_methods(parts, names, *kinds):
    """Raise `Refused` if a part has other methods of these names than classes of mm."""
    for part in parts:
        for name in names.split():
            if getattr(type(part), name, None) not in [getattr(kind, name) for kind in kinds]:
                raise Refused(f'{type(part).__name__} has a {name} that is not known here')


def whole_model(model, settings=(), cfg=None):
    """The `WholeModel` of a built model; `Refused` if there is none.

    Args:
        model: A detector of mmdet or a segmenter of mmseg.
        settings: Flags of the tool that methods read: size, batch, scores, paste_masks, gather.
        cfg: Its config, whose test pipeline may pad pictures.
    """
    settings = dict(settings, pad=named(test_steps(cfg), 'Pad') if cfg else None)
    for kind in type(model).__mro__:
        if kind.__name__ in METHODS:
            module, name = METHODS[kind.__name__].split('.')
            return getattr(import_module(f'lib.whole.{module}'), name)(model, settings).eval()
    raise Refused(f'{type(model).__name__} is no model that can be exported whole')
