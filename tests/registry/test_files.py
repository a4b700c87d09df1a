"""What counts as a version's files."""

from __future__ import annotations

from pathlib import Path

from registry.evidence.version_files import digests


def test_a_version_that_was_served_from_this_disk_has_the_files_that_it_had(tmp_path: Path) -> None:
    """`mlflow models serve -m models:/cells/1` leaves its note there, which is no change of the version."""
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

    (tmp_path / "MLmodel").write_text("flavors: {}")
    before = digests(tmp_path)
    loaded = ModelsArtifactRepository.__new__(ModelsArtifactRepository)
    loaded.model_name, loaded.model_version = "cells", "1"
    loaded._add_registered_model_meta_file(str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2
    assert digests(tmp_path) == before


def test_anything_else_under_the_notes_name_is_a_file_that_was_added(tmp_path: Path) -> None:
    note = tmp_path / "registered_model_meta"
    note.write_text("model_name: cells\nmodel_version: '1'\nloader_module: evil\n")
    assert list(digests(tmp_path)) == ["registered_model_meta"]
    note.write_bytes(b"\x80\x04\x95")
    assert list(digests(tmp_path)) == ["registered_model_meta"]
