"""The model of any config, made to learn the classes of the demo set from random weights."""

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

# The demo set has instances, no stuff, and maps where 255 is no class. Nothing is downloaded.
WITHOUT = ('semantic_head', 'semantic_roi_extractor', 'ignore_index')
INSTEAD = dict(num_things_classes=80, num_stuff_classes=0, pad_seg=False, pretrained=None)
INSTEAD |= dict(panoptic_on=False, semantic_on=False, instance_on=True)
FREE = dict(drop_path_rate=0.0, frozen_stages=-1, norm_eval=False)


def name_of(part):
    """The name of a part's class, without its scope; a config may hold the class itself."""
    kind = part.get('type') if isinstance(part, dict) else type(part)
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


def parts_of(value):
    """Every dict in a value, but for those of an RPN, which counts no classes."""
    if isinstance(value, dict):
        yield value
        value = [each for key, each in value.items() if key != 'rpn_head']
    for each in value if isinstance(value, list | tuple) else ():
        yield from parts_of(each)


def class_counts(model, dataset, scope):
    """How many classes, and how many things, a dataset has; else what the heads of a model say."""
    kind = dataset.get('type')
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(dataset.get('_scope_', scope)) as registry:
            kind = registry.get(kind)
    known = {**getattr(kind, 'METAINFO', {}), **(dataset.get('metainfo') or {})}
    known = BaseDataset(metainfo=known, lazy_init=True).metainfo  # reads names that are in a file
    counts = {len(known[key]) for key in ('classes', 'thing_classes') if known.get(key)}
    return sorted(counts) or [part.num_classes for part in parts_of(model) if 'num_classes' in part]


def use_classes(model, old, new):
    """Let what counts one of the `old` numbers of classes count `new` ones, all of them things."""
    if name_of(model) == 'PanopticFPN':  # finds stuff, too
        model.type = 'mmdet.MaskRCNN'
        del model.panoptic_fusion_head
    for part in parts_of(model):
        for key in WITHOUT:
            part.pop(key, None)
        part.update({key: INSTEAD[key] for key in INSTEAD.keys() & part.keys()})
        if 'Pretrained' in str(part.get('init_cfg')):
            del part.init_cfg
        if part.get('num_classes') in old:
            part.num_classes = new
            if part.get('out_channels') in [1, *old]:  # of a segmenter
                del part.out_channels
        use_weights(part, old, new)


def use_weights(part, old, new):
    """Let all classes weigh the same where a part weighs them; the weight of none of them stays."""
    weights = part.get('class_weight')
    if isinstance(weights, str):  # a file
        part.class_weight = None
    elif isinstance(weights, list | tuple):
        number = next((each for each in old if len(weights) - each in (0, 1)), None)
        if number is not None:
            part.class_weight = [1.0] * new + list(weights[number:])


def shrink_model(model, size):
    """Random weights, nothing frozen, no drop path, few regions for the few objects of an image."""
    backbone = model.backbone
    ours = 'mmbackbones.' in str(backbone.type)  # others need not know all of these
    backbone.update({key: FREE[key] for key in (FREE if ours else FREE.keys() & backbone.keys())})
    backbone.init_cfg = None
    preprocessor = model.get('data_preprocessor') or {}
    if preprocessor.get('batch_augments'):  # others resize to hundreds of pixels
        augments = [step for step in preprocessor.batch_augments if 'size' in step]
        preprocessor.batch_augments = augments or None
    for step in (preprocessor, *(preprocessor.get('batch_augments') or [])):
        if 'size' in step:
            step.size = (size, size)
    if 'num_queries' in model:  # DETRs choose queries among tokens
        model.num_queries = min(model.num_queries, (size // 8) ** 2)
    if (model.get('test_cfg') or {}).get('rpn'):
        model.test_cfg.rpn.max_per_img = 100
    rcnn = (model.get('train_cfg') or {}).get('rcnn') or []
    for stage in rcnn if isinstance(rcnn, list) else [rcnn]:
        if 'sampler' in stage:
            stage.sampler.num = 32
