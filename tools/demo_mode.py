"""Any shipped config, made to learn on the demo set from random weights on a CPU within minutes."""

from demo_set import make_demo_set
from mmengine.config import ConfigDict

ROOT = 'data/demo'
DATA = {'mmdet': f'{ROOT}/coco', 'mmseg': f'{ROOT}/ade'}
SIZE = 160  # of the images, in pixels
BATCH, EPOCHS, TRAIN, VAL = 4, 3, 400, 50

# Transforms that stay; all others resize or crop, and give way to one resize.
KEPT = {'LoadImageFromFile', 'LoadAnnotations', 'RandomFlip', 'PackDetInputs', 'PackSegInputs'}


def to_demo(cfg):
    """Turn a config for COCO or ADE20K into one for the demo set; writes the set if need be."""
    make_demo_set(ROOT, train=TRAIN, val=VAL, size=SIZE)
    for split in ('train', 'val', 'test'):
        use_data(cfg, split, DATA[cfg.default_scope])
    use_schedule(cfg)
    shrink_model(cfg.model)
    cfg.load_from = None
    cfg.randomness = dict(seed=0)
    cfg.custom_hooks = [dict(type='mmbackbones.RepeatableHook')]


def use_data(cfg, split, root):
    """Point a dataloader and its evaluator to the demo set."""
    loader = cfg[f'{split}_dataloader']
    old = loader.dataset.data_root
    loader.dataset.data_root = root
    loader.dataset.pipeline = small_pipeline(loader.dataset.pipeline)
    loader.update(num_workers=0, persistent_workers=False)
    if split == 'train':
        loader.batch_size = BATCH
        loader.sampler = dict(type='DefaultSampler', shuffle=True)
        return
    evaluator = cfg[f'{split}_evaluator']
    if 'ann_file' in evaluator:
        evaluator.ann_file = evaluator.ann_file.replace(old.rstrip('/'), root, 1)


def small_pipeline(pipeline):
    """The same loading, flipping and packing, with one resize to the demo size between them."""
    resize = ConfigDict(type='Resize', scale=(SIZE, SIZE), keep_ratio=True)
    small = []
    for step in pipeline:
        if step.type in KEPT:
            small.append(step)
        elif resize not in small:
            small.append(resize)
    return small


def use_schedule(cfg):
    """A short schedule: one rise, one fall of the learning rate, evaluation after each epoch."""
    steps = TRAIN // BATCH * EPOCHS
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=EPOCHS, val_interval=1)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
        dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=steps, eta_min=0),
    ]
    cfg.optim_wrapper.optimizer.lr = 4e-4
    cfg.optim_wrapper.clip_grad = dict(max_norm=10)
    cfg.default_hooks.checkpoint.update(by_epoch=True, interval=1, max_keep_ckpts=2)
    cfg.default_hooks.logger.interval = 10
    cfg.log_processor = dict(type='LogProcessor', window_size=20, by_epoch=True)


def shrink_model(model):
    """Random weights, no drop path, and few regions: an image holds a handful of objects."""
    model.backbone.update(init_cfg=None, drop_path_rate=0.0)
    if 'size' in model.data_preprocessor:
        model.data_preprocessor.size = (SIZE, SIZE)
    if 'rpn' in model.test_cfg:
        model.test_cfg.rpn.max_per_img = 100
    rcnn = model.get('train_cfg', {}).get('rcnn', [])
    for stage in rcnn if isinstance(rcnn, list) else [rcnn]:
        stage.sampler.num = 32
