"""Runtime of a segmentation run: the detection one, counted in iterations."""

_base_ = ['default_runtime.py']

default_scope = 'mmseg'

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=16000, save_best='mIoU'),
    visualization=dict(type='SegVisualizationHook'),
)

# Every training crop has the same size.
env_cfg = dict(cudnn_benchmark=True)

visualizer = dict(type='SegLocalVisualizer')
log_processor = dict(by_epoch=False)
