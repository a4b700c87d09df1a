"""Keeping the losses of several tasks in balance while one network learns them all.

Pure: takes loss tensors and gives a total to go backward from; knows of no trainer, file or server, and of no
particular task. One training step, with or without AMP, accumulation and DDP:

    balancer = balancer_for(BalanceSettings(method="gradnorm"), ("box", "class"))
    for micro in batches:                                   # 1 or more micro-batches an optimizer step
        losses = network(micro)                             # {"box": scalar, "class": scalar}
        scaler.scale(balancer.total(losses, shared, scaler)).backward()
    if balancer.step():                                     # after the backwards, before the optimizer
        scaler.step(optimizer)
        scaler.update()
    optimizer.zero_grad()                                   # False: the gradients are not finite
    ...
    figures = balancer.end_epoch()                          # `balance/weight/box`, `train/box_loss`, ...
"""

from mlops.training.balance.balancer import Balancer, balancer_for
from mlops.training.balance.settings import BalanceSettings

__all__ = ["BalanceSettings", "Balancer", "balancer_for"]
