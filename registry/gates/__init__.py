"""Gates: a policy's conditions against a version's evidence. Pure; `evidence_values` are its inputs."""
