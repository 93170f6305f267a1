"""Two processes under DDP and under FSDP, as torchrun starts them."""

from contextlib import nullcontext

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from families import NAMES, build, every_class
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    apply_activation_checkpointing,
)
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.nn.parallel import DistributedDataParallel

import mmbackbones

KWARGS = dict(frozen_stages=1, out_indices=(1, 2, 3), with_cp=True)


def image(rank):
    return torch.randn(
        1, 3, 45, 64, dtype=torch.double, generator=torch.Generator().manual_seed(rank)
    )


def loss(net, x):
    return sum(out.square().mean() for out in net(x))


def by_ddp(name):
    """Frozen and checkpointed; DDP raises if a parameter has no use."""
    return DistributedDataParallel(build(name, **KWARGS).double().train())


def by_fsdp(name):
    """Sharded and checkpointed block by block, as mmengine's FSDPStrategy does it."""
    net = build(name, frozen_stages=1, out_indices=(1, 2, 3)).double().train()
    where = dict(device_id=torch.device('cpu'), use_orig_params=True)
    net = FSDP(net, auto_wrap_policy=mmbackbones.fsdp_policy, **where)
    apply_activation_checkpointing(net, check_fn=mmbackbones.is_block)
    return net


def train(name, wrap, rank, results):
    """Two steps; keeps the gradients of the second."""
    torch.manual_seed(0)
    net = wrap(name)
    for _ in range(2):
        net.zero_grad()
        loss(net, image(rank)).backward()
    sharded = isinstance(net, FSDP)
    with FSDP.summon_full_params(net, with_grads=True) if sharded else nullcontext():
        if rank == 0:
            torch.save([p.grad for p in net.parameters() if p.requires_grad], results)


def work(rank, folder):
    """What one of the processes does."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    for name in NAMES:
        for wrap in WRAPPERS:
            train(name, wrap, rank, folder / f'{name}_{wrap.__name__}')
    # Gloo's threads need the interpreter to let go of the last reduction; whoever joins them
    # without a pause, as the end of DDP does, can wait for ever.
    dist.barrier()
    dist.destroy_process_group()


WRAPPERS = [by_ddp, by_fsdp]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Where the processes, started once for all nets, leave their gradients."""
    folder = tmp_path_factory.mktemp('distributed')
    mp.spawn(work, (folder,), nprocs=2)
    return folder


@pytest.mark.parametrize('wrap', WRAPPERS)
@every_class
def test_gradients_are_those_of_one_process(name, wrap, folder):
    """They are the mean of what one process finds on either image; frozen stages have none."""
    torch.manual_seed(0)
    net = build(name, **KWARGS).double().train()
    (sum(loss(net, image(rank)) for rank in range(2)) / 2).backward()
    alone = [p.grad for p in net.parameters() if p.requires_grad]
    together = torch.load(folder / f'{name}_{wrap.__name__}')
    for one, two in zip(alone, together, strict=True):
        assert torch.allclose(one, two, atol=1e-9)


@every_class
def test_sharding_and_checkpointing_go_by_blocks(name):
    net = build(name)
    blocks = [block for stage in net.stages for block in stage.blocks]
    assert [m for m in net.modules() if mmbackbones.is_block(m)] == blocks
    assert not mmbackbones.fsdp_policy(net.stem, recurse=False, nonwrapped_numel=0)
    for block in blocks:
        assert mmbackbones.fsdp_policy(block, recurse=False, nonwrapped_numel=0)
