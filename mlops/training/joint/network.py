"""Checkpoints of release 0.1 refer to the joint network's classes in this module; nothing else imports it."""

from mlops.training.joint.joint_network import ImageHead, JointModel

__all__ = ["ImageHead", "JointModel"]
