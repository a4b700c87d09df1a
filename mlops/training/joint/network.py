"""Checkpoints of release 0.1 name the joint network's classes by this module; nothing else imports it."""

from mlops.training.joint.joint_network import ImageHead, JointModel

__all__ = ["ImageHead", "JointModel"]
