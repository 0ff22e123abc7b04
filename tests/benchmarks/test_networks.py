import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.networks.__main__ import parse_arguments, plan, share_of, strengths_of
from benchmarks.networks.curves import (
    Comparison,
    Outcome,
    Ratio,
    choose_pairs,
    compare,
    quantile_90,
    style_at,
    summarize,
    worst,
)
from benchmarks.networks.earlier import Earlier
from benchmarks.networks.evaluations import timings
from benchmarks.networks.report import Report, write_report
from benchmarks.networks.runs import Job, Pictures, StaleError, Way, outcome_of, parse_setting
from benchmarks.networks.sheet import Cell, lay_out
from impasto.errors import OptionError

PHOTOS = [f"photo_{number:02}" for number in range(12)]
PAINTINGS = [f"painting_{number:02}" for number in range(14)]


def power_law(content: float) -> float:
    """A curve that is straight in the logarithms."""
    return 0.02 * content**-0.7


def dial(*contents: float, factor: float = 1.0, seconds: float = 1.0) -> dict[float, Outcome]:
    """Outcomes on that curve, times ``factor``, at the strengths 0.35, 0.5 and 0.7."""
    return {
        strength: Outcome(content, factor * power_law(content), seconds, {"color_cast": 3.0, "speck_share": 0.0})
        for strength, content in zip((0.35, 0.5, 0.7), contents, strict=True)
    }


REFERENCE = dial(0.1, 0.2, 0.45)


def compared(other: dict[float, Outcome]) -> Comparison:
    comparison = compare(REFERENCE, other)
    assert comparison is not None
    return comparison


def test_a_curve_passes_through_its_points_and_is_straight_in_the_logarithms() -> None:
    curve = [(0.4, 0.1), (0.1, 0.4), (0.2, 0.3)]
    for content, style in curve:
        assert style_at(curve, content).value == pytest.approx(style)
        assert not style_at(curve, content).extrapolated
    assert style_at(curve, math.sqrt(0.1 * 0.2)).value == pytest.approx(math.sqrt(0.4 * 0.3))
    assert style_at(curve, math.sqrt(0.2 * 0.4)).value == pytest.approx(math.sqrt(0.3 * 0.1))


@pytest.mark.parametrize("content", [0.05, 0.9])
def test_a_curve_goes_on_beyond_its_ends_and_says_so(content: float) -> None:
    found = style_at([(0.1, power_law(0.1)), (0.2, power_law(0.2)), (0.45, power_law(0.45))], content)
    assert found.value == pytest.approx(power_law(content))
    assert found.extrapolated


def test_beyond_an_end_only_the_two_points_there_count() -> None:
    curve = [(0.1, 0.4), (0.2, 0.2), (0.4, 0.2)]
    assert style_at(curve, 0.05).value == pytest.approx(0.8)
    assert style_at(curve, 0.8).value == pytest.approx(0.2)


def test_a_single_point_is_a_level_curve() -> None:
    assert style_at([(0.2, 0.3)], 0.2) == replace(style_at([(0.2, 0.3)], 0.4), extrapolated=False)
    assert style_at([(0.2, 0.3)], 0.4).extrapolated


def test_points_of_one_content_error_count_as_their_mean() -> None:
    assert style_at([(0.2, 0.1), (0.2, 0.4), (0.4, 0.1)], 0.2).value == pytest.approx(0.2)


def test_a_way_on_the_curve_of_the_reference_has_ratio_1_wherever_it_lies_on_it() -> None:
    found = compared(dial(0.15, 0.3, 0.4))
    assert found.style == pytest.approx(1)
    assert not any(ratio.extrapolated for ratio in found.ratios.values())
    assert found.content_same_strength == pytest.approx((1.5 * 1.5 * 0.4 / 0.45) ** (1 / 3))


def test_a_way_of_twice_the_style_error_has_ratio_2() -> None:
    found = compared(dial(0.1, 0.2, 0.45, factor=2, seconds=0.25))
    assert found.style == pytest.approx(2)
    assert found.style_same_strength == pytest.approx(2)
    assert found.content_same_strength == pytest.approx(1)
    assert found.seconds == pytest.approx(0.25)


def test_the_figure_of_a_pair_is_the_geometric_mean_over_its_strengths() -> None:
    twice, once, eightfold = dial(0.1, 0.2, 0.45, factor=2), REFERENCE, dial(0.1, 0.2, 0.45, factor=8)
    found = compared({0.35: twice[0.35], 0.5: once[0.5], 0.7: eightfold[0.7]})
    assert [ratio.value for ratio in found.ratios.values()] == pytest.approx([2, 1, 8])
    assert found.style == pytest.approx(16 ** (1 / 3))


def test_points_beyond_the_reference_are_marked() -> None:
    ratios = compared(dial(0.05, 0.2, 0.9)).ratios
    assert [ratio.extrapolated for ratio in ratios.values()] == [True, False, True]
    assert all(ratio.value == pytest.approx(1) for ratio in ratios.values())


def test_a_reference_that_painted_once_is_met_on_the_curve_of_the_way() -> None:
    once, way = {0.5: REFERENCE[0.5]}, dial(0.15, 0.3, 0.6, factor=2)
    for reference in (once, REFERENCE):
        found = compare(reference, way, at=0.5)
        assert found is not None
        assert found.ratios == {0.5: Ratio(pytest.approx(2), extrapolated=False)}
        assert found.style == pytest.approx(2)
        assert found.content_same_strength == pytest.approx(1.5)
    beyond = compare(once, dial(0.25, 0.3, 0.6, factor=2), at=0.5)
    assert beyond is not None
    assert beyond.ratios == {0.5: Ratio(pytest.approx(2), extrapolated=True)}
    assert compare({0.35: REFERENCE[0.35]}, way, at=0.5) is None


def test_pairs_without_a_common_strength_are_not_compared() -> None:
    assert compare(REFERENCE, {}) is None
    assert compare({}, REFERENCE) is None
    assert compare(REFERENCE, {0.9: REFERENCE[0.5]}) is None


def test_of_flaws_the_median_and_the_largest_difference_count_wherever_they_were_measured() -> None:
    other = {
        0.35: replace(REFERENCE[0.35], flaws={"color_cast": 1.0, "speck_share": 0.5}),
        0.5: replace(REFERENCE[0.5], flaws={}),
        0.7: replace(REFERENCE[0.7], flaws={"color_cast": 8.0, "other": 1.0}),
    }
    summary = summarize([compared(other)])
    assert summary.flaws == {"color_cast": (1.5, 5.0), "speck_share": (0.5, 0.5)}


def test_a_summary_has_medians_and_the_90_percent_quantile() -> None:
    factors = [1.0, 1.1, 1.2, 1.3, 9.0]
    summary = summarize(compared(dial(0.1, 0.2, 0.45, factor=factor)) for factor in factors)
    assert summary.pairs == 5
    assert (summary.extrapolated, summary.points) == (0, 15)
    assert summary.style == pytest.approx(1.2)
    assert summary.style_90 == pytest.approx(1.3 + 0.6 * 7.7)
    assert quantile_90([4.0]) == 4.0
    assert quantile_90([float(value) for value in range(11)]) == pytest.approx(9)


def test_the_worst_pairs_come_first() -> None:
    pairs = {("a", str(number)): compared(dial(0.1, 0.2, 0.45, factor=1 + number % 7)) for number in range(14)}
    assert [number for _, number in worst(pairs, 4)] == ["13", "6", "12", "5"]
    assert len(worst(pairs)) == 10


def test_24_pairs_have_each_photo_twice_and_each_painting() -> None:
    pairs = choose_pairs(PHOTOS, PAINTINGS, 24)
    assert len(set(pairs)) == 24
    assert Counter(photo for photo, _ in pairs) == dict.fromkeys(PHOTOS, 2)
    assert set(Counter(painting for _, painting in pairs).values()) == {1, 2}
    assert {painting for _, painting in pairs} == set(PAINTINGS)


@pytest.mark.parametrize(("photos", "paintings"), [(12, 14), (3, 2), (1, 5), (7, 7)])
def test_any_number_of_pairs_is_spread_evenly(photos: int, paintings: int) -> None:
    for count in range(1, photos * paintings + 1):
        pairs = choose_pairs(PHOTOS[:photos], PAINTINGS[:paintings], count)
        assert len(set(pairs)) == len(pairs) == count
        for names, used in zip((PHOTOS[:photos], PAINTINGS[:paintings]), zip(*pairs, strict=True), strict=True):
            uses = [Counter(used)[name] for name in names]
            assert max(uses) - min(uses) <= 1


def test_few_pairs_are_not_all_from_the_first_names() -> None:
    assert choose_pairs(PHOTOS, PAINTINGS, 2) == [("photo_00", "painting_00"), ("photo_06", "painting_07")]


def test_the_choice_depends_on_the_names_alone() -> None:
    assert choose_pairs(PHOTOS[::-1], PAINTINGS[::-1], 24) == choose_pairs(PHOTOS, PAINTINGS, 24)
    assert len(choose_pairs(PHOTOS, PAINTINGS, None)) == 168
    assert choose_pairs(PHOTOS, [], 24) == []


def test_a_way_has_settings_of_its_own() -> None:
    way = Way.parse("mixed+early_iterations=0.5+coarse-iterations=2,3")
    assert way.options == {
        "network": "vgg19",
        "coarse_network": "compact",
        "early_iterations": "0.5",
        "coarse_iterations": "2,3",
    }
    assert way.networks == {"vgg19", "compact"}
    assert Way.parse("vgg19").networks == {"vgg19"}
    with pytest.raises(ValueError, match="no way 'vgg'"):
        Way.parse("vgg")
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_setting("early_iterations")


def test_options_that_cannot_be_are_refused_before_the_first_picture() -> None:
    job = Job(
        ("lion", "waves"), Way.parse("mixed+early_iterations=0.5"), 0.7, "standard", {"size": "96", "threads": "1"}
    )
    spec, run = job.resolved()
    assert (spec.size, spec.strength, spec.network, spec.early_iterations) == ("96", 0.7, "vgg19", 0.5)
    assert run.threads == 1
    with pytest.raises(OptionError, match="early_iteration"):
        replace(job, way=Way.parse("mixed+early_iteration=0.5")).resolved()


def figures(style: float = 0.2, half: float = 0.4) -> dict[str, float]:
    return {"content_error": 0.3, "style_error": style, "style_error_half": half}


def test_the_style_error_is_the_mean_of_full_and_half_size() -> None:
    outcome = outcome_of({"figures": figures(), "seconds": 2.0})
    assert outcome.style == pytest.approx(0.3)
    assert outcome.flaws == {}
    assert outcome_of({"figures": {**figures(), "color_cast": 4.0}, "seconds": 2.0}).flaws == {"color_cast": 4.0}


def keep(job: Job, output: Path) -> None:
    """Write what a finished job leaves."""
    job.file(output, "png").parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(job.file(output, "png"))
    job.file(output, "json").write_text(json.dumps({"settings": job.settings, "figures": figures(), "seconds": 1.0}))


def test_a_finished_picture_is_kept_unless_its_settings_or_weights_changed(tmp_path: Path) -> None:
    job = Job(("lion", "waves"), Way.parse("compact"), 0.5, "standard", {"size": "96"}, {"vgg19": "1", "compact": "2"})
    assert job.kept(tmp_path) is None
    keep(job, tmp_path)
    kept = job.kept(tmp_path)
    assert kept is not None
    assert kept["seconds"] == 1.0
    assert replace(job, weights={"vgg19": "9", "compact": "2"}).kept(tmp_path) is not None
    with pytest.raises(StaleError, match="options"):
        replace(job, options={"size": "128"}).kept(tmp_path)
    with pytest.raises(StaleError, match="weights"):
        replace(job, weights={"vgg19": "1", "compact": "3"}).kept(tmp_path)


def test_a_picture_without_its_figures_is_not_finished(tmp_path: Path) -> None:
    job = Job(("lion", "waves"), Way.parse("vgg19"), 0.5, "standard", {"size": "96"}, {"vgg19": "1"})
    keep(job, tmp_path)
    job.file(tmp_path, "json").unlink()
    assert job.kept(tmp_path) is None


def test_timings_are_ratios_within_the_rounds() -> None:
    found = timings({"vgg19": [1.0, 4.0, 2.0], "compact": [0.1, 0.4, 0.2]})
    assert found["compact"].median_ratio == pytest.approx(0.1)
    assert found["compact"].best_ratio == pytest.approx(0.1)
    assert found["vgg19"].median == 2.0
    assert found["vgg19"].median_ratio == 1.0


def test_the_report_has_the_ratios_in_both_forms() -> None:
    pair, other = ("lion", "waves"), ("owls", "kiss")
    dials = {
        "vgg19": {pair: REFERENCE, other: REFERENCE},
        "compact": {pair: dial(0.1, 0.2, 0.45, factor=2), other: dial(0.05, 0.2, 0.45, factor=4)},
        "mixed": {},
    }
    report = Report({"commit": "abc"}, dials, {})
    assert "| compact | 2 | 3.000 | 3.800 | 1 of 6 |" in report.to_markdown()
    assert "| owls x kiss | 4.000 | 0.35: 4.000*, 0.5: 4.000, 0.7: 4.000 |" in report.to_markdown()
    parsed = json.loads(report.to_json())
    assert parsed["summary"]["compact"]["style"] == pytest.approx(3)
    assert parsed["worst"] == {"compact": ["owls x kiss", "lion x waves"]}
    assert parsed["outcomes"]["vgg19"]["lion x waves"]["0.5"]["content"] == 0.2


STRENGTHS = (0.35, 0.5, 0.7)
SETTINGS = {"preset": "standard", "options": "size 96", "weights": "vgg19 1"}


def jobs_of(*pairs: tuple[str, str]) -> list[Job]:
    ways = list(map(Way.parse, ("vgg19", "compact")))
    return [Job(pair, way, at, "standard", {"size": "96"}) for pair in pairs for at in STRENGTHS for way in ways]


def test_shares_are_whole_pairs_and_together_all() -> None:
    jobs = jobs_of(*zip(PHOTOS, PAINTINGS, strict=False))
    shares = [share_of(jobs, part, 3) for part in (1, 2, 3)]
    assert [len(share) for share in shares] == [4 * 6] * 3
    assert sorted(job.pair[0] for share in shares for job in share) == sorted(PHOTOS * 6)


def test_an_earlier_report_spares_what_it_has_in_whole_and_tells_where_it_is_from(tmp_path: Path) -> None:
    whole, part, new = ("lion", "waves"), ("owls", "kiss"), ("paris", "kiss")
    doubled = dial(0.1, 0.2, 0.45, factor=2)
    more, less = {**doubled, 0.9: doubled[0.7]}, {0.5: doubled[0.5]}
    theirs = {
        "vgg19": {whole: REFERENCE, part: REFERENCE, new: REFERENCE},
        "compact": {whole: more, part: less, new: doubled},
    }
    file = tmp_path / "report.json"
    file.write_text(Report({**SETTINGS, "machine": "a; b"}, theirs, {}).to_json())
    earlier, jobs = Earlier.read(file, SETTINGS), jobs_of(new, whole, part)
    assert {(job.way.name, job.pair) for job in earlier.missing(jobs)} == {("compact", part)}
    tripled = dial(0.1, 0.2, 0.45, factor=3)
    ours = {"vgg19": {new: tripled}, "compact": {new: tripled}}
    assert earlier.beside(ours, jobs) == {("vgg19", whole), ("vgg19", part), ("compact", whole)}
    both = earlier.added_to(ours, jobs)
    assert both == {
        "vgg19": {new: tripled, whole: REFERENCE, part: REFERENCE},
        "compact": {new: tripled, whole: doubled},
    }
    assert list(both["compact"]) == [new, whole]
    assert earlier.circumstances({"machine": "b, c"}) == {"machine": "a; b; b, c"}
    assert Earlier().circumstances({"machine": "ours"}) == {"machine": "ours"}


def test_a_way_that_an_earlier_report_lacks_is_compared_with_the_whole_curve_of_its_reference(tmp_path: Path) -> None:
    pair = ("lion", "waves")
    file = tmp_path / "report.json"
    file.write_text(Report(SETTINGS, {"vgg19": {pair: REFERENCE}}, {}).to_json())
    earlier = Earlier.read(file, SETTINGS)
    jobs = [Job(pair, Way.parse(way), 0.5, "standard", {"size": "96"}) for way in ("vgg19", "mixed")]
    assert [job.way.name for job in earlier.missing(jobs)] == ["mixed"]
    ours = {"vgg19": {}, "mixed": {pair: {0.5: Outcome(0.3, 2 * power_law(0.3), 1)}}}
    comparison = Report({}, earlier.added_to(ours, jobs), {}).comparisons["mixed"][pair]
    assert comparison.ratios == {0.5: Ratio(pytest.approx(2), extrapolated=False)}
    assert comparison.content_same_strength == pytest.approx(0.3 / 0.2)


def test_a_reference_that_is_to_paint_once_is_compared_by_that_picture_alone(tmp_path: Path) -> None:
    pair, strengths = ("lion", "waves"), ["--strengths", "0.35", "0.5", "--reference-strength", "0.5"]
    parsed = parse_arguments(["folder", "output", "--size", "96", "--ways", "vgg19", "compact", *strengths])
    jobs = plan(parsed, [pair], {"vgg19": "1", "compact": "1"})
    assert [(job.way.name, job.strength) for job in jobs] == [("compact", 0.35), ("vgg19", 0.5), ("compact", 0.5)]
    assert strengths_of(jobs) == {"strengths": "compact 0.35, 0.5; vgg19 0.5"}
    file = tmp_path / "report.json"
    file.write_text(Report(SETTINGS, {"vgg19": {pair: REFERENCE}, "compact": {pair: REFERENCE}}, {}).to_json())
    earlier = Earlier.read(file, SETTINGS)
    assert not earlier.missing(jobs)
    dials = earlier.added_to({"vgg19": {}, "compact": {}}, jobs)
    report = Report({}, dials, {}, reference_strength=parsed.reference_strength)
    assert list(report.comparisons["compact"][pair].ratios) == [0.5]


def test_a_sheet_shows_pairs_that_are_compared_at_another_strength(tmp_path: Path) -> None:
    for kind in ("content", "style"):
        (tmp_path / kind).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / kind / "a.jpg")
    dials = {"vgg19": {("a", "a"): {0.35: REFERENCE[0.35]}}, "compact": {("a", "a"): REFERENCE}}
    report = Report({}, dials, {}, [("vgg19", ("a", "a")), ("compact", ("a", "a"))], reference_strength=0.35)
    (pairs, worst_pairs) = write_report(report, tmp_path, Pictures(tmp_path), 32)
    assert (pairs.name, worst_pairs.name) == ("pairs_1.png", "worst_compact.png")
    assert pairs.is_file()


def test_the_strength_of_the_reference_is_among_those_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["folder", "output", "--strengths", "0.35", "--reference-strength", "0.5"])
    assert "that of --reference-strength" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("{", "no report"),
        ("[]", "no report"),
        ('{"outcomes": {"vgg19": {"lion": {}}}, "facts": {}}', "no report"),
        (Report({**SETTINGS, "weights": "vgg19 2"}, {}, {}).to_json(), "other weights, so"),
    ],
)
def test_what_is_no_earlier_report_of_these_settings_is_refused(tmp_path: Path, contents: str, message: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(contents)
    with pytest.raises(StaleError, match=message):
        Earlier.read(file, SETTINGS)
    with pytest.raises(StaleError, match="cannot be read"):
        Earlier.read(tmp_path / "none.json", SETTINGS)


def test_a_sheet_shows_each_picture_in_its_cell(tmp_path: Path) -> None:
    for name in ("red", "blue"):
        Image.new("RGB", (100, 50), name).save(tmp_path / f"{name}.png")
    row = [Cell(tmp_path / "red.png", ("one",)), Cell(None, ("none",)), Cell(tmp_path / "blue.png", ("two", "lines"))]
    sheet = lay_out([row, row[:1]], 64)
    column, below = sheet.width // 3, lay_out([row], 64).height
    assert sheet.getpixel((5, 5)) == sheet.getpixel((63, 31)) == (255, 0, 0)
    assert sheet.getpixel((column + 5, 5)) == (211, 211, 211)
    assert sheet.getpixel((2 * column + 5, 5)) == (0, 0, 255)
    assert sheet.getpixel((5, below + 5)) == (255, 0, 0)
    assert sheet.getpixel((column + 5, below + 5)) == (255, 255, 255)
