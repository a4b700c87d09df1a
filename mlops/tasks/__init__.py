"""What is specific to a task: detection, classification, joint."""
