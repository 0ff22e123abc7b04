"""What is kept can be seen and cleared, and what is needed stays."""

from __future__ import annotations

from pathlib import Path

from impasto.cli import checkpoints
from impasto.weights import cache_folder


def test_it_is_shown_and_cleared(cli, folder):
    styles = cache_folder() / "styles"
    styles.mkdir()
    (styles / "a.safetensors").write_bytes(bytes(2_000_000))
    checkpoints.folder().mkdir()
    run = checkpoints.folder() / "run.checkpoint"
    run.write_bytes(bytes(3_000_000))
    shown = cli("cache", "show")
    assert shown.code == 0
    assert "paintings:      1 files       2.0 MB" in shown.out
    assert "checkpoints:    1 files       3.0 MB" in shown.out
    assert cli("cache", "clear").out == "2.0 MB removed.\n"
    assert (list(styles.iterdir()), run.exists()) == ([], True)
    with checkpoints.lock_of(run).acquire():
        assert cli("cache", "clear", "--checkpoints").out == "0.0 MB removed.\n"
        assert run.exists()
    for left in (".dead.checkpoint-89abcdef.checkpoint.writing/tensors", ".b-01234567.checkpoint.history/0123abcd-7"):
        path = checkpoints.folder() / left
        path.parent.mkdir()
        path.write_bytes(bytes(1_000_000))
    for left in (".lock", "-content.checkpoint-input", ""):
        (checkpoints.folder() / f".b-01234567.checkpoint{left}").write_bytes(b"")
    assert cli("cache", "clear", "--checkpoints").out == "5.0 MB removed.\n"
    assert list(checkpoints.folder().iterdir()) == []
    assert [path.name for path in (cache_folder() / "weights").iterdir()] == ["vgg19.safetensors"]


def test_an_empty_cache_is_cleared_too(cli, folder, monkeypatch):
    monkeypatch.setenv("IMPASTO_CACHE", str(Path("nothing").absolute()))
    assert cli("cache", "show").code == cli("cache", "clear", "--checkpoints").code == 0
    assert not Path("nothing").exists()
