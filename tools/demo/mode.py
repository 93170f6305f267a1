"""Any config of a detector or segmenter, made to learn on the demo set on a CPU within minutes."""

import os

from lib.datasets import as_list, type_name
from mmengine.config import ConfigDict

from demo.scene import KINDS

# A config may have a dict `demo` with other values, and so may --cfg-options: demo.epochs=6.
DEMO = dict(root='data/demo', train=400, val=50, size=160, batch_size=4, epochs=3, lr=4e-4)
# Of COCO, ADE20K and, for sister libraries, of the kinds of objects in the demo set.
CLASSES = {'mmdet': 80, 'mmseg': 150, 'mmpretrain': len(KINDS), 'mmrotate': len(KINDS)}
PACKERS = {'mmdet': 'PackDetInputs', 'mmseg': 'PackSegInputs'}
SISTERS = ('mmpretrain', 'mmrotate')  # see sisters.py
FREE = dict(drop_path_rate=0.0, frozen_stages=-1, norm_eval=False)
INSTANCES = dict(panoptic_on=False, instance_on=True, pad_seg=False)  # the demo set has no stuff
BEST = ('coco/bbox_mAP', 'coco/segm_mAP', 'mIoU')  # what the demo's metrics may be judged by
CHOICES = ('metric', 'classwise', 'iou_metrics')  # of a metric, which suit any data


def draw_set(cfg):
    """Draw the demo set that a config was adapted to, where it is not there yet."""
    from demo.dataset import make_demo_set  # here, so that trainings on COCO do not import it

    settings = settings_of(cfg)
    make_demo_set(settings.root, train=settings.train, val=settings.val, size=settings.size)
    if cfg.default_scope in SISTERS:
        from demo.sisters import write_sister_set

        write_sister_set(cfg.default_scope, settings.root)


def adapt(cfg):
    """Turn a config into one for the demo set, whose settings are returned; writes nothing."""
    demo, scope, model = settings_of(cfg), scope_of(cfg), cfg.get('model') or {}
    labelled = scope != 'mmpretrain' or 'num_classes' in str(model.get('head'))
    is_empty = not labelled and not cfg.get('train_dataloader')
    if scope not in CLASSES or 'backbone' not in model or is_empty:
        raise ValueError(
            '--demo is for detectors of mmdet and segmenters of mmseg with a backbone, classifiers '
            'and pretraining of mmpretrain, and detectors of mmrotate'
        )
    cfg.default_scope = cfg.get('default_scope') or scope  # class-typed configs may have none
    use_classes(model, CLASSES[scope])
    shrink_model(model, demo.size)
    if scope == 'mmdet' and "'Pad'" in str(cfg.get('test_dataloader')):
        model.data_preprocessor.pad_size_divisor = 64  # up to stride 64: no pipeline pads here
    masks = any(step.get('with_mask') for step in parts_of(cfg.get('train_dataloader')))
    for split in ('train', 'val', 'test') if labelled else ():
        use_data(cfg, scope, split, masks, demo)
    if not labelled:
        use_images(cfg.train_dataloader, demo)
    use_tta(cfg.get('tta_pipeline', ()), demo.size)
    use_schedule(cfg, demo)
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [
        *(hook for hook in hooks if not type_name(hook).endswith('SwitchHook')),  # of pipelines
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
    whole, rest = divmod(images, demo.batch_size)
    demo.drop_last = images > 1 and rest == 1  # batch norm takes no single image
    demo.steps = whole if rest == 0 or demo.drop_last else whole + 1
    return demo


def scope_of(cfg):
    """The package that a config is for, by what packs its inputs."""
    if cfg.get('default_scope') in SISTERS:
        return cfg.default_scope
    training = str(cfg.get('train_dataloader'))
    packed = (scope for scope, packer in PACKERS.items() if packer in training)
    return next(packed, cfg.get('default_scope'))


def parts_of(value):
    """Every dict in a value, but for those of an RPN, which counts no classes."""
    if isinstance(value, dict):
        yield value
        value = [each for key, each in value.items() if key != 'rpn_head']
    if isinstance(value, list | tuple):
        for each in value:
            yield from parts_of(each)


def use_classes(model, count):
    """Let every head count this many classes, all of them things."""
    for part in parts_of(model):
        if 'semantic_head' in part:
            raise ValueError(f'--demo has no maps of stuff for the semantic_head of {model.type}')
        part.update({key: INSTANCES[key] for key in INSTANCES.keys() & part.keys()})
        part.pop('pretrained', None)
        if 'Pretrained' in str(part.get('init_cfg')):
            del part.init_cfg
        if 'num_things_classes' in part:
            reweigh(part, part.num_things_classes + part.num_stuff_classes, count)
            part.update(num_things_classes=count, num_stuff_classes=0)
        elif 'num_classes' in part:
            reweigh(part, part.num_classes, count)
            part.pop('ignore_index', None)
            if part.get('out_channels') in (1, part.num_classes):  # of a segmenter
                del part.out_channels
            part.num_classes = count


def reweigh(head, old, count):
    """Let the losses of a head weigh all classes the same; the weight of none of them stays."""
    for loss in parts_of(head):
        if isinstance(loss.get('class_weight'), list | tuple):
            loss.class_weight = [1.0] * count + list(loss.class_weight[old:])


def shrink_model(model, size):
    """Random weights, nothing frozen, no drop path, few regions for the few objects of an image."""
    backbone = model.backbone
    ours = 'mmbackbones.' in str(backbone.type)  # others need not know all of these
    backbone.update({key: FREE[key] for key in FREE if ours or key in backbone})
    backbone.pop('init_cfg', None)
    if ours:
        backbone.init_cfg = {}  # which options can fill or, with _delete_, replace
    preprocessor = model.get('data_preprocessor') or {}
    for step in (preprocessor, *(preprocessor.get('batch_augments') or [])):
        if 'size' in step:
            step.size = (size, size)
    if 'num_queries' in model:  # DETRs choose queries among tokens
        model.num_queries = min(model.num_queries, (size // 8) ** 2)
    if (model.get('test_cfg') or {}).get('rpn'):
        model.test_cfg.rpn.max_per_img = 100
    for stage in as_list((model.get('train_cfg') or {}).get('rcnn') or []):
        if 'sampler' in stage:
            stage.sampler.num = 32


def use_data(cfg, scope, split, masks, demo):
    """Let a dataloader read the demo set, and an evaluator score it."""
    from demo.dataset import as_mm_reads

    training = split == 'train'
    part = 'train' if training else 'val'
    if scope in SISTERS:
        from demo.sisters import as_sisters_read, sister_pipeline

        dataset, metric = as_sisters_read(scope, demo.root, part)
        steps = sister_pipeline(scope, training, demo.size)
    else:
        dataset, metric = as_mm_reads(scope, demo.root, part)
        steps = small_pipeline(scope, training, masks, demo.size)
    cfg[f'{split}_dataloader'] = dict(
        batch_size=demo.batch_size if training else 1,
        num_workers=0,
        persistent_workers=False,
        drop_last=training and demo.drop_last,
        sampler=dict(type='DefaultSampler', shuffle=training),
        dataset=dict(dataset, _scope_=scope, test_mode=not training, pipeline=steps),
    )
    if not training:
        evaluators = as_list(cfg.get(f'{split}_evaluator') or [])
        own = next((each for each in evaluators if type_name(each) == metric['type']), {})
        if scope == 'mmdet':
            metric['metric'] = ['bbox', 'segm'] if masks else 'bbox'
        metric.update({key: own[key] for key in CHOICES if key in own})
        cfg[f'{split}_evaluator'] = dict(metric, _scope_=scope)


def use_images(loader, demo):
    """Let a dataloader read the images of the demo set for training without labels."""
    folder = dict(data_root=f'{demo.root}/coco', data_prefix='train2017', with_label=False)
    loader.dataset = ConfigDict(type='CustomDataset', **folder, pipeline=loader.dataset.pipeline)
    loader.update(batch_size=demo.batch_size, num_workers=0, persistent_workers=False)
    loader.drop_last = demo.drop_last


def small_pipeline(scope, training, masks, size):
    """Loading, resizing and packing; of a training, flipping."""
    load, pack = dict(type='LoadImageFromFile'), dict(type=PACKERS[scope])
    annotations = dict(type='LoadAnnotations')
    if scope == 'mmdet':
        annotations.update(with_bbox=True, with_mask=masks)
    if training:
        flip = dict(type='RandomFlip', prob=0.5)
        return [load, annotations, flip, resize_to(size), pack]
    return [load, resize_to(size), annotations, pack]  # scored at the size of the file


def use_tta(pipeline, size):
    """Keep the augmentations at test time, but for the scales: the demo size alone."""
    for step in pipeline:
        if 'transforms' in step:
            step.transforms = [
                [resize_to(size)] if 'Resize' in type_name(group[0]) else group
                for group in step.transforms
                if type_name(group[0]) != 'Pad'
            ]


def resize_to(size):
    """A transform of mmcv that makes images `size` x `size` pixels at most."""
    return ConfigDict(type='Resize', scale=(size, size), keep_ratio=True)


def use_schedule(cfg, demo):
    """A short schedule: one rise, one fall of the learning rate, evaluation after each epoch."""
    steps = demo.steps * demo.epochs
    rise = max(1, min(50, steps // 4))
    fall = dict(type='CosineAnnealingLR', by_epoch=False, begin=rise, end=steps, eta_min=0)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=demo.epochs, val_interval=1)
    if cfg.get('val_dataloader'):
        cfg.update(val_cfg=dict(type='ValLoop'), test_cfg=dict(type='TestLoop'))
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=rise),
        *([fall] if steps > rise else []),  # one step has no room for it
    ]
    cfg.optim_wrapper.optimizer.lr = demo.lr
    cfg.optim_wrapper.clip_grad = dict(max_norm=10)
    if cfg.get('auto_scale_lr'):
        cfg.auto_scale_lr.enable = False  # demo.lr is for batches of the demo
    saving = dict(type='CheckpointHook', by_epoch=True, interval=1, max_keep_ckpts=2)
    hooks = dict(checkpoint=saving, logger=dict(type='LoggerHook', interval=10))
    cfg.merge_from_dict(dict(default_hooks=hooks))
    saving = cfg.default_hooks.checkpoint
    if not cfg.get('val_dataloader'):
        saving.save_best = None
    elif saving.get('save_best') not in BEST:  # but of another metric
        masks = 'segm' in cfg.val_evaluator.get('metric', ())
        saving.save_best = 'coco/segm_mAP' if masks else 'auto'
    cfg.log_processor = dict(type='LogProcessor', window_size=20, by_epoch=True)
    cfg.update(load_from=None, randomness=dict(seed=0))
