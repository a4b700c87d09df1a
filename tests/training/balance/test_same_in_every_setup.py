"""Accumulation, loss scaling, several ranks and a resumed training come to what one plain training comes
to.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from mlops.training.balance import BalanceSettings, balancer_for
from tests.training.balance.case import TASKS, TwoHeads, batches, trained

METHODS = ["gradnorm", "uncertainty", "fixed", "upgrad", "pcgrad"]
WINDOW_METHODS = ["gradnorm", "uncertainty", "fixed"]  # surgery is done on each micro-batch by itself
SCALES = (1.0, 4.0)


def settings_of(method: str) -> BalanceSettings:
    return BalanceSettings(method=method, every=2, lr=0.02)


def same(found: dict[str, float], expected: dict[str, float], rel: float = 1e-4) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=rel), name


@pytest.mark.parametrize("method", WINDOW_METHODS)
def test_accumulated_micro_batches_weigh_as_one_batch(method: str) -> None:
    whole = trained(settings_of(method), batches(12), scales=SCALES)
    parts = trained(settings_of(method), batches(12), scales=SCALES, micro_batches=4)
    same(dict(parts.weights), dict(whole.weights))
    same(parts.end_epoch(), whole.end_epoch())


@pytest.mark.parametrize("method", METHODS)
def test_norms_and_weights_do_not_depend_on_the_loss_scale(method: str) -> None:
    plain = trained(settings_of(method), batches(12), scales=SCALES)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**13, growth_interval=3)
    scaled = trained(settings_of(method), batches(12), scales=SCALES, scaler=scaler)
    assert scaler.get_scale() > 2.0**13  # it moved meanwhile
    same(dict(scaled.weights), dict(plain.weights))
    same(scaled.end_epoch(), plain.end_epoch())


def test_gradients_too_small_for_half_precision_are_measured_by_their_scale() -> None:
    torch.manual_seed(0)
    shared, pictures = torch.nn.Linear(6, 2).half(), torch.randn(8, 6).half()
    faint = {task: shared(pictures)[:, at].float().mean() * 1e-7 for at, task in enumerate(TASKS)}
    norms = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=2.0**16)):
        balancer = balancer_for(BalanceSettings(), TASKS)
        balancer.total(faint, [shared.weight], scaler)
        assert balancer.step()
        norms.append(balancer.end_epoch()["balance/grad_norm/box"])
    exact = float(pictures.float().mean(0).norm()) * 1e-7
    assert norms[0] == 0  # 1e-7 / 8 is nothing in half precision
    assert norms[1] == pytest.approx(exact, rel=0.01)


def test_an_overflow_of_the_loss_scale_keeps_the_weights_and_is_left_to_the_scaler() -> None:
    settings = BalanceSettings(patience=1)
    scaler = torch.amp.GradScaler("cpu", init_scale=3e38, backoff_factor=1e-8)
    network, balancer = TwoHeads(SCALES), balancer_for(settings, TASKS)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    trained(settings, batches(1), network=network, balancer=balancer, scaler=scaler)
    assert balancer.weights == {"box": 1.0, "class": 1.0}
    assert all(map(torch.equal, before, network.parameters()))
    trained(settings, batches(2), network=network, balancer=balancer, scaler=scaler)
    assert balancer.weights != {"box": 1.0, "class": 1.0}


@pytest.mark.parametrize("method", METHODS)
def test_a_training_resumed_from_its_state_goes_on_as_if_never_stopped(method: str) -> None:
    data = batches(20)
    straight = trained(settings_of(method), data, scales=SCALES)

    network = TwoHeads(SCALES)
    first = trained(settings_of(method), data[:9], network=network)
    kept = io.BytesIO()
    torch.save(first.state_dict(), kept)
    kept.seek(0)
    second = balancer_for(settings_of(method), TASKS)
    second.load_state_dict(torch.load(kept, weights_only=True))
    trained(settings_of(method), data[9:], network=network, balancer=second)
    assert second.weights == straight.weights


def test_the_state_of_another_method_or_other_tasks_is_refused() -> None:
    state = balancer_for(BalanceSettings(), TASKS).state_dict()
    with pytest.raises(ValueError, match="method 'gradnorm'; expected 'fixed'"):
        balancer_for(BalanceSettings(method="fixed"), TASKS).load_state_dict(state)
    with pytest.raises(ValueError, match="tasks"):
        balancer_for(BalanceSettings(), ("box",)).load_state_dict(state)


SPREAD = ("gradnorm", "upgrad")


def one_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(str(folder / "store"), 2), rank=rank, world_size=2)
    torch.save({method: as_one_of_two(rank, method) for method in SPREAD}, folder / f"{rank}.pt")
    dist.destroy_process_group()


def as_one_of_two(rank: int, method: str) -> dict[str, object]:
    network = TwoHeads(SCALES)
    parallel, balancer = DistributedDataParallel(network), balancer_for(settings_of(method), TASKS)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    refused = 0
    for number, batch in enumerate(batches(13)):
        losses = parallel(batch.chunk(2)[rank])
        if number == 12 and rank == 1:
            losses = {**losses, "box": losses["box"] * torch.nan}
        balancer.total(losses, list(network.shared.parameters())).backward()
        if balancer.step():
            optimizer.step()
        else:
            refused += 1
        optimizer.zero_grad()
    return {
        "weights": dict(balancer.weights),
        "figures": balancer.end_epoch(),
        "refused": refused,
        "network": network.state_dict(),
    }


def test_two_ranks_weigh_as_one_process_with_both_their_pictures(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(one_rank, (tmp_path,), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for method in SPREAD:
        network = TwoHeads(SCALES)
        alone = trained(settings_of(method), batches(12), network=network)
        figures = alone.end_epoch()
        for found in (rank[method] for rank in ranks):
            assert found["refused"] == 1  # the NaN of one rank is every rank's
            assert found["weights"] == ranks[0][method]["weights"]
            same(found["weights"], dict(alone.weights))
            same(found["figures"], figures)
            for name, value in network.state_dict().items():
                assert torch.allclose(found["network"][name], value, atol=1e-5)
