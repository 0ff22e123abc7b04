"""XMP packets (ISO 16684-1, and part 3 of Adobe's specification): cleaned of what is no longer true, and completed.

Parsed with minidom, which keeps the prefixes that a packet came with; ElementTree has one table of them for the whole
process. A packet with a DOCTYPE is refused unread, so there are no entities to expand.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias
from xml.dom.minidom import parseString
from xml.parsers.expat import ExpatError

from impasto.image.exif import MAX_BYTES

__all__ = ["cleaned", "read_property"]

Node: TypeAlias = Any
"""A document, element or attribute of minidom."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMLNS = "http://www.w3.org/2000/xmlns/"
FRAME = (RDF, XMLNS, "http://www.w3.org/XML/1998/namespace", "adobe:ns:meta/")
"""Namespaces of names that say nothing about a picture."""

NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "impasto": "https://impasto.invalid/ns/1.0/",
}

CONTAINERS = {"dc:title": "Alt", "dc:description": "Alt", "dc:rights": "Alt", "dc:creator": "Seq", "dc:subject": "Bag"}
"""How XMP holds the properties that are not one plain text (part 1, section 8.3)."""

PRECIOUS = ("dc:creator", "dc:rights", "dc:description", "dc:title")
"""The properties that are given up last where there is no room for all."""

DROPPED_NAMESPACES = (
    NAMESPACES["impasto"],  # the settings of an earlier run
    "http://ns.adobe.com/camera-raw-",  # settings of Camera Raw and Lightroom
    "http://darktable.sf.net/",
    "http://www.rawtherapee.com/",
    "http://ns.adobe.com/xap/1.0/mm/",  # the history and identity of a document that this is no longer
    "http://ns.adobe.com/xap/1.0/g/img/",  # thumbnails
    "http://ns.adobe.com/xmp/note/",  # says that more of the packet is elsewhere
    "http://ns.adobe.com/hdr-",  # a gain map in the file
    "http://ns.apple.com/",
    "http://ns.google.com/photos/",  # pictures, films and sound in the file
    "http://www.metadataworkinggroup.com/schemas/regions/",  # places in the picture, which may have been turned
    "http://ns.microsoft.com/photo/1.2/",
)
KEPT_NAMESPACES = ("http://ns.google.com/photos/1.0/panorama/",)

DROPPED = {
    "http://ns.adobe.com/xap/1.0/": {"Thumbnails", "CreatorTool", "MetadataDate"},
    "http://ns.adobe.com/exif/1.0/": {
        *("PixelXDimension", "PixelYDimension", "ColorSpace", "ComponentsConfiguration", "CompressedBitsPerPixel"),
        *("SubjectArea", "SubjectLocation", "MakerNote", "RelatedSoundFile", "Gamma", "NativeDigest"),
    },
    "http://cipa.jp/exif/1.0/": {
        *("Gamma", "InteroperabilityIndex", "RAWDevelopingSoftware", "ImageEditingSoftware"),
        *("MetadataEditingSoftware",),
    },
    NAMESPACES["photoshop"]: {
        *("History", "DocumentAncestors", "ColorMode", "ICCProfile", "TextLayers", "CameraProfiles"),
        *("SidecarForExtension", "EmbeddedXMPDigest", "LegacyIPTCDigest"),
    },
    NAMESPACES["dc"]: {"format"},
    NAMESPACES["Iptc4xmpExt"]: {"DigitalSourceType", "DigitalSourceFileType", "ImageRegion"},
    "http://purl.org/dc/terms/": {"provenance"},  # a manifest of C2PA, signed over other pixels
    "http://www.digikam.org/ns/1.0/": {"ImageHistory"},
    "adobe:ns:meta/": {"xmptk"},
}
KEPT = {
    "http://ns.adobe.com/tiff/1.0/": {
        *("Make", "Model", "Artist", "Copyright", "ImageDescription", "DateTime"),
        *("XResolution", "YResolution", "ResolutionUnit"),
    },
}
"""All else of these namespaces goes."""

EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"/></x:xmpmeta>'
HEAD, TAIL = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n', '\n<?xpacket end="r"?>'

NO_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not."""

UNUSABLE = (ExpatError, ValueError, IndexError, RecursionError)
"""What comes of a packet that is damaged, has no RDF, or is nested by the thousand."""


def cleaned(packet: bytes, properties: Mapping[str, Sequence[str]], *, limit: int | None = None) -> bytes:
    """Return ``packet`` without what describes another file, and with those of ``properties`` that it does not have.

    A property is named with a prefix of ``NAMESPACES``; it has one text or, if it is a list, several. What is not
    well-formed UTF-8, has a DOCTYPE or is above ``MAX_BYTES`` counts as an empty packet, and so does b"". The result
    is b"" if nothing is left.

    Above ``limit`` bytes, properties are given up until it fits, the largest first, those of ``PRECIOUS`` last and
    those of ``properties`` never: what cannot fit without them comes out too large.
    """
    try:
        document = _parsed(packet)
        _clean(document)
        return _completed(document, properties, limit)
    except UNUSABLE:
        return _completed(parseString(EMPTY), properties, limit)


def read_property(packet: bytes, name: str) -> str | None:
    """Return the text of a property that is no list, as ``cleaned`` names it; None if it, or the packet, is none."""
    try:
        return next((_text(node) for node in _found(_parsed(packet), name)), None)
    except UNUSABLE:
        return None


def _parsed(packet: bytes) -> Node:
    if len(packet) > MAX_BYTES:
        raise ValueError("too large")
    text = packet.decode().strip("\ufeff\0 \t\r\n")
    if "<!DOCTYPE" in text:
        raise ValueError("has a DOCTYPE")
    return parseString(text)


def _clean(document: Node) -> None:
    for element in document.getElementsByTagName("*"):
        for attribute in list(element.attributes.values()):
            declares = attribute.namespaceURI == XMLNS and _is_foreign(attribute.value)
            if declares or _goes(attribute):
                element.removeAttributeNode(attribute)
        if _goes(element):
            element.parentNode.removeChild(element)
    for description in _descriptions(document):
        if not description.getElementsByTagName("*") and not _says_something(description):
            description.parentNode.removeChild(description)


def _goes(node: Node) -> bool:
    namespace, name = node.namespaceURI or "", node.localName
    if namespace in KEPT:
        return name not in KEPT[namespace]
    return name in DROPPED.get(namespace, ()) or _is_foreign(namespace)


def _is_foreign(namespace: str) -> bool:
    return namespace.startswith(DROPPED_NAMESPACES) and not namespace.startswith(KEPT_NAMESPACES)


def _completed(document: Node, properties: Mapping[str, Sequence[str]], limit: int | None) -> bytes:
    missing = {name: texts for name, texts in properties.items() if texts and not any(_found(document, name))}
    if missing:
        about = next((node.getAttributeNS(RDF, "about") for node in _descriptions(document)), "")
        _rdf(document).appendChild(parseString(_description(about, missing)).documentElement)
    packet = _packet(document)
    if limit is None or len(packet) <= limit:
        return packet
    _give_up(document, len(packet) - limit, properties)
    return _packet(document)


def _packet(document: Node) -> bytes:
    if not any(_says_something(element) for element in document.getElementsByTagName("*")):
        return b""
    return (HEAD + _markup(document.documentElement) + TAIL).encode()


def _give_up(document: Node, excess: int, kept: Iterable[str]) -> None:
    """Remove properties until ``excess`` bytes are gone, or none is left but those ``kept``."""
    last, never = ({id(node) for name in names for node in _found(document, name)} for names in (PRECIOUS, kept))
    sizes = [
        (id(node) in last, -len(_written(node).encode()), place, node)
        for place, node in enumerate(_properties(document))
        if id(node) not in never
    ]
    for _, size, _, node in sorted(sizes, key=itemgetter(0, 1, 2)):
        if excess <= 0:
            return
        if node.nodeType == node.ATTRIBUTE_NODE:
            node.ownerElement.removeAttributeNode(node)
        else:
            node.parentNode.removeChild(node)
        excess += size


def _properties(document: Node) -> Iterator[Node]:
    """The attributes and elements that are properties of the picture."""
    for description in _descriptions(document):
        nodes = (*description.attributes.values(), *description.childNodes)
        yield from (node for node in nodes if node.namespaceURI not in (None, *FRAME))


def _written(node: Node) -> str:
    """An attribute or element as it stands in a packet."""
    return f' {node.name}="{_quoted(node.value)}"' if node.nodeType == node.ATTRIBUTE_NODE else _markup(node)


def _says_something(element: Node) -> bool:
    return any(node.namespaceURI not in FRAME for node in (element, *element.attributes.values()))


def _rdf(document: Node) -> Node:
    return document.getElementsByTagNameNS(RDF, "RDF")[0]


def _descriptions(document: Node) -> list[Node]:
    return [node for node in _rdf(document).childNodes if node.localName == "Description"]


def _found(document: Node, name: str) -> Iterator[Node]:
    """The attributes or elements, which mean the same, that are the property ``name`` of the picture."""
    prefix, _, local = name.partition(":")
    for description in _descriptions(document):
        for node in (*description.attributes.values(), *description.childNodes):
            if (node.namespaceURI, node.localName) == (NAMESPACES[prefix], local):
                yield node


def _text(node: Node) -> str:
    return "".join(
        child.data for child in node.childNodes if child.nodeType in (node.TEXT_NODE, node.CDATA_SECTION_NODE)
    )


def _description(about: str, properties: Mapping[str, Sequence[str]]) -> str:
    """The properties as a node of RDF, which declares its prefixes: the packet may use them for something else."""
    declarations = "".join(f' xmlns:{prefix}="{NAMESPACES[prefix]}"' for prefix in sorted(_prefixes(properties)))
    markup = "".join(f"<{name}>{_value(name, texts)}</{name}>" for name, texts in properties.items())
    return f'<rdf:Description xmlns:rdf="{RDF}" rdf:about="{_quoted(about)}"{declarations}>{markup}</rdf:Description>'


def _prefixes(properties: Mapping[str, Sequence[str]]) -> set[str]:
    return {name.partition(":")[0] for name in properties}


def _value(name: str, texts: Sequence[str]) -> str:
    clean = [_escaped(NO_CHARACTERS.sub("", text)) for text in texts]
    container = CONTAINERS.get(name)
    if container is None:
        return clean[0]
    if container == "Alt":
        return f'<rdf:Alt><rdf:li xml:lang="x-default">{clean[0]}</rdf:li></rdf:Alt>'
    return f"<rdf:{container}>{''.join(f'<rdf:li>{text}</rdf:li>' for text in clean)}</rdf:{container}>"


def _markup(node: Node) -> str:
    """Elements and their text; unlike minidom's own, line ends in attributes survive, and no comments do."""
    if node.nodeType in (node.TEXT_NODE, node.CDATA_SECTION_NODE):
        return _escaped(node.data)
    if node.nodeType != node.ELEMENT_NODE:
        return ""
    attributes = "".join(map(_written, node.attributes.values()))
    return f"<{node.tagName}{attributes}>{''.join(map(_markup, node.childNodes))}</{node.tagName}>"


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace("\r", "&#13;")


def _quoted(text: str) -> str:
    return html.escape(text).replace("\t", "&#9;").replace("\n", "&#10;").replace("\r", "&#13;")
