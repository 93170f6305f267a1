"""Any config of a detector or segmenter, made to learn on the demo set on a CPU within minutes."""

import os

from lib.arguments import import_quietly
from lib.datasets import inner_datasets
from mmengine.config import ConfigDict

from demo.model import class_counts, name_of, parts_of, shrink_model, use_classes
from demo.pipelines import PACKERS, for_any_file, small_pipeline, steps_of, use_tta

# A config may have a dict `demo` with other values, and so may --cfg-options: demo.epochs=6.
DEMO = dict(root='data/demo', train=400, val=50, size=160, batch_size=4, epochs=3, lr=4e-4)
COUNTS = {'mmdet': 80, 'mmseg': 150}  # of the classes of COCO and ADE20K
SCORES = ('None', 'auto', 'coco/bbox', 'coco/segm', 'coco/AR', 'm', 'aAcc')  # they begin so


def to_demo(cfg):
    """Turn a config into one for the demo set; writes the set if need be."""
    from demo.dataset import make_demo_set  # here, so that trainings on COCO do not import it

    demo = adapt(cfg)
    make_demo_set(demo.root, train=demo.train, val=demo.val, size=demo.size)


def adapt(cfg):
    """Turn a config into one for the demo set, whose settings are returned; writes nothing."""
    demo = settings_of(cfg)
    loaders = {split: loader_of(cfg, split) for split in ('train', 'val', 'test')}
    packed = [scope for scope, packer in PACKERS.items() if packer in str(loaders['train'])]
    scope = packed[0] if packed else cfg.get('default_scope')
    if cfg.get('model', {}).get('semi_train_cfg'):  # learns from images without annotations, too
        cfg.model = cfg.model.detector
    if scope not in PACKERS or 'backbone' not in cfg.get('model', {}):
        raise ValueError('--demo is for detectors of mmdet and segmenters of mmseg with a backbone')
    import_quietly(scope)
    cfg.default_scope = cfg.get('default_scope') or scope  # lazy configs have none
    dataset = inner_datasets(loaders['train'].dataset)[0]
    use_classes(cfg.model, class_counts(cfg.model, dataset, scope), COUNTS[scope])
    shrink_model(cfg.model, demo.size)
    if scope == 'mmdet' and 'Pad' in map(name_of, steps_of(loaders['test'].dataset)):
        preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
        preprocessor.update(pad_size_divisor=64)  # up to stride 64: no pipeline pads here
    for split, loader in loaders.items():
        use_data(cfg, scope, split, loader, demo)
    use_tta(cfg.get('tta_pipeline', ()), demo.size)
    use_schedule(cfg, demo)
    cfg.update(load_from=None, randomness=dict(seed=0))
    if cfg.get('auto_scale_lr'):
        cfg.auto_scale_lr.enable = False  # demo.lr is for batches of the demo
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [
        *(hook for hook in hooks if not name_of(hook).endswith(('SwitchHook', 'TeacherHook'))),
        dict(type='mmbackbones.RepeatableHook'),
        dict(type='mmbackbones.BatchNormMomentumHook', momentum=0.3),
    ]
    return demo


def settings_of(cfg):
    """The settings of the demo, those of a config over ours."""
    own, numbers = cfg.get('demo') or {}, ('train', 'val', 'size')
    demo = ConfigDict(DEMO, **own)
    for key, value in demo.items():
        if key not in DEMO:
            raise ValueError(f'demo has no {key}; it has {", ".join(DEMO)}')
        if isinstance(DEMO[key], int) and not (isinstance(value, int) and value > 0):
            raise ValueError(f'demo.{key} must be a whole number from 1, not {value!r}')
    if 'root' not in own and any(demo[key] != DEMO[key] for key in numbers):
        demo.root += ''.join(f'_{demo[key]}' for key in numbers)  # a set of its own
    images = -(-demo.train // int(os.environ.get('WORLD_SIZE', 1)))  # of each process
    demo.drop_last = images > 1 == images % demo.batch_size  # batch norm takes no single image
    demo.steps = -(-images // demo.batch_size) - demo.drop_last
    return demo


def loader_of(cfg, split):
    """The dataloader of a split, or another in its place."""
    loaders = (cfg.get(f'{each}_dataloader') for each in (split, 'val', 'test', 'train'))
    return next(filter(None, loaders), ConfigDict(dataset={}))


def use_data(cfg, scope, split, loader, demo):
    """Let a dataloader and its evaluator read the demo set."""
    from demo.dataset import as_mm_reads

    training = split == 'train'
    dataset, metric = as_mm_reads(demo.root, 'train' if training else 'val')[scope]
    pipeline = small_pipeline(cfg.model, scope, steps_of(loader.dataset), training, demo.size)
    cfg[f'{split}_dataloader'] = dict(
        batch_size=demo.batch_size if training else loader.get('batch_size', 1),
        num_workers=0,
        persistent_workers=False,
        drop_last=training and demo.drop_last,
        sampler=dict(type='DefaultSampler', shuffle=training),
        dataset=dict(dataset, _scope_=scope, test_mode=not training, pipeline=pipeline),
    )
    if not training:
        evaluators = (cfg.get(f'{each}_evaluator') for each in (split, 'val', 'test'))
        parts = parts_of(next(filter(None, evaluators), []))
        own = next((part for part in parts if name_of(part) == metric['type']), {})
        if scope == 'mmdet':
            masks = any(step.get('with_mask') for step in cfg.train_dataloader.dataset.pipeline)
            metric['metric'] = own.get('metric', ['bbox', 'segm'] if masks else 'bbox')
        cfg[f'{split}_evaluator'] = {**for_any_file(own), **metric, '_scope_': scope}


def use_schedule(cfg, demo):
    """A short schedule: one rise, one fall of the learning rate, evaluation after each epoch."""
    steps = demo.steps * demo.epochs
    rise = max(1, min(50, steps // 4))
    fall = dict(type='CosineAnnealingLR', by_epoch=False, begin=rise, end=steps, eta_min=0)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=demo.epochs, val_interval=1)
    cfg.update(val_cfg=dict(type='ValLoop'), test_cfg=dict(type='TestLoop'))
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=rise),
        *([fall] if steps > rise else []),  # one step has no room for it
    ]
    cfg.log_processor = dict(type='LogProcessor', window_size=20, by_epoch=True)
    wrapper = cfg.get('optim_wrapper') or dict(type='OptimWrapper', optimizer=dict(type='AdamW'))
    if name_of(wrapper) == 'AmpOptimWrapper':  # for a GPU; --amp brings it back
        wrapper = {key: wrapper[key] for key in wrapper if key not in ('dtype', 'loss_scale')}
        wrapper['type'] = 'OptimWrapper'
    optimizer = dict(wrapper['optimizer'], lr=demo.lr)
    cfg.optim_wrapper = dict(wrapper, optimizer=optimizer, clip_grad=dict(max_norm=10))
    hooks = cfg.get('default_hooks') or {}
    saving = {'type': 'CheckpointHook', **(hooks.get('checkpoint') or {})}
    if not str(saving.get('save_best')).startswith(SCORES):  # of another metric
        best = 'coco/segm_mAP' if 'segm' in cfg.val_evaluator.get('metric', ()) else 'auto'
        saving.update(save_best=best, rule='greater')
    saving.update(by_epoch=True, interval=1, max_keep_ckpts=2)
    logging = {'type': 'LoggerHook', **(hooks.get('logger') or {}), 'interval': 10}
    cfg.default_hooks = dict(hooks, checkpoint=saving, logger=logging)
