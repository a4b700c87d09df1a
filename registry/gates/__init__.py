"""Gates: evaluate a policy's conditions on a version's evidence. Pure; `evidence_values` is the input."""
