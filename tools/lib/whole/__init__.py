"""Whole models of mmdet and mmseg as modules that engines' graphs are made of.

Each takes a picture as it is and gives what the model finds in it, which mm's own functions do with
branches on data. `METHODS` says which file beside this one knows the models of a class of mm.
"""

from importlib import import_module

from torch import nn

from lib.whole.picture import Picture

METHODS = {  # a class of mm: what stands for it and for the classes made from it
    'SingleStageDetector': 'dense_heads.DenseDetector',
    'TwoStageDetector': 'two_stage.RegionDetector',
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
    takes_several = False  # pictures in a file of --batch
    score_threshold = None  # below which nothing is found

    def __init__(self, model, settings):
        super().__init__()
        self.model, self.picture, self.settings = model.eval(), Picture(model), settings
        several = settings.get('batch')
        if several and not self.takes_several:
            raise Refused(
                f'{type(model).__name__} finds another number of things in each picture, so its '
                f'files take one at a time; leave out --batch'
            )
        self.size_of_outputs = 'n'  # what a free size of one is called
        self.axes = {1: 'height', 2: 'width'} if several else {0: 'height', 1: 'width'}

    def features(self, image):
        """What the neck of the model gives, or its backbone."""
        images = self.picture(image).to(next(self.model.parameters()).dtype)
        return self.model.extract_feat(images)

    def mask_heads(self):
        """The modules of mm whose outputs are the masks of boxes."""
        return []


def whole_model(model, settings=()):
    """The `WholeModel` of a built model; `Refused` if there is none.

    Args:
        model: A detector of mmdet or a segmenter of mmseg.
        settings: Flags of the tool that methods read: batch, scores, paste_masks, gather.
    """
    for kind in type(model).__mro__:
        if kind.__name__ in METHODS:
            module, name = METHODS[kind.__name__].split('.')
            return getattr(import_module(f'lib.whole.{module}'), name)(model, dict(settings)).eval()
    raise Refused(f'{type(model).__name__} is no model that can be exported whole')
