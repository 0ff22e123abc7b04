"""Runs in which a student prepares what its teacher finishes: the plan, what is told, and making them again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from impasto.networks import NETWORKS, get_network
from impasto.record import read_record

from .conftest import TINY_STUDENT

WORDS = ("stylize", "photo.jpg", "painting.png", "--size", "120", "--num-iterations", "3", "--coarse-iterations", "2")
MIXED = (*WORDS, "--early-iterations", "1.5", "--final-iterations", "1", "--precision", "fp32")


def steps_of(outcome):
    lines = [json.loads(line) for line in outcome.err.splitlines()]
    return [line for line in lines if "step" in line]


def test_the_student_prepares_and_the_teacher_finishes(cli, folder):
    outcome = cli(*MIXED, "--progress", "json", "-o", "out.png")
    assert (outcome.code, outcome.out) == (0, "out.png\n")
    steps = steps_of(outcome)
    assert [(step["size"][0], step["network"], step["level"], step["of"]) for step in steps] == [
        *[(60, "vgg19", 0, 3)] * 3,
        *[(120, "compact", 1, 4)] * 4,
        *[(120, "vgg19", 2, 3)] * 3,
    ]
    assert steps[-1]["seconds_left"] == 0
    assert all(step["seconds_left"] >= 0 for step in steps[:-1])


def test_the_picture_is_the_teachers_best_whatever_the_student_found(cli, folder):
    outcome = cli(*MIXED, "--progress", "json", "-o", "out.png")
    last = [step["loss"] for step in steps_of(outcome) if step["level"] == 2]
    assert json.loads(outcome.err.splitlines()[-1])["loss"] == pytest.approx(min(last))


def test_the_record_says_who_did_what_and_the_same_file_comes_again(cli, folder):
    cli(*MIXED, "-o", "out.png")
    record = read_record(folder / "out.png")
    assert (record.style.network, record.style.coarse_network) == ("vgg19", "compact")
    assert [(level.size[0], level.iterations, level.network) for level in record.levels] == [
        (60, 3, "vgg19"),
        (120, 4, "compact"),
        (120, 3, "vgg19"),
    ]
    assert set(record.weights) == {"vgg19", "compact"}
    assert record.weights["vgg19"] != record.weights["compact"]
    assert "evaluations of compact" in cli("inspect", "out.png").out
    assert cli("rerun", "out.png", "-o", "again.png").code == 0
    assert (folder / "again.png").read_bytes() == (folder / "out.png").read_bytes()


def test_without_a_coarse_network_there_is_one(cli, folder):
    cli(*WORDS, "--coarse-network", "none", "-o", "out.png")
    record = read_record(folder / "out.png")
    assert (record.style.coarse_network, list(record.weights)) == ("none", ["vgg19"])
    assert {level.network for level in record.levels} == {"vgg19"}


def test_the_student_alone_has_nobody_to_prepare_for(cli, folder):
    cli(*WORDS, "--network", "compact", "-o", "out.png")
    record = read_record(folder / "out.png")
    assert (record.style.network, record.style.coarse_network) == ("compact", "none")
    assert [(level.size[0], level.network) for level in record.levels] == [
        (60, "compact"),
        (120, "compact"),
    ]


def test_a_draft_is_the_students(cli, folder):
    outcome = cli(*WORDS, "--preset", "draft", "-o", "out.png")
    assert outcome.code == 0
    assert "weights get" not in outcome.err, "it was asked for"
    assert read_record(folder / "out.png").style.network == "compact"


def test_the_draft_of_another_network_can_be_had(cli, folder):
    cli(*WORDS, "--preset", "draft", "--network", "vgg19", "-o", "out.png")
    assert read_record(folder / "out.png").style.network == "vgg19"


def test_a_picture_of_one_network_is_made_again_with_another(cli, folder):
    cli(*MIXED, "-o", "out.png")
    assert cli("rerun", "out.png", "--set", "network=compact", "-o", "student.png").code == 0
    assert read_record(folder / "student.png").style.network == "compact"
    assert cli("rerun", "out.png", "--set", "coarse_network=none", "-o", "teacher.png").code == 0
    assert {level.network for level in read_record(folder / "teacher.png").levels} == {"vgg19"}


def test_a_large_picture_after_a_draft_is_prepared_by_the_student_again(cli, folder):
    cli(*WORDS, "--preset", "draft", "-o", "draft.png")
    assert cli("rerun", "draft.png", "--set", "network=vgg19", "-o", "large.png").code == 0
    assert [level.network for level in read_record(folder / "large.png").levels] == ["vgg19", "compact", "vgg19"]
    cli(*WORDS, "--strength", "0", "-o", "photo.png")
    assert cli("rerun", "photo.png", "--set", "strength=0.5", "-o", "half.png").code == 0
    assert [level.network for level in read_record(folder / "half.png").levels] == ["vgg19", "compact", "vgg19"]


def test_other_layers_may_take_other_networks(cli, folder, monkeypatch):
    cli(*MIXED, "-o", "out.png")
    monkeypatch.setitem(NETWORKS, "compact", replace(TINY_STUDENT, blocks=(*TINY_STUDENT.blocks[:-1], (8,))))
    assert cli("rerun", "out.png", "--set", "style_layers=relu5_2", "-o", "other.png").code == 0
    assert {level.network for level in read_record(folder / "other.png").levels} == {"vgg19"}


def test_whoever_wanted_no_coarse_network_gets_none_for_other_layers_either(cli, folder):
    cli(*WORDS, "--coarse-network", "none", "-o", "out.png")
    assert cli("rerun", "out.png", "--set", "style_layers=relu1_1,relu3_1", "-o", "other.png").code == 0
    assert {level.network for level in read_record(folder / "other.png").levels} == {"vgg19"}
    assert cli("rerun", "out.png", "--set", "network=vgg19", "-o", "same.png").code == 0
    assert {level.network for level in read_record(folder / "same.png").levels} == {"vgg19"}


def edited(folder, change):
    """out.png with other settings in it."""
    settings = json.loads(read_record(folder / "out.png").to_json())
    change(settings)
    with Image.open(folder / "out.png") as picture:
        text = PngInfo()
        text.add_itxt("impasto", json.dumps(settings))
        picture.save(folder / "edited.png", pnginfo=text)
    return "edited.png"


def test_a_picture_of_one_network_from_before_there_were_two_stays_one(cli, folder):
    cli(*WORDS, "--coarse-network", "none", "-o", "out.png")

    def as_before(settings):
        del settings["style"]["coarse_network"], settings["style"]["early_iterations"]
        settings["weights"] = settings["weights"]["vgg19"]
        for level in settings["levels"]:
            del level["network"]

    old = edited(folder, as_before)
    assert cli("rerun", old, "--set", "num_iterations=2", "-o", "again.png").code == 0
    assert {level.network for level in read_record(folder / "again.png").levels} == {"vgg19"}


@pytest.mark.parametrize("names", [("compact", "nonsense", "vgg19"), ("compact", "vgg19-torchvision", "vgg19")])
def test_settings_with_networks_that_cannot_be_had_are_refused(names, cli, folder):
    cli(*MIXED, "-o", "out.png")

    def with_names(settings):
        for level, name in zip(settings["levels"], names, strict=True):
            level["network"] = name

    outcome = cli("rerun", edited(folder, with_names), "--set", "offline=true", "-o", "again.png")
    assert outcome.code in (2, 3)
    assert names[1] in outcome.err


def test_what_the_student_did_before_someone_stopped_is_made_again_without_the_teacher(cli, folder, tmp_path):
    cli(*MIXED, "-o", "out.png")
    stopped = edited(folder, lambda settings: settings.update(levels=settings["levels"][1:2]))
    (tmp_path / "cache" / "weights" / "vgg19.safetensors").unlink()
    assert cli("rerun", stopped, "--set", "offline=true", "-o", "again.png").code == 0


def test_files_of_the_run_that_happens_are_looked_for(cli, folder, tmp_path):
    """Without VGG-19 there are no early evaluations of the student, nor snapshots of them."""
    (tmp_path / "cache" / "weights" / "vgg19.safetensors").unlink()
    (folder / "d_0006.png").touch()
    words = ("--coarse-iterations", "0", "--early-iterations", "1", "--save-every", "3", "-o", "d.png")
    assert cli(*WORDS[:5], "--num-iterations", "3", *words).code == 0
    assert (folder / "d_0003.png").is_file()


def test_files_are_looked_for_again_after_another_network_was_downloaded(cli, folder, tmp_path, monkeypatch):
    weights = tmp_path / "cache" / "weights" / "vgg19.safetensors"
    away = weights.rename(tmp_path / "published.safetensors")

    def download(name, **kwargs):
        if away.exists():
            away.rename(weights)
        return get_network("vgg19" if name == "auto" else name)

    monkeypatch.setattr("impasto.cli.networks.choose_network", download)
    (folder / "d_0006.png").write_text("mine")
    few = (*WORDS[:5], "--num-iterations", "3", "--coarse-iterations", "0", "--early-iterations", "1")
    outcome = cli(*few, "--final-iterations", "1", "--save-every", "3", "-o", "d.png")
    assert outcome.code == 2
    assert "'d_0006.png'" in outcome.err
    assert not (folder / "d_0003.png").exists()
    assert (folder / "d_0006.png").read_text() == "mine"
    away = weights.rename(away)
    (folder / "photo_painting_0006.png").touch()
    assert cli(*few, "--final-iterations", "1", "--save-every", "3").out == "photo_painting_2.png\n"


@pytest.mark.parametrize("seconds", ["1s", "0.01s"])
def test_a_run_that_has_to_end_ends_with_two_networks(seconds, cli, folder):
    outcome = cli(*MIXED, "--time", seconds, "-o", "out.png")
    assert outcome.code == 0
    assert (folder / "out.png").is_file()


def test_a_layer_that_only_the_teacher_has_is_looked_at_by_the_teacher_alone(cli, folder, monkeypatch):
    shorter = replace(TINY_STUDENT, blocks=(*TINY_STUDENT.blocks[:-1], (8,)))
    monkeypatch.setitem(NETWORKS, "compact", shorter)
    outcome = cli(*WORDS, "--network", "compact", "--style-layers", "relu5_2")
    assert outcome.code == 2
    assert "vgg19 has 'relu5_2': use --network vgg19, and --coarse-network none." in outcome.err
    assert cli(*WORDS, "--style-layers", "relu5_2", "-o", "out.png").code == 0
    assert read_record(folder / "out.png").style.coarse_network == "none"


def test_without_vgg19_a_line_says_that_the_students_is_used(cli, folder, tmp_path):
    (tmp_path / "cache" / "weights" / "vgg19.safetensors").unlink()
    outcome = cli(*WORDS, "-o", "out.png")
    assert outcome.code == 0
    assert outcome.err.count("Using compact; 'impasto weights get vgg19'") == 1
    assert read_record(folder / "out.png").style.network == "compact"


def test_a_coarse_network_has_to_be_one(cli, folder):
    outcome = cli(*WORDS, "--coarse-network", "compakt")
    assert outcome.code == 2
    assert "--coarse-network is 'compakt'. Did you mean 'compact'?" in outcome.err
    assert all(name in outcome.err for name in ("auto", "none", *NETWORKS))
