from __future__ import annotations

import inspect

import pytest

from impasto.cli.options import resolve
from impasto.cli.stylize import stylize as command
from impasto.errors import ImpastoError, OptionError
from impasto.presets import PRESETS
from impasto.spec import OutputOptions, RunOptions, StyleSpec

FIELDS = {name: field for model in (StyleSpec, RunOptions, OutputOptions) for name, field in model.model_fields.items()}


def config(path, text):
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_a_flag_with_its_help(name, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    shown = cli("stylize", "--help").out
    assert f"--{name.replace('_', '-')}" in shown
    assert FIELDS[name].description in shown
    assert name in inspect.signature(command).parameters


def test_help_shows_defaults_ranges_and_examples(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    shown = cli("stylize", "--help").out
    assert "(number from 0 to 1; default: 0.5)" in shown
    assert "(lbfgs or adam; default: lbfgs)" in shown
    assert "default: relu1_1,relu2_1,relu3_1,relu4_1,relu5_1" in shown
    assert "impasto stylize photo.jpg painting.jpg -o painted.png --size 1024" in shown
    for panel in ("The picture", "The method", "Running", "Output"):
        assert f"─ {panel} ─" in shown


def test_flags_go_before_the_file_before_the_preset_before_the_defaults(tmp_path):
    default = StyleSpec().num_iterations
    draft = PRESETS["draft"]["num_iterations"]
    assert len({default, draft, 7, 8}) == 4
    file = config(tmp_path / "look.toml", "preset = 'draft'\nnum_iterations = 7")
    preset_only = config(tmp_path / "preset.toml", "preset = 'draft'")
    assert resolve({}).spec.num_iterations == default
    assert resolve({"preset": "draft"}).spec.num_iterations == draft
    assert resolve({"config": preset_only}).spec.num_iterations == draft
    assert resolve({"config": preset_only, "preset": "standard"}).spec.num_iterations == default
    assert resolve({"config": file, "preset": "fine"}).spec.num_iterations == 7
    assert resolve({"config": file, "preset": "fine", "num_iterations": "8"}).spec.num_iterations == 8


def test_all_three_records_are_filled():
    options = resolve({"strength": "0.7", "threads": "2", "save_every": "5", "style_layers": "relu1_1=2,relu3_1"})
    assert (options.spec.strength, options.run.threads, options.output.save_every) == (0.7, 2, 5)
    assert options.spec.style_layers == {"relu1_1": 2.0, "relu3_1": 1.0}


TEXT_IS_FINE = (
    "init",
    "network",
    "coarse_network",
    "content_layers",
    "style_layers",
    "weights",
    "animate",
    "checkpoint",
)


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in TEXT_IS_FINE])
@pytest.mark.parametrize("value", ["", "nonsense", "-1", "1e99", "nan"])
def test_bad_values_of_every_field_name_flag_value_and_what_was_expected(name, value):
    if (name, value) == ("coarse_iterations", ""):
        pytest.skip("no evaluations at coarser sizes")
    try:
        resolve({name: value})
    except OptionError as error:
        message = str(error)
    else:
        assert value == "1e99"  # weights may be as large as they like
        return
    assert message.startswith(f"--{name.replace('_', '-')} ")
    assert f"'{value}'" in message
    assert message.endswith(".")
    assert "expected" in message or "Choose from" in message or "has to be" in message
    for jargon in ("Input", "parse", "valid", "greater", "less"):
        assert jargon not in message


def test_the_command_line_takes_the_file(stylize, folder):
    file = config(folder / "look.toml", "[style]\nstrength = 0.9\nnum-iterations = 1\n[output]\nsave-every = 1")
    assert stylize("--config", file, "-o", "out.png").code == 0
    assert (folder / "out_0003.png").exists()  # the flag's three evaluations, the file's snapshots


def test_errors_are_impastos_own():
    with pytest.raises(ImpastoError):
        resolve({"preset": "nope"})
