from __future__ import annotations

import pytest

from impasto.cli.config import read_config
from impasto.errors import InputError, OptionError


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        path = tmp_path / "look.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_config(str(path))

    return write_and_read


def test_flat_and_in_tables_with_dashes_and_underscores(read):
    assert read("preset = 'fine'\nstyle-weight = 5\ntv_weight = 0.5\n[run]\nthreads = 2\n[output]\nsave-every = 9") == {
        "preset": "fine",
        "style_weight": 5,
        "tv_weight": 0.5,
        "threads": 2,
        "save_every": 9,
    }


def test_layers_are_tables_lists_or_text(read):
    assert read("[style.content_layers]\nrelu4_2 = 0.5")["content_layers"] == {"relu4_2": 0.5}
    assert read("content_layers = ['relu4_2']")["content_layers"] == ["relu4_2"]
    assert read("content_layers = 'relu4_2=2'")["content_layers"] == "relu4_2=2"


def test_the_mark_of_some_editors_at_the_start_is_no_matter(read):
    assert read(b"\xef\xbb\xbfseed = 3") == {"seed": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strenth = 1", "There is no option 'strenth'. Did you mean 'strength'?"),
        ("[style]\nstyle-wieght = 1", "There is no option 'style-wieght' in [style]. Did you mean 'style_weight'?"),
        ("[style]\nthreads = 1", "There is no option 'threads' in [style]."),
        ("[stile]\nseed = 1", "There is no option 'stile'."),
        ("preset = 'fin'", "There is no preset 'fin'. Did you mean 'fine'?"),
        ("preset = 3", "There is no preset '3'."),
        ("strength = 2", "look.toml': --strength is '2': expected a number from 0 to 1."),
        ("size = [640, 480]", "--size is '[640, 480]': expected the long side"),
        ("content_layers = true", "--content-layers is 'True': expected at least one layer"),
        ("init = 3", "--init is '3'. Where to start"),
        ("style_layers = {relu1_1 = -1}", "--style-layers has '-1' for relu1_1: expected a number, 0 or more."),
        ("threads = 0", "--threads is '0': expected a whole number from 1 to 1,024."),
    ],
)
def test_what_cannot_be_is_named_with_the_file(read, text, message):
    with pytest.raises(OptionError) as caught:
        read(text)
    assert message in str(caught.value)
    assert "look.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("seed = 1\nsize = = 2", "line 2"), ("seed", "is not valid TOML"), (b"\xff\xfe\x00", "is not text in UTF-8")],
)
def test_what_is_no_toml(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)


def test_missing_files_and_folders(tmp_path, cli, folder):
    with pytest.raises(InputError, match="no regular file"):
        read_config(str(tmp_path))
    outcome = cli("stylize", "photo.jpg", "painting.png", "--config", "none.toml")
    assert (outcome.code, outcome.err) == (2, "impasto: There is no file 'none.toml' for --config: check the path.\n")
