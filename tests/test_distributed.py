"""Two processes under DDP, as torchrun starts them."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from test_backbones import TINY, build
from torch.nn.parallel import DistributedDataParallel

KWARGS = dict(frozen_stages=1, out_indices=(1, 2, 3), with_cp=True)


def image(rank):
    return torch.randn(1, 3, 45, 64, generator=torch.Generator().manual_seed(rank))


def loss(net, x):
    return sum(out.square().mean() for out in net(x))


def train(rank, name, address, results):
    """Two steps of a frozen, checkpointed net; DDP raises if a parameter has no use."""
    dist.init_process_group('gloo', init_method=address, rank=rank, world_size=2)
    torch.manual_seed(0)
    net = DistributedDataParallel(build(name, **KWARGS).train())
    for _ in range(2):
        net.zero_grad()
        loss(net, image(rank)).backward()
    if rank == 0:
        torch.save([p.grad for p in net.parameters() if p.requires_grad], results)
    dist.destroy_process_group()


@pytest.mark.parametrize('name', sorted(TINY))
def test_frozen_stages_under_ddp(name, tmp_path):
    """The gradients are the mean of what one process finds on either image."""
    results = tmp_path / 'gradients.pt'
    mp.spawn(train, (name, f'file://{tmp_path}/meet', results), nprocs=2)
    torch.manual_seed(0)
    net = build(name, **KWARGS).train()
    (sum(loss(net, image(rank)) for rank in range(2)) / 2).backward()
    alone = [p.grad for p in net.parameters() if p.requires_grad]
    for one, two in zip(alone, torch.load(results), strict=True):
        assert torch.allclose(one, two, atol=1e-6)
