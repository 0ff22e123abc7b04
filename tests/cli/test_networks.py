from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from impasto.cli.networks import choose_network
from impasto.errors import InputError, MissingWeightsError, OptionError
from impasto.networks import NETWORKS, VGG19_TORCHVISION
from impasto.weights import fetch_weights, find_weights, import_weights

from ..weights.conftest import in_sequence
from ..weights.server import refuse
from .conftest import TINY
from .test_weights import kept, published, server

__all__ = ["kept", "published", "server"]  # the fixtures


class Asked(list[str]):
    """Answers questions, and remembers them."""

    def __init__(self, answer: bool | type[BaseException]) -> None:
        self.answer = answer

    def __call__(self, question: str) -> bool:
        self.append(question)
        if isinstance(self.answer, bool):
            return self.answer
        raise self.answer


@pytest.fixture
def said() -> list[str]:
    """What was said."""
    return []


@pytest.fixture
def alone(folder, monkeypatch):
    """Without the network that comes with the package."""
    monkeypatch.delitem(NETWORKS, "compact")


@pytest.fixture
def torchvision(published, server, monkeypatch, folder):
    """The other network, narrow, on this machine; vgg19 is on the server only."""
    network = replace(VGG19_TORCHVISION, blocks=TINY.blocks)
    monkeypatch.setitem(NETWORKS, "vgg19-torchvision", network)
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: torch.randn(shape, generator=generator) * (2 / (9 * shape[1])) ** 0.5
        if len(shape) == 4
        else torch.zeros(shape)
        for name, shape in network.tensor_shapes.items()
    }
    torch.save(in_sequence(weights), folder / "mine.pth")
    import_weights(folder / "mine.pth")
    return network


def test_a_network_that_is_named_is_downloaded_when_it_must_be(published, server, kept, said, capsys):
    assert choose_network("vgg19", say=said.append) is published
    assert kept.is_file()
    assert choose_network("vgg19", say=said.append) is published
    assert len(server.seen) == 1
    assert said == []
    assert capsys.readouterr().err.count("Downloading vgg19") > 1


def test_nothing_is_downloaded_offline(alone, published, server, said):
    for wanted in ("vgg19", "auto"):
        asked = Asked(True)
        with pytest.raises(MissingWeightsError, match="impasto weights get vgg19"):
            choose_network(wanted, say=said.append, ask=asked, offline=True)
        assert asked == []
    with pytest.raises(MissingWeightsError, match="--offline forbids"):
        choose_network("vgg19", say=said.append, offline=True)
    assert server.seen == []


def test_auto_takes_the_preferred_network_that_is_there_without_a_word(published, torchvision, said):
    fetch_weights(published)
    asked = Asked(True)
    assert choose_network("auto", say=said.append, ask=asked) is published
    assert asked == said == []


def test_auto_never_downloads_unasked(alone, published, server, said):
    with pytest.raises(MissingWeightsError, match="no weights of vgg19 or vgg19-torchvision on this machine"):
        choose_network("auto", say=said.append)
    assert server.seen == []


def test_auto_takes_the_best_that_is_there_and_says_how_to_get_a_better_one(published, torchvision, server, said):
    assert choose_network("auto", say=said.append) is torchvision
    assert len(said) == 1
    assert "vgg19-torchvision" in said[0]
    assert "'impasto weights get vgg19'" in said[0]
    assert server.seen == []


@pytest.mark.parametrize("other", [True, False])
def test_auto_downloads_after_a_yes(alone, other, request, published, kept, said):
    if other:
        request.getfixturevalue("torchvision")
    asked = Asked(True)
    assert choose_network("auto", say=said.append, ask=asked) is published
    assert kept.is_file()
    assert len(asked) == 1
    assert "vgg19 are not on this machine" in asked[0]
    assert ("Otherwise vgg19-torchvision is used." in asked[0]) == other


@pytest.mark.parametrize("answer", [False, EOFError])
def test_no_answer_is_a_no(alone, answer, published, server, said):
    with pytest.raises(MissingWeightsError, match="impasto weights get vgg19"):
        choose_network("auto", say=said.append, ask=Asked(answer))
    assert server.seen == []


def test_a_no_is_remembered_where_there_is_something_else(published, torchvision, said):
    once, again = Asked(False), Asked(True)
    assert choose_network("auto", say=said.append, ask=once) is torchvision
    assert choose_network("auto", say=said.append, ask=again) is torchvision
    assert len(once) == 1
    assert again == []
    assert len(said) == 2


def test_an_interrupted_question_is_asked_again(published, torchvision, said):
    with pytest.raises(KeyboardInterrupt):
        choose_network("auto", say=said.append, ask=Asked(KeyboardInterrupt))
    assert choose_network("auto", say=said.append, ask=Asked(True)) is published


def test_a_no_is_not_remembered_where_there_is_nothing(alone, published, said):
    with pytest.raises(MissingWeightsError):
        choose_network("auto", say=said.append, ask=Asked(False))
    assert choose_network("auto", say=said.append, ask=Asked(True)) is published


def test_a_failed_download_is_told_and_what_is_there_is_used(published, torchvision, server, said):
    server.behaviors = [refuse(404)]
    assert choose_network("auto", say=said.append, ask=Asked(True)) is torchvision
    assert "answered 404" in said[0]
    assert "Using vgg19-torchvision" in said[1]


def test_a_download_that_cannot_begin_is_tried_once_where_there_is_something_else(published, torchvision, server, said):
    server.behaviors = [refuse(503)] * 5
    asked = Asked(True)
    for _ in range(2):
        assert choose_network("auto", say=said.append, ask=asked) is torchvision
    assert len(asked) == len(server.seen) == 1


def test_a_failed_download_is_an_error_where_there_is_nothing_else(alone, published, server, said):
    server.behaviors = [refuse(404)]
    with pytest.raises(MissingWeightsError, match="answered 404"):
        choose_network("auto", say=said.append, ask=Asked(True))


def test_a_file_says_which_network_it_is(published, torchvision, server, folder, said):
    (folder / "tiny.h5").write_bytes(server.data)
    assert choose_network("auto", say=said.append, weights_file=folder / "mine.pth") is torchvision
    assert choose_network("auto", say=said.append, weights_file=folder / "tiny.h5") is published
    assert choose_network("auto", say=said.append, weights_file=find_weights(torchvision)) is torchvision
    assert len(said) == 1  # of the file without a name in it
    assert "taken for vgg19-torchvision by its layout" in said[0]
    assert "--network vgg19." in said[0]
    assert choose_network("vgg19", say=said.append, weights_file=folder / "mine.pth") is published
    assert len(said) == 1
    with pytest.raises(InputError, match="no file"):
        choose_network("auto", say=said.append, weights_file=folder / "nowhere.h5")


def test_without_any_other_the_one_in_the_package_is_used(published, server, said):
    assert choose_network("auto", say=said.append).name == "compact"
    assert said == ["Using compact; 'impasto weights get vgg19' gets vgg19, the usual network."]
    assert server.seen == []


def test_the_network_in_the_package_is_taken_offline_and_after_a_no(published, server, said):
    asked = Asked(False)
    assert choose_network("auto", say=said.append, ask=asked, offline=True).name == "compact"
    assert choose_network("auto", say=said.append, ask=asked).name == "compact"
    assert choose_network("auto", say=said.append, ask=asked).name == "compact"
    assert len(asked) == 1
    assert "Otherwise compact is used." in asked[0]


def test_the_network_in_the_package_cannot_be_downloaded(folder, tmp_path, said):
    assert choose_network("compact", say=said.append).name == "compact"
    (tmp_path / "package" / "compact.safetensors").unlink()
    with pytest.raises(MissingWeightsError, match="come with impasto: install it again"):
        choose_network("compact", say=said.append)


def test_an_unknown_network_is_refused(folder, said):
    with pytest.raises(OptionError, match="Did you mean 'vgg19'"):
        choose_network("vgg18", say=said.append)


def test_weights_that_are_there_need_no_torch_to_be_found(kept, folder):
    import subprocess
    import sys

    assert load_file(kept)
    code = (
        "import sys; from impasto.cli.networks import choose_network;"
        "print(choose_network('vgg19', say=print).name, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["vgg19", "False"]


def test_a_picture_can_be_painted_with_the_other_network(cli, published, torchvision):
    short = ("--size", "32", "--num-iterations", "2", "--coarse-iterations", "0", "--precision", "fp32")
    outcome = cli("stylize", "photo.jpg", "painting.png", "-o", "out.png", "--network", "vgg19-torchvision", *short)
    assert outcome.code == 0, outcome.err
    assert Path("out.png").is_file()
    outcome = cli("stylize", "photo.jpg", "painting.png", "-o", "auto.png", *short)  # where there is no other
    assert outcome.code == 0, outcome.err
    assert "Using vgg19-torchvision" in outcome.err
    assert Path("auto.png").read_bytes() == Path("out.png").read_bytes()


def on_a_terminal(typed: bytes, *arguments: str) -> tuple[int, str]:
    """The exit status of a command line to which this is typed, and all that it shows; its proxy does not answer."""
    ours, theirs = os.openpty()
    os.write(ours, typed)
    command = [sys.executable, "-m", "impasto", *arguments]
    environment = os.environ | {"HTTPS_PROXY": "http://127.0.0.1:9", "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the other side was closed
        while piece := os.read(ours, 1 << 16):
            shown += piece
    os.close(ours)
    return process.wait(), " ".join(shown.decode().split())


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals on Windows")
@pytest.mark.parametrize(("typed", "times"), [(b"\n", 1), (b"perhaps\nno\n", 1), (b"\x04", 2)])
def test_a_terminal_is_asked_once_unless_nobody_answers(typed: bytes, times: int, no_weights: Path) -> None:
    asked = 0
    for name in ("one.png", "two.png"):
        code, shown = on_a_terminal(typed, "stylize", "photo.jpg", "painting.png", "-o", name, "--size=32")
        assert code == 0, shown
        assert "Using compact; 'impasto weights get vgg19'" in shown
        assert Path(name).is_file()
        asked += "Download them (80 MB" in shown
    assert asked == times
