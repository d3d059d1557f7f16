"""Finding and reading documents."""

import codecs
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.errors import DocumentError, DocumentFormatError, DocumentNotFoundError, DocumentTooLargeError
from ailf.workers import documents
from ailf.workers.documents import DocumentKind, find, read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of documents, beside a file that is none of them."""
    (tmp_path / "secret.txt").write_text("secret")
    inside = tmp_path / "documents"
    (inside / "sub").mkdir(parents=True)
    (inside / "one.txt").write_text("one")
    (inside / "two.MD").write_text("two")
    (inside / "both.txt").write_text("text")
    (inside / "both.html").write_text("html")
    (inside / "sub" / "three.htm").write_text("three")
    (inside / "picture.png").write_bytes(b"\x89PNG")
    return inside


def test_a_document_is_found_with_and_without_its_suffix(folder: Path) -> None:
    """Below the folder at any depth."""
    assert find(folder, "one") == find(folder, "one.txt") == folder / "one.txt"
    assert find(folder, "two.MD") == folder / "two.MD"
    assert find(folder, "sub/three") == folder / "sub" / "three.htm"


def test_an_id_that_fits_two_files_is_refused(folder: Path) -> None:
    """With the suffix it is clear."""
    with pytest.raises(DocumentError, match=r"both\.html, both\.txt"):
        find(folder, "both")
    assert find(folder, "both.html") == folder / "both.html"


def test_a_file_of_another_kind_is_refused(folder: Path) -> None:
    """By its suffix."""
    with pytest.raises(DocumentFormatError, match=r"\.png"):
        find(folder, "picture.png")


@pytest.mark.parametrize(
    "outside",
    ["../secret.txt", "../secret", "sub/../../secret.txt", "/etc/passwd", "", ".", "..", "sub", "a\0b", "x" * 5000],
)
def test_nothing_outside_of_the_folder_is_found(folder: Path, outside: str) -> None:
    """Nor a folder, nor nothing."""
    with pytest.raises(DocumentNotFoundError, match=r"\$AILF_DOCUMENTS"):
        find(folder, outside)


def test_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    """One within it is."""
    (folder / "out.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "up").symlink_to(folder.parent)
    (folder / "in.txt").symlink_to(folder / "one.txt")
    for document_id in ("out", "up/secret"):
        with pytest.raises(DocumentNotFoundError):
            find(folder, document_id)
    assert find(folder, "in").read_text() == "one"


def test_a_pipe_is_no_document(folder: Path) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(folder / "pipe.txt")
    with pytest.raises(DocumentNotFoundError):
        find(folder, "pipe")


@given(st.text(max_size=40) | st.lists(st.sampled_from(["..", ".", "/", "secret", "sub", ".txt", "one"])).map("/".join))
def test_whatever_is_found_is_inside(tmp_path_factory: pytest.TempPathFactory, document_id: str) -> None:
    """For any id at all."""
    folder = tmp_path_factory.getbasetemp() / "inside"
    folder.mkdir(exist_ok=True)
    (folder / "one.txt").write_text("one")
    (folder.parent / "secret.txt").write_text("secret")
    try:
        found = find(folder, document_id)
    except DocumentError:
        return
    assert found.resolve().is_relative_to(folder.resolve())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_in_the_encodings_that_mark_themselves(folder: Path, encoding: str) -> None:
    """The checksum is that of the bytes."""
    content = "Grüße, 世界\n".encode(encoding)
    (folder / "one.txt").write_bytes(content)
    document = read(folder / "one.txt", "one", lambda _share: None)
    assert (document.text, document.kind) == ("Grüße, 世界\n", DocumentKind.TEXT)
    assert (document.size, document.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", "Grüße".encode("latin-1"), b"a\0b", codecs.BOM_UTF16_LE + b"\x00\xd8"]
)
def test_what_is_no_text_is_refused(folder: Path, content: bytes) -> None:
    """The error says how to save it."""
    (folder / "one.txt").write_bytes(content)
    with pytest.raises(DocumentFormatError, match="is no text"):
        read(folder / "one.txt", "one", lambda _share: None)


def test_what_is_too_large_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without being read, also where it grows meanwhile."""
    monkeypatch.setattr(documents, "LARGEST", 10)
    (folder / "one.txt").write_text("x" * 11)
    with pytest.raises(DocumentTooLargeError, match="11 bytes: the limit is 10"):
        read(folder / "one.txt", "one", lambda _share: None)
    (folder / "one.txt").write_text("x" * 10)
    assert read(folder / "one.txt", "one", lambda _share: None).size == 10
    monkeypatch.setattr(documents, "CHUNK", 5)

    def grow(_share: float) -> None:
        with (folder / "one.txt").open("a") as file:
            file.write("more and more")

    with pytest.raises(DocumentTooLargeError):
        read(folder / "one.txt", "one", grow)


def test_a_file_that_went_away_is_not_found(folder: Path) -> None:
    """As if it had never been."""
    with pytest.raises(DocumentNotFoundError, match="cannot be read"):
        read(folder / "gone.txt", "gone", lambda _share: None)


def test_the_share_that_was_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each chunk, up to all of it; an empty file has none."""
    monkeypatch.setattr(documents, "CHUNK", 4)
    (folder / "one.txt").write_text("x" * 10)
    told: list[float] = []
    read(folder / "one.txt", "one", told.append)
    assert told == [0.4, 0.8, 1.0]
    (folder / "one.txt").write_text("")
    assert read(folder / "one.txt", "one", told.append).text == ""
