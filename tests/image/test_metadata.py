from __future__ import annotations

import io
import json
import struct
import tracemalloc
import warnings
import zlib
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from impasto.image.deep import encode_deep
from impasto.image.exif import read_exif, write_exif
from impasto.image.metadata import Metadata, read_metadata, read_settings, save_arguments
from impasto.image.read import read_picture
from impasto.image.xmp import cleaned

from .sources import only, values

FORMATS = ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"]
SETTINGS = json.dumps(
    {"network": "vgg19", "inputs": ["Grüße <&> \u2028 ✓.jpg"], "style_weight": 1e6}, ensure_ascii=False
)
THUMBNAIL = b"\xff\xd8thumbnail\xff\xd9" * 3
MAKER_NOTE = b"MakerNote with a preview in it"

Fields = dict[int, tuple[int, bytes]]


def ascii(text: str) -> tuple[int, bytes]:
    return 2, text.encode() + b"\0"


def tiff_block(order: Literal["<", ">"] = "<", *, main: Fields | None = None, comment: bytes = b"calm sea") -> bytes:
    """What a camera writes: a main, an EXIF, a GPS and a thumbnail directory, laid out by hand."""

    def number(kind: int, *values: int) -> tuple[int, bytes]:
        return kind, struct.pack(f"{order}{len(values)}{ {3: 'H', 4: 'I', 9: 'i'}[kind] }", *values)

    def rational(*values: int) -> tuple[int, bytes]:
        return 5, number(4, *values)[1]

    ifd0 = main or {
        0x010E: ascii("Boats at noon"),
        0x010F: ascii("Kamera AG"),
        0x0110: ascii("K-1"),
        0x0112: number(3, 6),
        0x011A: rational(300, 1),
        0x0131: ascii("Darkroom 5"),
        0x0132: ascii("2021:05:04 03:02:01"),
        0x013B: (2, "Jürgen Müller".encode() + b"\0"),
        0x02BC: (1, b"<x:xmpmeta/>"),
        0x8298: ascii("(c) J. Mueller"),
        0x83BB: (7, b"\x1c\x02\x05\0\x01X"),
    }
    exif = {
        0x829A: rational(10, 1250),
        0x9000: (7, b"0232"),
        0x9003: ascii("2021:05:04 03:02:01"),
        0x9204: (10, struct.pack(order + "2i", 1, 3)),
        0x9214: number(3, 10, 10, 5, 5),
        0x927C: (7, MAKER_NOTE),
        0x9286: (7, b"ASCII\0\0\0" + comment),
        0xA001: number(3, 65535),
        0xA002: number(4, 6000),
        0xA003: number(4, 4000),
        0xA434: ascii("K 50mm F1.4"),
        0xFE4E: ascii("White balance of Camera Raw"),
    }
    gps = {0: (1, b"\2\3\0\0"), 1: ascii("N"), 2: rational(48, 1, 8, 1, 3012, 100), 0x1D: ascii("2021:05:04")}
    ifd1 = {0x0103: number(3, 6), 0x0201: number(4, 0), 0x0202: number(4, len(THUMBNAIL))}
    blocks = [ifd0 | {0x8769: number(4, 0), 0x8825: number(4, 0)}, exif, gps, ifd1]
    starts, sizes = [8], []
    for fields in blocks:
        size = 6 + 12 * len(fields) + sum(len(v) + len(v) % 2 for _, v in fields.values() if len(v) > 4)
        sizes.append(size)
        starts.append(starts[-1] + size)
    blocks[0] |= {0x8769: number(4, starts[1]), 0x8825: number(4, starts[2])}
    blocks[3] |= {0x0201: number(4, starts[4])}
    data = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    for index, (fields, start) in enumerate(zip(blocks, starts, strict=False)):
        entries, behind = b"", b""
        for tag, (kind, value) in sorted(fields.items()):
            width = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8}[kind]
            place = value.ljust(4, b"\0")
            if len(value) > 4:
                place = struct.pack(order + "I", start + 6 + 12 * len(fields) + len(behind))
                behind += value + b"\0" * (len(value) % 2)
            entries += struct.pack(order + "HHI", tag, kind, len(value) // width) + place
        following = struct.pack(order + "I", starts[3] if index == 0 else 0)
        data += struct.pack(order + "H", len(fields)) + entries + following + behind
    return data + THUMBNAIL


def exif_block(order: Literal["<", ">"] = "<") -> bytes:
    return b"Exif\0\0" + tiff_block(order)


XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 5.6-c140">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"
    tiff:Orientation="6" tiff:ImageWidth="6000" tiff:Make="Kamera AG" crs:Exposure2012="+0.85" xmp:Rating="4"
    xmp:CreatorTool="Darkroom 5" exif:PixelXDimension="6000" exif:FNumber="14/10" aux:Lens="K 50mm F1.4"
    xmpMM:DocumentID="xmp.did:secret" photoshop:City="München" photoshop:Instructions="first&#10;second &amp; third">
   <xmpMM:History><rdf:Seq><rdf:li stEvt:action="saved" stEvt:softwareAgent="Darkroom"/></rdf:Seq></xmpMM:History>
   <xmp:Thumbnails><rdf:Alt><rdf:li xmpGImg:image="/9j/4AAQSkZJRg"/></rdf:Alt></xmp:Thumbnails>
   <crs:ToneCurve><rdf:Seq><rdf:li>0, 0</rdf:li></rdf:Seq></crs:ToneCurve>
   <tiff:Orientation>6</tiff:Orientation>
   <!-- a remark -->
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Boats &lt;at&gt; noon</rdf:li></rdf:Alt></dc:title>
   <dc:creator><rdf:Seq><rdf:li>Jürgen Müller</rdf:li></rdf:Seq></dc:creator>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()

REMOVED_FROM_XMP = (
    *("Orientation", "6000", "crs", "Camera", "Darkroom", "camera-raw", "xmpMM", "secret", "History", "Thumbnail"),
    *("/9j/", "remark", "xmptk", "PixelXDimension"),
)
KEPT_IN_XMP = (
    *('tiff:Make="Kamera AG"', 'xmp:Rating="4"', 'exif:FNumber="14/10"', 'aux:Lens="K 50mm F1.4"', "München"),
    *("first&#10;second &amp; third", "<dc:title>", "Boats &lt;at&gt; noon", "Jürgen Müller"),
)


def picture(side: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def encoded(format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, format, **options)
    return buffer.getvalue()


def written(format: str, metadata: Metadata, settings: str | None = None) -> bytes:
    """A file as impasto writes it."""
    if format == "TIFF":
        values = np.asarray(picture())
        return encode_deep(values, None, "TIFF", profile=None, metadata=metadata, settings=settings)
    return encoded(format, **save_arguments(format, metadata, settings))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def photographed(format: str, order: Literal["<", ">"] = "<") -> bytes:
    """A file as cameras and editors write it, with everything in it."""
    if format == "PNG":
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", XMP)
        return encoded("PNG", exif=exif_block(order), pnginfo=texts)
    if format == "TIFF":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        exif = Image.Exif()
        exif.load(exif_block(order))
        for tag, value in exif.items():
            tags[tag] = exif.get_ifd(tag) if tag in (0x8769, 0x8825) else value
        tags[700] = XMP
        tags.tagtype[700] = 1
        return encoded("TIFF", tiffinfo=tags)
    return encoded(format, exif=exif_block(order), xmp=XMP)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG, found without Pillow."""
    found, place = [], 8
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        found.append((kind, data[place + 8 : place + 8 + size]))
        assert zlib.crc32(kind + found[-1][1]) == struct.unpack_from(">I", data, place + 8 + size)[0]
        place += 12 + size
    return found


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_camera_date_place_and_author_are_kept(format: str, order: Literal["<", ">"]) -> None:
    exif = Image.Exif()
    exif.load(read_metadata(opened(photographed(format, order))).exif)
    assert dict(exif) | {0x8769: 0, 0x8825: 0} == {
        **{0x010E: "Boats at noon", 0x010F: "Kamera AG", 0x0110: "K-1", 0x0132: "2021:05:04 03:02:01", 0x011A: 300},
        **{0x013B: exif[0x013B], 0x8298: "(c) J. Mueller", 0x8769: 0, 0x8825: 0},
    }
    assert exif.get_ifd(0x8769) == {
        **{0x829A: 10 / 1250, 0x9000: b"0232", 0x9003: "2021:05:04 03:02:01", 0x9204: pytest.approx(1 / 3)},
        **{0x9286: b"ASCII\0\0\0calm sea", 0xA434: "K 50mm F1.4"},
    }
    assert exif.get_ifd(0x8825) == {0: b"\2\3\0\0", 1: "N", 2: (48, 8, 30.12), 0x1D: "2021:05:04"}
    assert exif.get_ifd(1) == {}


@pytest.mark.parametrize("order", ["<", ">"])
def test_fields_that_are_kept_are_kept_byte_for_byte(order: Literal["<", ">"]) -> None:
    before, after = exif_block(order), read_metadata(opened(photographed("JPEG", order))).exif
    assert after[:14] == before[:14]
    for value in ("Jürgen Müller".encode(), struct.pack(order + "2I", 10, 1250), struct.pack(order + "2i", 1, 3)):
        assert value in before
        assert value in after
    assert struct.pack(order + "HHI", 0x9204, 10, 1) in after  # a signed number stays one


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_that_was_removed_is_anywhere_in_the_file(format: str) -> None:
    before = photographed("JPEG")
    data = written(format, read_metadata(opened(before)), SETTINGS)
    for secret in (THUMBNAIL, MAKER_NOTE, b"Darkroom", b"Camera Raw", b"/9j/", b"xmp.did"):
        assert secret in before
        assert secret not in data
    again = opened(data)
    assert again.getexif().get(0x0112, 1) == 1
    assert b"rientation" not in again.info["xmp"]


@pytest.mark.parametrize("format", FORMATS)
def test_the_photos_xmp_is_kept_without_settings_of_editors(format: str) -> None:
    packet = read_metadata(opened(photographed(format))).xmp
    text = packet.decode()
    for word in KEPT_IN_XMP:
        assert word in text
    for word in REMOVED_FROM_XMP:
        assert word not in text
    assert ElementTree.fromstring(packet).tag == "{adobe:ns:meta/}xmpmeta"
    assert text.startswith('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>')


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("settings", [SETTINGS, None])
def test_what_is_written_is_read_again(format: str, settings: str | None) -> None:
    metadata = read_metadata(opened(photographed("JPEG")))
    image = opened(written(format, metadata, settings))
    again = read_metadata(image)
    assert read_settings(image) == settings
    assert again.exif == metadata.exif
    assert values(again.xmp, "dc:title") == ["Boats <at> noon"]
    assert values(again.xmp, "dc:creator") == ["Jürgen Müller"]
    assert again == read_metadata(opened(written(format, again, settings)))
    assert b"impasto" not in again.xmp


@pytest.mark.parametrize("format", FORMATS)
def test_the_source_type_of_iptc_says_how_the_picture_was_made(format: str) -> None:
    packet = opened(written(format, Metadata(), SETTINGS)).info["xmp"]
    kind = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    assert values(packet, "Iptc4xmpExt:DigitalSourceType") == [kind]
    assert values(packet, "impasto:Settings") == ([] if format == "PNG" else [SETTINGS])


@pytest.mark.parametrize("format", FORMATS)
def test_without_metadata_and_settings_there_is_nothing(format: str) -> None:
    data = written(format, Metadata())
    assert b"xmp" not in data.lower()
    assert b"Exif\0\0II" not in data
    assert read_metadata(opened(data)) == Metadata()
    assert read_settings(opened(data)) is None


def test_png_holds_settings_as_text_where_every_tool_finds_them() -> None:
    found = chunks(written("PNG", Metadata(), SETTINGS))
    assert (b"iTXt", b"impasto\0\0\0\0\0" + SETTINGS.encode()) in found
    kinds = [kind for kind, _ in found]
    assert kinds == [b"IHDR", b"iTXt", b"iTXt", b"IDAT", b"IEND"]


def test_gif_holds_settings_as_comment_in_ascii() -> None:
    data = written("GIF", read_metadata(opened(photographed("JPEG"))), SETTINGS)
    comment = opened(data).info["comment"]
    assert comment.isascii()
    assert json.loads(comment) == json.loads(SETTINGS)
    text = read_settings(opened(data))
    assert text is not None
    assert json.loads(text) == json.loads(SETTINGS)
    assert read_metadata(opened(data)) == Metadata()  # the settings are no description of the photo


@pytest.mark.parametrize("format", [*FORMATS, "GIF"])
def test_a_name_that_no_encoding_holds_survives_in_json(format: str) -> None:
    settings = json.dumps({"content": "caf\udce9 \ufffe\uffff \U0001f600"}, ensure_ascii=False)
    text = read_settings(opened(written(format, Metadata(), settings)))
    assert text is not None
    assert json.loads(text) == json.loads(settings)


@pytest.mark.parametrize("format", FORMATS)
def test_old_settings_are_replaced(format: str) -> None:
    first = written(format, read_metadata(opened(photographed("JPEG"))), '{"run": "first"}')
    second = written(format, read_metadata(opened(first)), '{"run": "second"}')
    assert read_settings(opened(second)) == '{"run": "second"}'
    assert b"first" not in second.replace(b"first&#10;second", b"")
    assert second.count(b"compositeWith") == 1
    third = written(format, read_metadata(opened(second)), '{"run": "second"}')
    assert third == second  # nothing piles up


@pytest.mark.parametrize("format", [*FORMATS, "GIF"])
def test_writing_is_reproducible(format: str) -> None:
    metadata = read_metadata(opened(photographed("JPEG")))
    assert written(format, metadata, SETTINGS) == written(format, metadata, SETTINGS)


def test_another_reader_of_exif_finds_the_same() -> None:
    vips = pytest.importorskip("pyvips", reason="the extra 'large' is not installed")
    image = vips.Image.jpegload_buffer(written("JPEG", read_metadata(opened(photographed("JPEG")))))
    found = {name: image.get(name).split(" (")[0] for name in image.get_fields() if name.startswith("exif-ifd")}
    assert found["exif-ifd0-Make"] == "Kamera AG"
    assert found["exif-ifd0-Artist"] == "Jürgen Müller"
    assert found["exif-ifd2-ExposureTime"] == "10/1250"
    assert found["exif-ifd2-ExposureBiasValue"] == "1/3"
    assert found["exif-ifd2-LensModel"] == "K 50mm F1.4"
    assert found["exif-ifd3-GPSLatitude"] == "48/1 8/1 3012/100"
    assert not {name for name in found if name.startswith("exif-ifd1")}
    assert not {name for name in found if name.endswith(("Orientation", "MakerNote", "Software", "PixelXDimension"))}


def test_heic_of_a_phone_is_read() -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra 'heic' is not installed")
    buffer = io.BytesIO()
    heif.from_pillow(picture(64)).save(buffer, exif=exif_block(), xmp=XMP)
    heif.register_heif_opener()
    image = opened(buffer.getvalue())
    assert image.format == "HEIF"
    assert read_metadata(image) == read_metadata(opened(photographed("JPEG")))


def test_a_second_picture_in_the_file_does_no_harm() -> None:
    buffer = io.BytesIO()
    picture().save(buffer, "MPO", save_all=True, append_images=[picture()], exif=exif_block())
    image = opened(buffer.getvalue())
    assert image.format == "MPO"
    assert read_metadata(image).exif == read_metadata(opened(photographed("JPEG"))).exif


def test_big_tiff_is_read() -> None:
    order = struct.pack
    entries = order("<HHQ8s", 0x010F, 2, 3, b"ABC") + order("<HHQQ", 0x013B, 2, 12, 16 + 8 + 2 * 20 + 8)
    data = b"II" + order("<HHHQQ", 43, 8, 0, 16, 2) + entries + bytes(8) + b"Jane Austen\0"
    assert read_exif(io.BytesIO(data)) == ("<", {0x010F: (2, b"ABC"), 0x013B: (2, b"Jane Austen\0")})


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_block_cut_short_anywhere_loses_only_what_was_cut(order: Literal["<", ">"]) -> None:
    block = exif_block(order)
    whole = flat(read_exif(block)[1])
    for length in range(len(block)):
        left = flat(read_exif(block[:length])[1])
        assert left.items() <= whole.items()
    assert flat(read_exif(block[: -len(THUMBNAIL)])[1]) == whole
    to_the_gps_table = block[: block.index(b"\2\3\0\0") + 6]
    left = flat(read_exif(to_the_gps_table)[1])
    assert {key for key in whole if key not in left} == {(0x8825, tag) for tag in (1, 2, 0x1D)}


def flat(directory: dict[int, Any]) -> dict[tuple[int, int], tuple[int, bytes]]:
    found = {}
    for tag, field in directory.items():
        found.update(
            {(tag, inner): value for inner, value in field.items()} if isinstance(field, dict) else {(0, tag): field}
        )
    return found


@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: b"II*\0\x08\0\0\0" + tail))
def test_garbage_is_no_exif_and_no_error(data: bytes) -> None:
    image = Image.new("RGB", (1, 1))
    image.info = {"exif": data, "xmp": data, "photoshop": {0x0404: data}, "comment": data, "Title": data}
    metadata = read_metadata(image)
    again = Image.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow warns of anything odd in a block
        again.load(metadata.exif)
    assert not metadata.xmp or ElementTree.fromstring(metadata.xmp) is not None


@given(st.lists(st.tuples(st.integers(6, 400), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_block_with_wrong_bytes_gives_a_block_in_order(changes: list[tuple[int, int]]) -> None:
    block = bytearray(exif_block())
    for place, value in changes:
        block[place] = value
    image = Image.new("RGB", (1, 1))
    image.info["exif"] = bytes(block)
    once = read_metadata(image).exif
    image.info["exif"] = once
    assert read_metadata(image).exif == once


@pytest.mark.parametrize("target", [8, 0, 2**31, 2**32 - 1])
def test_directories_in_circles_or_nowhere_end(target: int) -> None:
    pointers: Fields = {
        0x010F: ascii("K"),
        0x8769: (4, struct.pack("<I", target)),
        0x8825: (4, struct.pack("<I", target)),
    }
    entries = b"".join(
        struct.pack("<HHI4s", tag, kind, 1 if kind == 4 else len(value), value)
        for tag, (kind, value) in pointers.items()
    )
    data = b"II*\0" + struct.pack("<IH", 8, 3) + entries + struct.pack("<I", 8)
    _, directory = read_exif(data)
    assert directory[0x010F] == (2, b"K\0")
    assert len(flat(directory)) <= 4


def test_a_count_beyond_the_file_is_not_believed() -> None:
    entry = struct.pack("<HHII", 0x010F, 2, 2**32 - 1, 8)
    data = b"II*\0" + struct.pack("<IH", 8, 65_535) + entry * 20_000
    tracemalloc.start()
    assert read_exif(data) == ("<", {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


@pytest.mark.parametrize("count", [2, 2**40, 2**64 - 1])
def test_a_directory_of_big_tiff_may_claim_any_length(count: int) -> None:
    entry = struct.pack("<HHQ8s", 0x010F, 2, 3, b"ABC")
    data = b"II" + struct.pack("<HHHQQ", 43, 8, 0, 16, count) + entry + struct.pack("<HHQ8s", 0x010F, 2, 3, b"DEF")
    assert read_exif(io.BytesIO(data)) == ("<", {0x010F: (2, b"ABC")})  # and the first of two counts


def test_fields_that_share_their_bytes_do_not_multiply() -> None:
    tags = [0x010E, 0x010F, 0x0110, 0x0132, 0x013B, 0x8298, 0x9C9B, 0x9C9C]
    table = b"".join(struct.pack("<HHII", tag, 2, 400_000, 200) for tag in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(600_000)
    assert sum(len(value) for _, value in flat(read_exif(data)[1]).values()) == 800_000


@pytest.mark.parametrize("order", ["<", ">"])
def test_values_begin_at_even_places_and_do_not_overlap(order: Literal["<", ">"]) -> None:
    written_block = write_exif(*read_exif(exif_block(order)))[6:]
    taken = [(0, 8)]
    for start in (
        8,
        *(struct.unpack_from(order + "I", written_block, place)[0] for place in pointers(written_block, order)),
    ):
        (count,) = struct.unpack_from(order + "H", written_block, start)
        taken.append((start, start + 6 + 12 * count))
        for tag, kind, number, place in struct.iter_unpack(
            order + "HHII", written_block[start + 2 : start + 2 + 12 * count]
        ):
            size = number * {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8}[kind]
            if size > 4 and tag not in (0x8769, 0x8825):
                taken.append((place, place + size + size % 2))
    taken.sort()
    assert [end for _, end in taken[:-1]] == [start for start, _ in taken[1:]]
    assert taken[-1][1] == len(written_block)


def pointers(block: bytes, order: str) -> list[int]:
    """Where the offsets of the EXIF and the GPS directory stand."""
    (count,) = struct.unpack_from(order + "H", block, 8)
    places = range(10, 10 + 12 * count, 12)
    return [place + 8 for place in places if struct.unpack_from(order + "H", block, place)[0] in (0x8769, 0x8825)]


def test_of_a_tiff_with_a_megabyte_of_exif_nothing_is_kept_and_its_file_stays_where_it_is() -> None:
    image = Image.new("RGB", (1, 1))
    image.format = "TIFF"
    for size, kept in ((100, True), (600_000, False)):
        block = tiff_block(main={0x010E: (2, b"d" * size)}, comment=b"c" * size)
        image.fp = io.BytesIO(block)  # type: ignore[attr-defined]
        image.fp.seek(7)  # type: ignore[attr-defined]
        assert bool(read_metadata(image).exif) == kept
        assert image.fp.tell() == 7  # type: ignore[attr-defined]


def test_blocks_above_a_megabyte_are_left_out() -> None:
    image = Image.new("RGB", (1, 1))
    image.info = {"exif": exif_block() + bytes(1_000_000), "xmp": only(title="x") + b" " * 1_000_000}
    assert read_metadata(image) == Metadata()


def iptc(*sets: tuple[int, bytes]) -> bytes:
    return b"\x1c\x01\x5a\0\x03\x1b%G" + b"".join(
        b"\x1c\x02" + struct.pack(">BH", kind, len(text)) + text for kind, text in sets
    )


BY_IPTC = iptc(
    (5, "Bötchen".encode()), (25, b"sea"), (25, b"boats"), (80, b"J. M\xfcller"), (90, b"Kiel"), (120, b"Noon")
)


def in_photoshop(block: bytes) -> bytes:
    """The marker of JPEG in which Photoshop keeps IPTC."""
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block + b"\0" * (len(block) % 2)
    body = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_iptc_becomes_xmp(format: str) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[33723] = BY_IPTC
    tags.tagtype[33723] = 7
    options: dict[str, Any] = {"tiffinfo": tags} if format == "TIFF" else {"extra": in_photoshop(BY_IPTC)}
    packet = read_metadata(opened(encoded(format, **options))).xmp
    assert values(packet, "dc:title") == ["Bötchen"]
    assert values(packet, "dc:subject") == ["sea", "boats"]
    assert values(packet, "dc:creator") == ["J. Müller"]
    assert values(packet, "dc:description") == ["Noon"]
    assert values(packet, "photoshop:City") == ["Kiel"]


def test_texts_of_png_become_xmp() -> None:
    texts = PngInfo()
    for keyword in ("Title", "Author", "Description", "Copyright", "Software", "Comment"):
        texts.add_text(keyword, f"The {keyword} <&>")
    packet = read_metadata(opened(encoded("PNG", pnginfo=texts))).xmp
    assert values(packet, "dc:title") == ["The Title <&>"]
    assert values(packet, "dc:creator") == ["The Author <&>"]
    assert values(packet, "dc:description") == ["The Description <&>"]
    assert values(packet, "dc:rights") == ["The Copyright <&>"]
    assert b"Software" not in packet


@pytest.mark.parametrize("format", ["JPEG", "GIF"])
def test_a_comment_becomes_the_description_unless_a_program_signed_with_it(format: str) -> None:
    packet = read_metadata(opened(encoded(format, comment=b"Boats at noon"))).xmp
    assert values(packet, "dc:description") == ["Boats at noon"]
    assert read_metadata(opened(encoded(format, comment=b"CREATOR: gd-jpeg v1.0 (using IJG JPEG v62)"))).xmp == b""


def test_the_photos_own_xmp_comes_first() -> None:
    data = encoded("JPEG", extra=in_photoshop(BY_IPTC), xmp=only(title="Mine"), comment=b"A comment")
    packet = read_metadata(opened(data)).xmp
    assert b'dc:title="Mine"' in packet
    assert values(packet, "dc:title") == []
    assert values(packet, "dc:description") == ["Noon"]


@pytest.mark.parametrize("place", [33, -12])
def test_texts_before_and_behind_the_pixels_are_read(place: int) -> None:
    plain = encoded("PNG")
    add = chunk(b"iTXt", b"impasto\0\0\0\0\0{}") + chunk(b"eXIf", tiff_block()) + chunk(b"tEXt", b"Title\0Boats")
    data = plain[:place] + add + plain[place:]
    assert read_settings(opened(data)) == "{}"
    metadata = read_metadata(opened(data))
    assert metadata.exif == read_metadata(opened(photographed("JPEG"))).exif
    assert values(metadata.xmp, "dc:title") == ["Boats"]


def test_exif_that_imagemagick_wrote_as_text_is_read() -> None:
    texts = PngInfo()
    block = exif_block()
    lines = [block.hex()[start : start + 72] for start in range(0, 2 * len(block), 72)]
    texts.add_text("Raw profile type exif", "\n".join(["", "exif", f"{len(block):8}", *lines, ""]), zip=True)
    expected = read_metadata(opened(photographed("JPEG"))).exif
    assert read_metadata(opened(encoded("PNG", pnginfo=texts))).exif == expected


def test_text_that_would_fill_the_memory_is_not_inflated() -> None:
    plain = encoded("PNG")
    bomb = chunk(b"iTXt", b"impasto\0\1\0\0\0" + zlib.compress(b"[" * 100_000_000))
    data = plain[:-12] + bomb + plain[-12:]
    image = opened(data)
    tracemalloc.start()
    assert read_settings(image) is None
    assert read_metadata(image) == Metadata()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6
    assert read_picture(data).stored[0].permute(1, 2, 0).tolist() == np.asarray(picture()).tolist()  # and not lost


def test_reading_metadata_does_not_hide_that_the_pixels_are_damaged() -> None:
    data = encoded("PNG")
    for length in range(60, len(data) - 20, 13):
        image = opened(data[:length])
        read_metadata(image)
        with pytest.raises((OSError, SyntaxError)):
            image.load()


@pytest.mark.parametrize("format", [*FORMATS, "GIF"])
def test_reading_metadata_leaves_the_pixels_readable(format: str) -> None:
    data = written(format, Metadata(), SETTINGS)
    image = opened(data)
    read_metadata(image)
    read_settings(image)
    assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(opened(data).convert("RGB")))


NO_SETTINGS = [
    "",
    "no JSON",
    "[1]",
    '"{}"',
    "{" * 1000,
    '{"a":' * 100_000,
    '{"a": ' + "9" * 10_000 + "}",
    "{}" + " " * 1_000_000,
]


@pytest.mark.parametrize("text", NO_SETTINGS)
@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
def test_what_is_not_the_json_of_an_object_is_no_settings(format: str, text: str) -> None:
    image = picture(1)
    image.format = format
    image.info = {
        "impasto": text,
        "comment": text.encode(),
        "xmp": cleaned(b"", {"impasto:Settings": [text]}),
    }
    assert read_settings(image) is None


def test_settings_are_found_after_a_tool_turned_the_property_into_an_attribute() -> None:
    image = picture(1)
    image.info["xmp"] = only(Settings="{&quot;a&quot;: 1}").replace(
        b"http://purl.org/dc/elements/1.1/", b"https://impasto.invalid/ns/1.0/"
    )
    assert read_settings(image) == '{"a": 1}'


@pytest.mark.parametrize("size", [55_000, 60_000, 65_000, 66_000, 200_000])
def test_in_jpeg_the_photos_xmp_gives_way_to_the_settings(size: int) -> None:
    metadata = Metadata(exif=read_metadata(opened(photographed("JPEG"))).exif, xmp=cleaned(only(title="x" * size), {}))
    settings = json.dumps({"a": "y" * 5000})
    image = opened(written("JPEG", metadata, settings))
    assert read_settings(image) == settings
    assert (b"x" * size in image.info["xmp"]) == (size == 55_000)
    assert read_metadata(image).exif == metadata.exif


def test_what_fits_into_jpeg_to_the_byte_is_written() -> None:
    for extra in range(-3, 4):
        packet = cleaned(only(title="x" * 60_000), {})
        packet = cleaned(only(title="x" * (60_000 + 65_502 - len(packet) + extra)), {})
        image = opened(written("JPEG", Metadata(xmp=packet)))
        assert ("xmp" in image.info) == (extra <= 0)


@pytest.mark.parametrize("as_elements", [True, False])
def test_in_jpeg_the_largest_properties_give_way_and_names_and_rights_stay(as_elements: bool) -> None:
    names = {"creator": "Jürgen", "rights": "(c) J.", "title": "t" * 20_000, "description": "d" * 20_000}
    fields = {**names, "source": "s" * 15_000, "coverage": "c" * 9_000, "relation": "r" * 19_000, "language": "de"}
    packet = only(**fields)
    if as_elements:
        markup = "".join(f"<dc:{name}>{text}</dc:{name}>" for name, text in fields.items())
        packet = only().replace(b"/></rdf", b">" + markup.encode() + b"</rdf:Description></rdf")
    settings = json.dumps({"a": "y" * 5000})
    image = opened(written("JPEG", Metadata(xmp=cleaned(packet, {})), settings))
    written_packet = image.info["xmp"]
    assert read_settings(image) == settings
    assert [name for name in fields if f"dc:{name}".encode() not in written_packet] == ["source", "relation"]
    assert all(text.encode() in written_packet for text in (*names.values(), fields["coverage"]))
    assert 50_000 < len(written_packet) <= 65_502
    assert ElementTree.fromstring(written_packet) is not None


def test_in_jpeg_settings_that_do_not_fit_do_not_drive_the_photos_xmp_out() -> None:
    image = opened(written("JPEG", Metadata(xmp=cleaned(only(title="x" * 9000), {})), json.dumps({"a": "y" * 70_000})))
    assert b"x" * 9000 in image.info["xmp"]
    assert b"compositeWithTrained" in image.info["xmp"]


def test_a_property_is_given_up_for_its_bytes_and_not_its_characters() -> None:
    packet = cleaned(only(source="a" * 1500, relation="ä" * 1000), {})
    shorter = cleaned(packet, {}, limit=len(packet) - 1)
    assert (b"dc:source" in shorter, b"dc:relation" in shorter) == (True, False)
    assert cleaned(packet, {}, limit=len(packet)) == packet
    assert cleaned(packet, {}, limit=100) == b""


@pytest.mark.parametrize("size", [65_000, 65_600, 70_000, 900_000])
@pytest.mark.parametrize("format", FORMATS)
def test_no_size_of_anything_raises(format: str, size: int) -> None:
    fields: Fields = {0x010E: (2, b"d" * size + b"\0")}
    exif = read_metadata(opened(encoded("PNG", exif=b"Exif\0\0" + tiff_block(main=fields)))).exif
    metadata = Metadata(exif, cleaned(only(title="x" * size), {}))
    settings = json.dumps({"a": "y" * (size - 500)})
    image = opened(written(format, metadata, settings))
    fits = format != "JPEG" or size == 65_000
    assert read_settings(image) == (settings if fits else None)
    assert ("exif" in image.info or format == "TIFF") == fits
    assert b"compositeWithTrained" in image.info["xmp"]


def test_a_packet_made_by_hand_is_cleaned_when_it_is_written() -> None:
    data = written("WEBP", Metadata(exif_block(), XMP), SETTINGS)
    assert b"Darkroom" not in opened(data).info["xmp"]


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="BMP"):
        save_arguments("BMP", Metadata(), None)
