from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch
from safetensors.torch import load_file

from impasto.networks import NETWORKS, VGG19_TORCHVISION

from ..weights.conftest import in_sequence, server, write_keras
from ..weights.server import cut_off, refuse, whole
from .conftest import TINY
from .test_shell import completed

__all__ = ["server"]  # the fixtures


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the weights are kept."""
    return tmp_path / "cache" / "weights" / "vgg19.safetensors"


@pytest.fixture
def published(server, folder, kept, monkeypatch):
    """The narrow network, its weights on the server only."""
    server.data = write_keras(folder / "tiny.h5", load_file(kept)).read_bytes()
    kept.unlink()
    (folder / "tiny.h5").unlink()
    source, checksum = f"{server.address}/tiny.h5", hashlib.md5(server.data).hexdigest()
    network = replace(TINY, source=source, md5=checksum, size=len(server.data))
    monkeypatch.setitem(NETWORKS, "vgg19", network)
    monkeypatch.setattr("impasto.weights.download.WAITS", (0.0, 0.0, 0.0))
    return network


def test_list_names_the_file_and_the_licence(cli, folder, kept):
    outcome = cli("weights", "list")
    assert outcome.code == 0
    assert f"vgg19: {kept}" in outcome.out
    assert f"licence: {TINY.licence}" in outcome.out


def test_list_says_how_to_get_what_is_missing(cli, no_weights):
    outcome = cli("weights", "list")
    assert outcome.code == 0
    assert "vgg19: missing" in outcome.out
    assert "impasto weights get vgg19\n" in outcome.out
    assert "impasto weights get vgg19-torchvision\n" in outcome.out
    assert "impasto weights import" in outcome.out


def test_list_for_programs(cli, folder, kept, tmp_path):
    cli("weights", "import", str(kept))
    outcome = cli("weights", "list", "--json")
    vgg19, torchvision, compact = json.loads(outcome.out)
    assert (vgg19["name"], vgg19["path"], vgg19["source"]) == ("vgg19", str(kept), TINY.source)
    assert len(vgg19["fingerprint"]) == 64
    assert (torchvision["name"], torchvision["path"]) == ("vgg19-torchvision", None)
    assert torchvision["download_bytes"] == VGG19_TORCHVISION.size
    assert torchvision["licence"] == VGG19_TORCHVISION.licence
    assert (compact["name"], compact["path"]) == ("compact", str(tmp_path / "package" / "compact.safetensors"))
    assert (compact["source"], compact["get"]) == (None, None)


def test_get_prints_the_path_and_tells_the_rest_on_stderr(cli, published, kept):
    outcome = cli("weights", "get", "vgg19")
    assert (outcome.code, outcome.out) == (0, f"{kept}\n")
    lines = outcome.err.splitlines()
    assert lines[0].startswith("Downloading vgg19: 0 kB of ")
    assert lines[-1] == f"Downloading vgg19: {published.size / 1e3:.0f} kB of {published.size / 1e3:.0f} kB"
    assert len(lines) <= 6
    assert kept.is_file()


def test_get_what_is_there(cli, published, server, kept):
    cli("weights", "get", "vgg19")
    outcome = cli("weights", "get", "vgg19")
    assert (outcome.code, outcome.out) == (0, f"{kept}\n")
    assert outcome.err == "The weights of vgg19 are on this machine already.\n"
    assert len(server.seen) == 1


def test_get_replaces_what_is_damaged(cli, published, kept):
    cli("weights", "get", "vgg19")
    kept.write_text("broken")
    outcome = cli("weights", "get", "vgg19")
    assert (outcome.code, outcome.out) == (0, f"{kept}\n")
    assert "It is replaced." in outcome.err
    assert cli("weights", "verify", "vgg19").code == 0


def test_get_does_not_replace_what_is_damaged_in_a_folder_of_the_users(cli, published, folder, monkeypatch):
    (folder / "vgg19.safetensors").write_text("broken")
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", str(folder))
    outcome = cli("weights", "get", "vgg19")
    assert outcome.code == 2
    assert str(folder / "vgg19.safetensors") in outcome.err
    assert (folder / "vgg19.safetensors").read_text() == "broken"


def test_get_from_a_mirror(cli, published, server, kept, monkeypatch):
    monkeypatch.setitem(NETWORKS, "vgg19", replace(published, source="https://unreachable.invalid/tiny.h5"))
    outcome = cli("weights", "get", "vgg19", "--from", f"{server.address}/mirror/tiny.h5")
    assert (outcome.code, outcome.out) == (0, f"{kept}\n")


def test_get_from_no_address(cli, published):
    outcome = cli("weights", "get", "vgg19", "--from", "ftp://example.org/tiny.h5")
    assert outcome.code == 2
    assert "expected https://HOST/FILE" in outcome.err


def test_get_that_fails_says_all_that_can_be_done(cli, published, server):
    server.behaviors = [refuse(500)]
    outcome = cli("weights", "get", "vgg19")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.count("answered 500 (Internal Server Error); trying again in 0 s.\n") == 3
    assert "impasto: The weights of vgg19 could not be downloaded: 127.0.0.1 answered 500" in outcome.err
    assert "\n    HTTPS_PROXY=http://proxy:port impasto weights get vgg19\n" in outcome.err
    assert "\n    impasto weights import tiny.h5\n" in outcome.err


def test_get_that_is_interrupted_says_that_it_can_be_continued(cli, published, server, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    server.behaviors = [cut_off(5000), whole()]
    monkeypatch.setattr("impasto.weights.download.WAITS", (1.0,))
    monkeypatch.setattr("impasto.weights.download._Download.note", interrupt)
    outcome = cli("weights", "get", "vgg19")
    assert outcome.code == 130
    assert "What has arrived is kept: the same command continues from there.\n" in outcome.err
    monkeypatch.undo()


def test_get_an_unknown_network(cli, no_weights):
    outcome = cli("weights", "get", "vgg-19")
    assert outcome.code == 2
    assert "Did you mean 'vgg19'?" in outcome.err


def test_import_keeps_a_copy_in_the_cache(cli, folder, kept, tmp_path, monkeypatch):
    shutil.copy(kept, "mine.safetensors")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "other"))
    outcome = cli("weights", "import", "mine.safetensors")
    copy = tmp_path / "other" / "weights" / "vgg19.safetensors"
    assert (outcome.code, outcome.out) == (0, f"vgg19 imported: {copy}\n")
    assert copy.is_file()


def test_import_says_whether_it_was_the_published_file(cli, published, server):
    Path("tiny.h5").write_bytes(server.data)
    assert cli("weights", "import", "tiny.h5").err == ""
    with h5py.File("tiny.h5", "a") as file:
        file.attrs["note"] = "saved again"
    outcome = cli("weights", "import", "tiny.h5")
    assert outcome.code == 0
    assert outcome.err == (
        "This is not the published file (its checksum differs), but it has the right names, shapes and finite values.\n"
    )


def test_import_of_the_layout_of_torchvision(cli, folder, kept, tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS, "vgg19-torchvision", replace(VGG19_TORCHVISION, blocks=TINY.blocks))
    torch.save(in_sequence(load_file(kept)), "mine.pth")
    outcome = cli("weights", "import", "mine.pth")
    assert outcome.code == 0
    assert outcome.out.startswith("vgg19-torchvision imported: ")
    assert "import it with --network vgg19." in outcome.err
    outcome = cli("weights", "import", "mine.pth", "--network", "vgg19")
    assert outcome.out.startswith("vgg19 imported: ")
    assert "--network" not in outcome.err


def test_import_of_something_else(cli, folder):
    outcome = cli("weights", "import", "photo.jpg")
    assert outcome.code == 2
    assert "neither a Keras HDF5 file (.h5) nor safetensors nor a torch file (.pth)" in outcome.err


def test_import_of_an_address(cli, folder):
    outcome = cli("weights", "import", "https://example.org/tiny.h5")
    assert outcome.code == 2
    assert "impasto weights get NAME --from https://example.org/tiny.h5" in outcome.err


def test_verify_what_is_sound(cli, folder, kept, tmp_path):
    cli("weights", "import", str(kept))
    outcome = cli("weights", "verify")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        f"vgg19: sound: {kept}",
        "vgg19-torchvision: not on this machine",
        f"compact: sound, with no fingerprint to compare with: {tmp_path / 'package' / 'compact.safetensors'}",
    ]


def test_verify_what_is_missing(cli, folder, no_weights, kept):
    assert cli("weights", "verify").code == 0
    outcome = cli("weights", "verify", "vgg19-torchvision")
    assert outcome.code == 3
    assert "impasto weights get vgg19-torchvision" in outcome.err
    kept.unlink()
    assert cli("weights", "verify").code == 0, "compact can be used"
    assert cli("weights", "verify", "vgg19").code == 3


def test_verify_what_is_damaged(cli, folder, kept):
    cli("weights", "import", str(kept))
    data = bytearray(kept.read_bytes())
    data[-3] ^= 1
    kept.write_bytes(data)
    outcome = cli("weights", "verify")
    assert outcome.code == 3
    assert "have changed since they were kept" in outcome.err
    assert "'impasto weights get vgg19' replaces it" in outcome.err


def test_where_prints_the_folders_in_order(cli, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", "/somewhere")
    outcome = cli("weights", "where")
    assert outcome.out.splitlines() == [
        "/somewhere",
        str(tmp_path / "cache" / "weights"),
        str(tmp_path / "home" / ".cache" / "torch" / "hub" / "checkpoints"),
        str(tmp_path / "home" / ".keras" / "models"),
        str(tmp_path / "package"),
    ]
    assert outcome.err == "IMPASTO_WEIGHTS_DIR names '/somewhere', and there is no such folder.\n"


def test_where_has_nothing_to_say_of_a_folder_that_is_there(cli, folder, monkeypatch):
    assert cli("weights", "where").err == ""
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", str(folder))
    outcome = cli("weights", "where")
    assert (outcome.out.splitlines()[0], outcome.err) == (str(folder), "")


def test_damaged_weights_in_the_cache_are_not_used(stylize, cli, folder, kept):
    cli("weights", "import", str(kept))
    data = bytearray(kept.read_bytes())
    data[-400:] = bytes(400)
    kept.write_bytes(data)
    outcome = stylize("-o", "out.png")
    assert outcome.code == 2
    assert f"The weights in '{kept}' have changed since they were kept: delete the file" in outcome.err
    assert not Path("out.png").exists()


@pytest.mark.parametrize("words", [("get",), ("verify",), ("import", "a.h5", "--network")])
def test_the_shell_proposes_the_networks(words):
    assert completed("weights", *words, "vgg") == ["vgg19", "vgg19-torchvision"]
    assert completed("weights", *words, "vgg19-") == ["vgg19-torchvision"]


def test_alone_it_prints_help(cli):
    outcome = cli("weights")
    assert outcome.code == 0
    for command in ("list", "get", "import", "verify", "where"):
        assert command in outcome.out
