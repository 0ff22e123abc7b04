from __future__ import annotations

import itertools
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto import animation
from impasto.animation import FRAME_SIDE, KEPT, Recorder, check_animation
from impasto.color import to_lab
from impasto.errors import MissingExtraError, OutputError

SIZE = (48, 64)

EXTENSIONS = [".gif", ".webp", ".mp4"]


def _waves(phase: float | Tensor, size: tuple[int, int] = SIZE) -> Tensor:
    """Colored waves of full contrast: equal differences of phase are equal changes."""
    along = torch.linspace(0, 12, size[0])[:, None] + torch.linspace(0, 16, size[1])
    return (0.5 + 0.5 * torch.sin(torch.stack([along, 0.7 * along, 0.4 * along]) + phase))[None]


START, END = _waves(0), _waves(12)


def _approach(steps: int, rate: float, size: tuple[int, int] = SIZE) -> list[Tensor]:
    """A run that changes fast first and less and less: an e-th of what is left remains after 1 / ``rate`` steps."""
    return [_waves(12 * (1 - math.exp(-rate * step)), size) for step in range(steps)]


@pytest.fixture
def recorder() -> Recorder:
    recorder = Recorder(SIZE)
    for image in (*_approach(150, 0.04), END):
        recorder.add(image)
    return recorder


def _distances(frames: list[Image.Image]) -> np.ndarray:
    """The mean distance in CIE Lab of each frame to the one after it."""
    colors = [to_lab(torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None] / 255) for frame in frames]
    return np.array([float((b - a).norm(dim=1).mean()) for a, b in itertools.pairwise(colors)])


def _error(frame: Image.Image, image: Tensor) -> float:
    """The mean absolute difference, in steps of 8 bits."""
    return float(np.abs(np.asarray(frame, float) - image[0].permute(1, 2, 0).numpy() * 255).mean())


def _read(path: Path) -> tuple[list[Image.Image], list[float]]:
    """The frames of a GIF or WebP as RGB, and for how many seconds each is shown."""
    frames, seconds = [], []
    with Image.open(path) as file:
        for index in range(file.n_frames):
            file.seek(index)
            file.load()
            frames.append(file.convert("RGB"))
            seconds.append(file.info["duration"] / 1000)
    return frames, seconds


def _read_video(path: Path) -> tuple[list[Image.Image], list[float]]:
    import av

    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = list(file.decode(stream))
        assert {int(frame.colorspace) for frame in frames} == {1}, "the colors are said to be those of BT.709"
    # Older versions of PyAV take all videos for BT.601, unless the two are said to differ.
    rgb = [frame.reformat(format="rgb24", src_colorspace="ITU709", dst_colorspace="ITU601") for frame in frames]
    return [Image.fromarray(frame.to_ndarray()) for frame in rgb], [float(frame.time) for frame in frames]


def test_the_frames_lie_evenly_in_change_though_the_first_steps_change_most(recorder: Recorder) -> None:
    frames = list(recorder.frames())
    distances = _distances(frames)
    assert len(frames) == animation.FRAMES
    assert distances[1:-1].max() <= 2 * distances[1:-1].min()
    assert distances.max() <= 1.5 * np.median(distances)


def test_a_single_step_that_changes_much_is_blended_in() -> None:
    recorder = Recorder(SIZE)
    for phase in (0, 1, 1.1, 1.2):
        recorder.add(_waves(phase))
    distances = _distances(list(recorder.frames()))
    assert distances.max() <= 2 * distances.min()


def test_the_first_and_the_last_picture_are_there_as_they_are(recorder: Recorder) -> None:
    frames = list(recorder.frames(7))
    assert len(frames) == 7
    assert _error(frames[0], START) < 0.3
    assert _error(frames[-1], END) < 0.3


def test_thousands_of_pictures_stay_within_the_bound_and_even() -> None:
    size = (12, 16)
    recorder, jitter = Recorder(size), 0.01 * (-1) ** torch.arange(size[1])
    for number, image in enumerate(_approach(5000, 0.001, size)):
        # Steps back and forth, of which the path is full in the end, when little else happens.
        recorder.add((image + (jitter if number % 2 else -jitter)).clamp(0, 1))
        assert len(recorder) <= KEPT
    recorder.add(_waves(12, size))
    assert len(recorder) == KEPT
    distances = _distances(list(recorder.frames()))
    assert distances[1:-1].max() <= 2 * distances[1:-1].min()


def test_what_is_held_in_memory_is_no_more_than_documented() -> None:
    recorder = Recorder((2000, 2000))
    recorder.add(torch.rand(1, 3, 600, 600))
    picture, colors = recorder._pictures[0], recorder._colors[0]
    held = picture.nbytes + colors.nbytes
    assert picture.shape == (FRAME_SIDE, FRAME_SIDE, 3)
    assert KEPT * held < 59e6


def test_pictures_of_any_size_are_brought_to_one_with_even_sides() -> None:
    recorder = Recorder((333, 1001))
    assert recorder.size == (160, 480)
    for size in ((21, 63), (333, 1001)):
        recorder.add(torch.rand(1, 3, *size))
    assert {frame.size for frame in recorder.frames(3)} == {(480, 160)}
    assert Recorder((37, 51)).size == (36, 52)
    assert Recorder((16, 3000)).size == (2, 480)


def test_transparency_is_laid_on_white() -> None:
    recorder = Recorder((16, 16))
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., 16:] = 1
    recorder.add(torch.zeros(1, 3, 16, 16), alpha)
    values = np.asarray(next(recorder.frames(2)))
    assert values[:, 2].mean() > 250
    assert values[:, 13].mean() < 5


@pytest.mark.parametrize("extension", [".gif", ".webp"])
def test_an_animation_read_back(recorder: Recorder, extension: str, tmp_path: Path) -> None:
    path = recorder.save(tmp_path / f"growing{extension}")
    frames, seconds = _read(path)
    assert len(frames) == animation.FRAMES
    assert {frame.size for frame in frames} == {(64, 48)}
    assert seconds[0] == pytest.approx(0.5)
    assert seconds[-1] == pytest.approx(2.0)
    assert sum(seconds[1:-1]) == pytest.approx(6, abs=0.3)
    assert _error(frames[0], START) < 12
    assert _error(frames[-1], END) < 12
    assert _error(frames[0], END) > 20
    distances = _distances(frames)
    assert distances.max() <= 2 * np.median(distances)
    with Image.open(path) as file:
        assert file.info["loop"] == 0


def test_webp_holds_no_small_changes_back(tmp_path: Path) -> None:
    recorder, more_to_the_right = Recorder(SIZE), torch.linspace(0, 1, SIZE[1]) ** 2
    for phase in range(5):
        recorder.add(_waves(phase * more_to_the_right))
    frames, _ = _read(recorder.save(tmp_path / "growing.webp"))
    distances = _distances(frames)
    assert len(frames) == animation.FRAMES
    assert distances.max() <= 1.6 * np.median(distances)


def test_a_video_read_back(recorder: Recorder, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="MP4 needs PyAV: pip install 'impasto[video]'")
    path = recorder.save(tmp_path / "growing.mp4")
    frames, times = _read_video(path)
    assert {frame.size for frame in frames} == {(64, 48)}
    assert times == pytest.approx([index / 25 for index in range(len(times))])
    assert times[-1] == pytest.approx(0.5 + 6 + 2, abs=0.2)
    assert _error(frames[0], START) < 8
    assert _error(frames[-1], END) < 8
    moving = frames[11:161]
    assert _distances(moving).max() <= 2 * np.median(_distances(moving))
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first"


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_the_same_pictures_give_the_same_bytes(extension: str, tmp_path: Path) -> None:
    if extension == ".mp4":
        pytest.importorskip("av", reason="MP4 needs PyAV: pip install 'impasto[video]'")
    written = []
    for name in ("one", "two"):
        recorder = Recorder(SIZE)
        for phase in (0, 2, 3, 4):
            recorder.add(_waves(phase))
        written.append(recorder.save(tmp_path / f"{name}{extension}").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_file_that_comes_out_too_large_is_encoded_smaller(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if extension == ".mp4":
        pytest.importorskip("av", reason="MP4 needs PyAV: pip install 'impasto[video]'")
    recorder, generator = Recorder((48, 64)), torch.Generator().manual_seed(0)
    for _ in range(4):
        recorder.add(torch.rand(1, 3, 48, 64, generator=generator))
    whole = recorder.save(tmp_path / f"whole{extension}").stat().st_size
    monkeypatch.setattr(animation, "MAX_BYTES", whole // 2)
    path = recorder.save(tmp_path / f"smaller{extension}")
    assert path.stat().st_size <= whole // 2
    frames, _ = _read_video(path) if extension == ".mp4" else _read(path)
    assert frames[0].size[0] < 64 * 0.8
    assert frames[0].size[0] / frames[0].size[1] == pytest.approx(4 / 3, rel=0.1)


def test_a_run_in_which_nothing_changes_is_a_still(tmp_path: Path) -> None:
    recorder = Recorder(SIZE)
    for _ in range(3):
        recorder.add(START)
    for extension in (".gif", ".webp"):
        frames, _ = _read(recorder.save(tmp_path / f"still{extension}"))
        assert _error(frames[-1], START) < 12


def test_an_animation_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        Recorder(SIZE).save(tmp_path / "nothing.gif")
    assert not (tmp_path / "nothing.gif").exists()


def test_an_extension_that_is_not_one_of_an_animation_is_refused_with_the_ones_that_are(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"'\.giff'.*Did you mean '\.gif'\?.*\.gif, \.webp, \.mp4"):
        check_animation(tmp_path / "growing.giff")
    with pytest.raises(OutputError, match="no extension"):
        check_animation(tmp_path / "growing")


@pytest.mark.parametrize("extension", [".GIF", ".webp"])
def test_the_place_is_checked_beforehand(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"growing{extension}"
    check_animation(path)
    with pytest.raises(OutputError, match="no folder"):
        check_animation(tmp_path / "nowhere" / path.name)
    path.write_bytes(b"something")
    with pytest.raises(OutputError, match="exists already"):
        check_animation(path)
    check_animation(str(path), overwrite=True)


def test_a_file_that_exists_is_left_whole_or_replaced(recorder: Recorder, tmp_path: Path) -> None:
    path = tmp_path / "growing.gif"
    path.write_bytes(b"something")
    with pytest.raises(OutputError, match="exists already"):
        recorder.save(path)
    assert path.read_bytes() == b"something"
    recorder.save(path, overwrite=True)
    assert path.read_bytes().startswith(b"GIF89a")
    assert list(tmp_path.iterdir()) == [path]


def test_a_video_without_its_extra_is_refused_beforehand_with_the_command(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for attempt in (check_animation, recorder.save):
        with pytest.raises(MissingExtraError, match=r"pip install 'impasto\[video\]'"):
            attempt(tmp_path / "growing.mp4")
    check_animation(tmp_path / "growing.gif")


def test_a_video_that_finds_no_room_for_its_temporary_file_is_told(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av", reason="MP4 needs PyAV: pip install 'impasto[video]'")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OutputError, match=r"cannot be encoded .*make room"):
        recorder.save(tmp_path / "growing.mp4")


def test_checking_does_not_wait_for_torch(tmp_path: Path) -> None:
    code = f"""
import sys
from impasto.animation import check_animation
check_animation({str(tmp_path / "growing.gif")!r})
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
