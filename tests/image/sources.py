"""Files and color profiles written by hand, so that what is read is compared with numbers that no library made."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from impasto.image.vips import Strips

Array = np.ndarray
Matrix = tuple[tuple[float, float, float], ...]

SRGB: Matrix = ((0.436035, 0.385117, 0.143051), (0.222488, 0.716904, 0.060608), (0.013916, 0.097061, 0.713913))
P3: Matrix = ((0.51512, 0.29198, 0.15710), (0.24120, 0.69225, 0.06657), (-0.00105, 0.04189, 0.78407))
ADOBE: Matrix = ((0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457))
"""Red, green and blue (columns) as XYZ under D50, as ICC profiles have them."""

ADOBE_GAMMA = 563 / 256
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def colors(height: int = 16, width: int = 24) -> Array:
    """H x W x 3 bytes with no symmetry in them: soft, so that formats with loss hold them well."""
    y, x = np.mgrid[:height, :width] / np.array([[[height]], [[width]]])
    planes = [40 + 170 * x * (1 - 0.4 * y), 60 + 150 * y**2, 200 - 120 * x * y]
    return np.stack(planes, axis=-1).round().astype(np.uint8)


def grain(height: int = 16, width: int = 24, channels: int = 3, kind: Any = np.uint8) -> Array:
    """H x W x C random whole numbers of all values."""
    return np.random.default_rng(height).integers(0, np.iinfo(kind).max + 1, (height, width, channels), dtype=kind)


def alpha_ramp(height: int = 16, width: int = 24, kind: Any = np.uint8) -> Array:
    """H x W: hidden on the left, opaque on the right, and every degree between."""
    top = np.iinfo(kind).max
    ramp = np.clip(np.linspace(-0.4, 1.4, width), 0, 1) * top
    return np.tile(ramp.round().astype(kind), (height, 1))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(values: Array, **chunks: bytes) -> bytes:
    """H x W x 1 to 4, uint8 or uint16: gray, gray and alpha, RGB, RGBA. ``chunks`` stand before the pixels."""
    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 8 * values.itemsize, (0, 4, 2, 6)[channels - 1], 0, 0, 0)
    rows = values.astype(values.dtype.newbyteorder(">")).tobytes()
    stride = len(rows) // height
    plain = b"".join(b"\0" + rows[start : start + stride] for start in range(0, len(rows), stride))
    parts = {b"IHDR": header, **{name.encode(): data for name, data in chunks.items()}}
    parts |= {b"IDAT": zlib.compress(plain), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in parts.items())


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_zeros(width: int, height: int, color: int = 2) -> bytes:
    """A black PNG of any size, deflated row by row."""
    stream, row = zlib.compressobj(9), bytes(1 + width * {0: 1, 2: 3, 6: 4}[color])
    body = b"".join(stream.compress(row) for _ in range(height)) + stream.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in parts)


def tiff(
    values: Array,
    *,
    order: Literal["<", ">"] = "<",
    photometric: int = 2,
    bits: int = 0,
    extra: Sequence[int] = (),
    planar: bool = False,
    tile: int = 0,
    tags: dict[int, bytes | int] | None = None,
) -> bytes:
    """H x W x C, uint8 or uint16, not compressed; ``bits`` = 12 packs numbers below 4096."""
    height, width, channels = values.shape
    layers = [values[..., channel : channel + 1] for channel in range(channels)] if planar else [values]
    blocks = [packed(block, order, bits) for layer in layers for block in cut_up(layer, tile)]
    fields: dict[int, tuple[str, Sequence[int]]] = {
        **{256: ("I", [width]), 257: ("I", [height]), 258: ("H", [bits or 8 * values.itemsize] * channels)},
        **{259: ("H", [1]), 262: ("H", [photometric]), 277: ("H", [channels]), 284: ("H", [2 if planar else 1])},
    }
    starts = [8 + sum(map(len, blocks[:number])) for number in range(len(blocks))]
    sizes = [len(block) for block in blocks]
    if tile:
        fields |= {322: ("I", [tile]), 323: ("I", [tile]), 324: ("I", starts), 325: ("I", sizes)}
    else:
        fields |= {273: ("I", starts), 278: ("I", [height]), 279: ("I", sizes)}
    if extra:
        fields[338] = ("H", extra)
    fields |= {tag: ("H", [value]) for tag, value in (tags or {}).items() if isinstance(value, int)}
    blobs = {tag: value for tag, value in (tags or {}).items() if isinstance(value, bytes)}
    body = b"".join(blocks)
    start = 8 + len(body) + len(body) % 2
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    return head + body.ljust(start - 8, b"\0") + tiff_directory(fields, blobs, order, start)


def cut_up(values: Array, tile: int) -> Iterator[Array]:
    """The squares that a tiled file is made of, those at the border filled up with zeros; all in one unless tiled."""
    if not tile:
        yield values
        return
    down, right = -values.shape[0] % tile, -values.shape[1] % tile
    full = np.pad(values, ((0, down), (0, right), (0, 0)))
    for top in range(0, full.shape[0], tile):
        for left in range(0, full.shape[1], tile):
            yield full[top : top + tile, left : left + tile]


def packed(values: Array, order: str, bits: int) -> bytes:
    if bits == 12:
        pairs = values.reshape(-1, 2).astype(np.uint32)
        joined = pairs[:, 0] << 12 | pairs[:, 1]
        return np.stack([joined >> 16, joined >> 8 & 255, joined & 255], axis=1).astype(np.uint8).tobytes()
    return values.astype(values.dtype.newbyteorder(order)).tobytes()


def tiff_directory(
    fields: dict[int, tuple[str, Sequence[int]]], blobs: dict[int, bytes], order: str, start: int
) -> bytes:
    kinds = {"H": 3, "I": 4}
    raw = {tag: (kinds[kind], len(v), struct.pack(f"{order}{len(v)}{kind}", *v)) for tag, (kind, v) in fields.items()}
    raw |= {tag: (7, len(blob), blob) for tag, blob in blobs.items()}
    entries, behind = b"", b""
    for tag, (kind, count, data) in sorted(raw.items()):
        place = data.ljust(4, b"\0")
        if len(data) > 4:
            place = struct.pack(order + "I", start + 6 + 12 * len(raw) + len(behind))
            behind += data + b"\0" * (len(data) % 2)
        entries += struct.pack(order + "HHI", tag, kind, count) + place
    return struct.pack(order + "H", len(raw)) + entries + bytes(4) + behind


def matrix_profile(primaries: Matrix, gamma: float | None = None, *, name: str = "Made by a test") -> bytes:
    """An ICC profile of RGB; the curve is that of sRGB unless ``gamma`` is given."""
    curve = _fixed(b"para", 0 if gamma else 3, (gamma,) if gamma else SRGB_CURVE)
    columns = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), np.transpose(primaries), strict=True))
    tags = {tag: b"XYZ \0\0\0\0" + _numbers(values) for tag, values in columns.items()}
    return _profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve), name)


def gray_profile(gamma: float) -> bytes:
    return _profile(b"GRAY", {b"kTRC": _fixed(b"para", 0, (gamma,))}, "Gray made by a test")


def _profile(space: bytes, tags: dict[bytes, bytes], name: str) -> bytes:
    """The format of ICC.1:2010: a header of 128 bytes, a table, the tags."""
    text = name.encode("utf-16-be")
    tags = {
        b"desc": b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, len(text), 28) + text,
        b"wtpt": b"XYZ \0\0\0\0" + _numbers((0.9642, 1.0, 0.8249)),
        **tags,
    }
    table, body = b"", b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data.ljust(-(-len(data) // 4) * 4, b"\0")
    size = 132 + len(table) + len(body)
    head = struct.pack(">IIII", size, 0, 0x04200000, 0)[:12] + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp"
    head = head.ljust(68, b"\0") + _numbers((0.9642, 1.0, 0.8249))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _fixed(kind: bytes, form: int, values: Sequence[float | None]) -> bytes:
    return kind + bytes(4) + struct.pack(">HH", form, 0) + _numbers([value or 0.0 for value in values])


def _numbers(values: Sequence[float] | Array) -> bytes:
    """s15Fixed16."""
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))


def decode_srgb(values: Array) -> Array:
    """sRGB in [0, 1] to light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encode_srgb(light: Array) -> Array:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def from_primaries(values: Array, primaries: Matrix, gamma: float | None = None) -> Array:
    """What H x W x 3 in [0, 1] of a matrix profile are in sRGB."""
    light = values**gamma if gamma else decode_srgb(values)
    return encode_srgb(light @ np.transpose(primaries) @ np.linalg.inv(np.transpose(SRGB)))


def to_primaries(values: Array, primaries: Matrix, gamma: float | None = None) -> Array:
    """What H x W x 3 of sRGB in [0, 1] are in a matrix profile."""
    light = np.clip(decode_srgb(values) @ np.transpose(SRGB) @ np.linalg.inv(np.transpose(primaries)), 0, 1)
    return light ** (1 / gamma) if gamma else encode_srgb(light)


def values(packet: bytes, name: str) -> list[str]:
    """The texts of a property, read by ElementTree."""
    prefixes = {
        "dc": "http://purl.org/dc/elements/1.1/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "impasto": "https://impasto.invalid/ns/1.0/",
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    }
    root = ElementTree.fromstring(packet)
    found = root.findall(f".//{name}", prefixes)
    items = [item.text or "" for element in found for item in element.iterfind(".//rdf:li", prefixes)]
    return items or [element.text or "" for element in found]


def only(**fields: str) -> bytes:
    """A packet with some properties of Dublin Core as attributes."""
    attributes = " ".join(f'dc:{name}="{text}"' for name, text in fields.items())
    return (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="uuid:7"'
        f' xmlns:dc="http://purl.org/dc/elements/1.1/" {attributes}/></rdf:RDF>'
    ).encode()


def whole(strips: Strips) -> tuple[Array, Array | None]:
    """All strips of a picture in one: color H x W x 1 or 3, and alpha H x W or None."""
    copies = [(color.copy(), alpha if alpha is None else alpha.copy()) for _, color, alpha in strips]
    colors, alphas = zip(*copies, strict=True)
    return np.concatenate(colors), np.concatenate(alphas) if strips.has_alpha else None
