"""Evidence of one version: `gather` reads it from the server into `registry.gates.evidence_values`."""
