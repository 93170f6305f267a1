"""What tools change in their own process, each by a function that `main` calls."""

import os
import sys

import torch

import mmbackbones
from mmbackbones.weights.reading import load_checked_files_only


def prepare_process():
    """What every tool begins with: weights are data, and Ctrl-C is one line."""
    allow_only_data()
    sys.excepthook = say_interrupted


def allow_only_data():
    """Let no file of weights run code in this process, whoever loads it: mm, PyTorch, DeepSpeed."""
    load_checked_files_only()
    mmbackbones.trust_trainings()  # DeepSpeed loads what a training saves by PyTorch itself
    os.environ.pop('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', None)
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'


def say_interrupted(kind, error, trace):
    """Print an error that nobody caught as ever, but of Ctrl-C one line."""
    if issubclass(kind, KeyboardInterrupt):
        print('interrupted', file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def process_number():
    """Which process of a distributed training this is."""
    return int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0)))


def meet_on_cpus(launcher):
    """Let the processes of PyTorch's launcher meet through gloo where there is no GPU.

    mmengine, which expects one for each, finds them met already.
    """
    if launcher == 'pytorch' and not torch.accelerator.is_available():
        torch.distributed.init_process_group('gloo')
