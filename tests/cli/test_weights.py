from __future__ import annotations

import shutil

from .conftest import TINY


def test_list_names_the_file_and_the_licence(cli, folder, tmp_path):
    outcome = cli("weights", "list")
    assert outcome.code == 0
    assert f"vgg19: {tmp_path / 'cache' / 'weights' / 'vgg19.safetensors'}" in outcome.out
    assert f"licence: {TINY.licence}" in outcome.out


def test_list_says_how_to_get_what_is_missing(cli, no_weights):
    outcome = cli("weights", "list")
    assert outcome.code == 0
    assert "vgg19: missing" in outcome.out
    assert "impasto weights import" in outcome.out


def test_import_keeps_a_copy_in_the_cache(cli, folder, tmp_path, monkeypatch):
    shutil.copy(tmp_path / "cache" / "weights" / "vgg19.safetensors", "mine.safetensors")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "other"))
    outcome = cli("weights", "import", "mine.safetensors")
    kept = tmp_path / "other" / "weights" / "vgg19.safetensors"
    assert (outcome.code, outcome.out) == (0, f"vgg19 imported: {kept}\n")
    assert kept.is_file()


def test_import_of_something_else(cli, folder):
    outcome = cli("weights", "import", "photo.jpg")
    assert outcome.code == 2
    assert "neither a Keras HDF5 file (.h5) nor safetensors" in outcome.err


def test_where_prints_the_folders_in_order(cli, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", "/somewhere")
    assert cli("weights", "where").out.splitlines() == ["/somewhere", str(tmp_path / "cache" / "weights")]


def test_alone_it_prints_help(cli):
    outcome = cli("weights")
    assert outcome.code == 0
    assert "import" in outcome.out
