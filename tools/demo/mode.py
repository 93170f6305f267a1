"""Any shipped config, made to learn on the demo set from random weights on a CPU within minutes."""

from mmengine.config import ConfigDict

# A config may have a dict `demo` with other values, and so may --cfg-options: demo.epochs=6.
DEMO = dict(root='data/demo', train=400, val=50, size=160, batch_size=4, epochs=3, lr=4e-4)
LAYOUTS = {'mmdet': 'coco', 'mmseg': 'ade'}

# Transforms that stay; all others resize, crop or distort, and give way to one resize.
KEPT = {'LoadImageFromFile', 'LoadAnnotations', 'RandomFlip', 'PackDetInputs', 'PackSegInputs'}


def to_demo(cfg):
    """Turn a config for COCO or ADE20K into one for the demo set; writes the set if need be."""
    from demo.dataset import make_demo_set  # here, so that trainings on COCO do not import it

    demo = adapt(cfg)
    make_demo_set(demo.root, train=demo.train, val=demo.val, size=demo.size)


def adapt(cfg):
    """Turn a config into one for the demo set, whose settings are returned; writes nothing."""
    demo = ConfigDict(DEMO, **cfg.get('demo', {}))
    numbers = ('train', 'val', 'size')
    if 'root' not in cfg.get('demo', {}) and any(demo[key] != DEMO[key] for key in numbers):
        demo.root += ''.join(f'_{demo[key]}' for key in numbers)  # a set of its own
    if any(step.type == 'Pad' for step in cfg.test_dataloader.dataset.pipeline):
        cfg.model.data_preprocessor.pad_size_divisor = 64  # up to stride 64: no pipeline pads here
    if cfg.train_dataloader.dataset.type == 'CocoPanopticDataset':
        use_instances(cfg)
    for split in ('train', 'val', 'test'):
        use_data(cfg, split, demo)
    if 'tta_pipeline' in cfg:
        cfg.tta_pipeline = small_tta(cfg.tta_pipeline, demo.size)
    use_schedule(cfg, demo)
    shrink_model(cfg.model, demo.size)
    cfg.load_from = None
    cfg.randomness = dict(seed=0)
    hooks = [hook for hook in cfg.get('custom_hooks', []) if hook.type != 'PipelineSwitchHook']
    cfg.custom_hooks = [
        *hooks,
        dict(type='mmbackbones.RepeatableHook'),
        dict(type='mmbackbones.BatchNormMomentumHook', momentum=0.3),
    ]
    return demo


def use_instances(cfg):
    """Turn a panoptic training into one of instances: the demo set has no panoptic annotations."""
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.type, dataset.data_prefix = 'CocoDataset', {'img': dataset.data_prefix.img}
        dataset.ann_file = dataset.ann_file.replace('panoptic_', 'instances_')
        for step in dataset.pipeline:
            if step.type == 'LoadPanopticAnnotations':
                step.update(type='LoadAnnotations', with_bbox=True, with_mask=True, with_seg=False)
        if split != 'train':
            metrics = cfg[f'{split}_evaluator']
            cfg[f'{split}_evaluator'] = next(m for m in metrics if m.type == 'CocoMetric')
    model, things = cfg.model, cfg.model.panoptic_head.num_things_classes
    model.panoptic_head.num_stuff_classes = model.panoptic_fusion_head.num_stuff_classes = 0
    model.panoptic_head.loss_cls.class_weight = [1.0] * things + [0.1]
    model.test_cfg.panoptic_on = False
    for step in (model.data_preprocessor, *model.data_preprocessor.batch_augments):
        step.pad_seg = False
    cfg.default_hooks.checkpoint.save_best = 'coco/segm_mAP'


def use_data(cfg, split, demo):
    """Point a dataloader and its evaluator to the demo set."""
    loader, root = cfg[f'{split}_dataloader'], f'{demo.root}/{LAYOUTS[cfg.default_scope]}'
    old, loader.dataset.data_root = loader.dataset.data_root, root
    loader.dataset.pipeline = small_pipeline(loader.dataset.pipeline, demo.size)
    loader.update(num_workers=0, persistent_workers=False)
    if split == 'train':
        loader.update(batch_size=demo.batch_size, sampler=dict(type='DefaultSampler', shuffle=True))
        return
    evaluator = cfg[f'{split}_evaluator']
    if 'ann_file' in evaluator:
        evaluator.ann_file = evaluator.ann_file.replace(old.rstrip('/'), root, 1)


def small_pipeline(pipeline, size):
    """The same loading, flipping and packing, with one resize to the demo size between them."""
    small = []
    for step in pipeline:
        step = step if step.type in KEPT else resize_to(size)
        if step not in small:
            small.append(step)
    return small


def small_tta(pipeline, size):
    """The same augmentations at test time, but for the scales: the demo size alone."""
    for step in pipeline:
        if 'transforms' in step:
            step.transforms = [
                [resize_to(size)] if group[0].type == 'Resize' else group
                for group in step.transforms
                if group[0].type != 'Pad'
            ]
    return pipeline


def resize_to(size):
    """A transform of mmcv that makes images `size` x `size` pixels at most."""
    return ConfigDict(type='Resize', scale=(size, size), keep_ratio=True)


def use_schedule(cfg, demo):
    """A short schedule: one rise, one fall of the learning rate, evaluation after each epoch."""
    steps = -(-demo.train // demo.batch_size) * demo.epochs
    rise = max(1, min(50, steps // 4))
    fall = dict(type='CosineAnnealingLR', by_epoch=False, begin=rise, end=steps, eta_min=0)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=demo.epochs, val_interval=1)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=rise),
        *([fall] if steps > rise else []),  # one step has no room for it
    ]
    cfg.optim_wrapper.optimizer.lr = demo.lr
    cfg.optim_wrapper.clip_grad = dict(max_norm=10)
    cfg.default_hooks.checkpoint.update(by_epoch=True, interval=1, max_keep_ckpts=2)
    cfg.default_hooks.logger.interval = 10
    cfg.log_processor = dict(type='LogProcessor', window_size=20, by_epoch=True)


def shrink_model(model, size):
    """Random weights, nothing frozen, no drop path, few regions for the few objects of an image."""
    model.backbone.init_cfg = None
    free = dict(drop_path_rate=0.0, frozen_stages=-1, norm_eval=False)
    ours = model.backbone.type.startswith('mmbackbones.')  # others need not know all of these
    known = free if ours else free.keys() & model.backbone.keys()
    model.backbone.update({key: free[key] for key in known})
    if 'size' in model.data_preprocessor:
        model.data_preprocessor.size = (size, size)
    for step in model.data_preprocessor.get('batch_augments') or []:
        if 'size' in step:
            step.size = (size, size)
    if 'num_queries' in model:  # DETRs choose queries among tokens
        model.num_queries = min(model.num_queries, (size // 8) ** 2)
    if (model.get('test_cfg') or {}).get('rpn'):
        model.test_cfg.rpn.max_per_img = 100
    rcnn = (model.get('train_cfg') or {}).get('rcnn', [])
    for stage in rcnn if isinstance(rcnn, list) else [rcnn]:
        stage.sampler.num = 32
