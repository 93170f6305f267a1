"""Two processes under DDP, as torchrun starts them."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from test_backbones import TINY, build
from torch.nn.parallel import DistributedDataParallel

KWARGS = dict(frozen_stages=1, out_indices=(1, 2, 3), with_cp=True)


def image(rank):
    return torch.randn(
        1, 3, 45, 64, dtype=torch.double, generator=torch.Generator().manual_seed(rank)
    )


def loss(net, x):
    return sum(out.square().mean() for out in net(x))


def train(name, rank, results):
    """Two steps of a frozen, checkpointed net; DDP raises if a parameter has no use."""
    torch.manual_seed(0)
    net = DistributedDataParallel(build(name, **KWARGS).double().train())
    for _ in range(2):
        net.zero_grad()
        loss(net, image(rank)).backward()
    if rank == 0:
        torch.save([p.grad for p in net.parameters() if p.requires_grad], results)


def work(rank, folder):
    """What one of the processes does."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    for name in sorted(TINY):
        train(name, rank, folder / name)
    # Gloo's threads need the interpreter to let go of the last reduction; whoever joins them
    # without a pause, as the end of DDP does, can wait for ever.
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Where the processes, started once for all nets, leave their gradients."""
    folder = tmp_path_factory.mktemp('ddp')
    mp.spawn(work, (folder,), nprocs=2)
    return folder


@pytest.mark.parametrize('name', sorted(TINY))
def test_frozen_stages_under_ddp(name, folder):
    """The gradients are the mean of what one process finds on either image."""
    torch.manual_seed(0)
    net = build(name, **KWARGS).double().train()
    (sum(loss(net, image(rank)) for rank in range(2)) / 2).backward()
    alone = [p.grad for p in net.parameters() if p.requires_grad]
    for one, two in zip(alone, torch.load(folder / name), strict=True):
        assert torch.allclose(one, two, atol=1e-9)
