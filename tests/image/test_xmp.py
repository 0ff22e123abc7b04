from __future__ import annotations

from xml.etree import ElementTree

import pytest

from impasto.image.xmp import cleaned, read_property

from .sources import only, values

LAUGHS = b'<!DOCTYPE r [<!ENTITY a "ha">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(9)
)


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(LAUGHS + b"]>" + only(title="&j;"), id="laughs"),
        pytest.param(b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + only(title="&a;"), id="file"),
        pytest.param(b'<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd">' + only(title="x"), id="dtd"),
        pytest.param(only(title="x").decode().encode("utf-16"), id="utf-16"),
        pytest.param(b'<?xml version="1.0" encoding="latin-1"?>' + only(title="x") + b"\xe9", id="latin-1"),
        pytest.param(only(title="x")[:-5], id="cut"),
        pytest.param(only(title="x") * 2, id="two"),
        pytest.param(b"<a/>", id="no RDF"),
        pytest.param(only(title="x").replace(b"<rdf:D", b"<a>" * 50_000 + b"<rdf:D"), id="unclosed"),
        pytest.param(
            only().replace(
                b"/></rdf:RDF>", b">" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</rdf:Description></rdf:RDF>"
            ),
            id="deep",
        ),
        pytest.param(b"", id="empty"),
        pytest.param(bytes(1000), id="zeros"),
    ],
)
def test_a_packet_that_is_damaged_or_hostile_is_left_out(packet: bytes) -> None:
    assert cleaned(packet, {}) == b""
    assert values(cleaned(packet, {"dc:title": ["still written"]}), "dc:title") == ["still written"]


def test_prefixes_are_no_business_of_the_whole_process() -> None:
    before = dict(ElementTree._namespace_map)  # type: ignore[attr-defined]
    strange = only(title="x").replace(b"dc:", b"impasto:").replace(b":dc", b":impasto")
    packet = cleaned(strange, {"impasto:Settings": ["{}"]})
    assert b'xmlns:impasto="http://purl.org/dc/elements/1.1/" rdf:about="uuid:7" impasto:title="x"' in packet
    assert values(packet, "impasto:Settings") == ["{}"]
    assert dict(ElementTree._namespace_map) == before  # type: ignore[attr-defined]


def test_properties_are_about_what_the_packet_is_about() -> None:
    packet = cleaned(only(title="x"), {"dc:creator": ["A", "B"]})
    abouts = {
        node.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about") for node in ElementTree.fromstring(packet)[:]
    }
    assert abouts == {"uuid:7"}
    assert values(packet, "dc:creator") == ["A", "B"]


def test_a_property_is_read_as_it_was_put_in() -> None:
    text = '{"a": "<b> & \'c\' ]]> \u2028"}\n'
    packet = cleaned(only(title="x"), {"impasto:Settings": [text]})
    assert read_property(packet, "impasto:Settings") == text
    assert read_property(packet, "dc:title") == "x"
    assert read_property(packet, "dc:rights") is None
    assert read_property(packet[:-60], "dc:title") is None


def test_cleaning_twice_is_cleaning_once() -> None:
    packet = cleaned(only(title="x", format="image/png"), {"dc:rights": ["mine"], "dc:subject": ["a", "b"]})
    assert cleaned(packet, {}) == packet
    assert b"image/png" not in packet


def test_what_xml_cannot_hold_is_left_out_of_texts() -> None:
    packet = cleaned(b"", {"dc:title": ["a\0b\x08c\ud800d\ufffee"]})
    assert values(packet, "dc:title") == ["abcde"]


@pytest.mark.parametrize(
    ("namespace", "kept"),
    [
        ("http://ns.google.com/photos/1.0/panorama/", True),
        ("http://ns.google.com/photos/1.0/container/", False),
        ("http://ns.google.com/photos/1.0/image/", False),
        ("http://ns.adobe.com/hdr-gain-map/1.0/", False),
        ("http://ns.adobe.com/camera-raw-saved-settings/1.0/", False),
        ("http://ns.adobe.com/xmp/note/", False),
        ("http://ns.adobe.com/lightroom/1.0/", True),
        ("http://example.org/mine/", True),
    ],
)
def test_whole_namespaces_go_with_their_declarations(namespace: str, kept: bool) -> None:
    packet = cleaned(only(title="x").replace(b'uuid:7"', f'uuid:7" xmlns:n="{namespace}" n:a="1"'.encode()), {})
    assert (namespace.encode() in packet, b"n:a" in packet) == (kept, kept)
    assert b'dc:title="x"' in packet
