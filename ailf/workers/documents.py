"""Finding a document, and reading it within bounds."""

import codecs
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ailf.errors import DocumentError, DocumentFormatError, DocumentNotFoundError, DocumentTooLargeError

FOLDER_VARIABLE = "AILF_DOCUMENTS"
DEFAULT_FOLDER = "documents"
LARGEST = 32 * 1024 * 1024
"""Bytes: what is larger than the complete works of Shakespeare six times over is no document."""
CHUNK = 256 * 1024
"""Bytes that are read at a time, with progress reported after each."""


class DocumentKind(StrEnum):
    """How a document is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"


KIND_OF_SUFFIX = {
    ".txt": DocumentKind.TEXT,
    ".text": DocumentKind.TEXT,
    ".md": DocumentKind.MARKDOWN,
    ".markdown": DocumentKind.MARKDOWN,
    ".html": DocumentKind.HTML,
    ".htm": DocumentKind.HTML,
}

_ENCODING_OF_MARK = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was read."""

    id: str
    kind: DocumentKind
    text: str
    sha256: str
    """Of its bytes, in hexadecimal."""
    size: int
    """In bytes."""


def documents_folder() -> Path:
    """Give the folder of the documents: ``$AILF_DOCUMENTS``, else ``documents`` in the working directory."""
    return Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER).absolute()


def find(folder: Path, document_id: str) -> Path:
    """Find the file of a document.

    Args:
        folder: the folder of the documents; nothing outside of it is ever opened.
        document_id: the file's path below the folder; its suffix may be left out.

    Returns:
        The path of a file within the folder.

    Raises:
        DocumentNotFoundError: there is no such document, or it would be outside of the folder.
        DocumentFormatError: the file is of a kind that is not analysed.
        DocumentError: the id fits several files.
    """
    root = folder.resolve()
    paths = [path for path in _candidates(root, document_id) if _is_within(root, path)]
    if not paths:
        raise DocumentNotFoundError(
            f"No document {document_id!r} in {folder}: it takes a file of that name there, ending in one of "
            f"{', '.join(KIND_OF_SUFFIX)}. ${FOLDER_VARIABLE} says which folder that is, on the worker."
        )
    if len(paths) > 1:
        raise DocumentError(
            f"The document {document_id!r} could be any of {', '.join(sorted(path.name for path in paths))}: "
            "give its id with the suffix."
        )
    (path,) = paths
    if path.suffix.lower() not in KIND_OF_SUFFIX:
        raise DocumentFormatError(
            f"The document {document_id!r} is a {path.suffix or 'nameless'} file: only {', '.join(KIND_OF_SUFFIX)} "
            "are analysed."
        )
    return path


def _candidates(root: Path, document_id: str) -> list[Path]:
    if not document_id or "\0" in document_id:
        return []
    exact = root / document_id
    return [exact, *(exact.with_name(exact.name + suffix) for suffix in KIND_OF_SUFFIX if exact.name)]


def _is_within(root: Path, path: Path) -> bool:
    # Resolved, so that neither ".." nor a symbolic link leads out; a regular file, so that opening it never waits.
    try:
        resolved = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return resolved.is_relative_to(root) and resolved.is_file()


def read(path: Path, document_id: str, report: Callable[[float], None]) -> Document:
    """Read a document.

    Args:
        path: its file.
        document_id: its id.
        report: called after each chunk with the share that has been read, 0 to 1.

    Returns:
        The document as text.

    Raises:
        DocumentTooLargeError: it is larger than the limit.
        DocumentFormatError: it is no UTF-8 or UTF-16 text.
        DocumentNotFoundError: it went away, or may not be read.
    """
    try:
        content = _content(path, document_id, report)
    except OSError as error:
        raise DocumentNotFoundError(
            f"The document {document_id!r} cannot be read: {error.strerror or error}. "
            "The worker's user has to be able to read its file."
        ) from error
    return Document(
        id=document_id,
        kind=KIND_OF_SUFFIX[path.suffix.lower()],
        text=_decode(content, document_id),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )


def _content(path: Path, document_id: str, report: Callable[[float], None]) -> bytes:
    content = bytearray()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while len(content) <= LARGEST and size <= LARGEST:
            chunk = file.read(CHUNK)
            if not chunk:
                return bytes(content)
            content += chunk
            report(min(1.0, len(content) / max(size, 1)))
    raise DocumentTooLargeError(
        f"The document {document_id!r} has {max(size, len(content)):,} bytes: the limit is {LARGEST:,}. Split it."
    )


def _decode(content: bytes, document_id: str) -> str:
    encoding = next((known for mark, known in _ENCODING_OF_MARK.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentFormatError(
            f"The document {document_id!r} is no text: {error}. Save it as UTF-8, or as UTF-16 with a byte order mark."
        ) from error
    if "\0" in text:
        raise DocumentFormatError(f"The document {document_id!r} is no text: it holds NUL characters.")
    return text
