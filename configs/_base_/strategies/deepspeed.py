"""What `tools/train.py --strategy deepspeed` adds to a config: ZeRO, by DeepSpeed.

Gradients and the optimizer's states are sharded over the GPUs, parameters are whole on each.
"""

runner_type = 'FlexibleRunner'
strategy = dict(type='mmbackbones.DeepSpeedStrategy', zero_optimization=dict(stage=2))
optim_wrapper = dict(type='DeepSpeedOptimWrapper')
