"""Downloads, from a server of our own: checked, bounded, given up early, and never half-written."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_files import images_bytes, labels_bytes

from tinynet.data import MNIST, MissingDataError, download
from tinynet.data.download import DownloadError, Published, fetch

CONTENT = bytes(range(256)) * 1000


def published(name: str, content: bytes = CONTENT) -> Published:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Published(name, len(content), md5, hashlib.sha256(content).hexdigest())


FILE = published("file.gz")


class Handler(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes]
    asked: list[str]
    stall_after: int | None

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            if self.stall_after is not None:
                self.wfile.write(content[: self.stall_after])
                self.wfile.flush()
                self.rfile.read(1)  # until the client goes
            else:
                self.wfile.write(content)
        except OSError:
            pass  # the client has seen enough

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server:
    def __init__(self) -> None:
        self.handler = type("OwnHandler", (Handler,), {"files": {}, "asked": [], "stall_after": None})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        self.files: dict[str, bytes] = self.handler.files  # type: ignore[attr-defined]
        self.asked: list[str] = self.handler.asked  # type: ignore[attr-defined]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.3)


@pytest.fixture
def silent_port() -> Iterator[str]:
    """A server that accepts and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/"


def settle() -> None:
    """Wait until the threads of abandoned transfers have gone."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.endswith("(_worker)"):
            thread.join(5)


def test_content_and_progress(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.files["/sub/file.gz"] = CONTENT
    assert fetch(FILE, (server.url + "sub/",)) == CONTENT
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == f"tinynet: downloading {server.url}sub/file.gz (0.3 MB)"
    assert lines[-1] == "tinynet: 100 %"


def test_next_mirror_after_an_error_or_other_bytes(server: Server) -> None:
    server.files["/other/file.gz"] = CONTENT[:-1] + b"x"
    server.files["/short/file.gz"] = CONTENT[:-1]
    server.files["/long/file.gz"] = CONTENT * 3
    server.files["/none/file.gz"] = b""
    server.files["/good/file.gz"] = CONTENT
    mirrors = tuple(server.url + name + "/" for name in ("404", "other", "short", "long", "none", "good"))
    assert fetch(FILE, mirrors) == CONTENT
    assert len(server.asked) == 6
    with pytest.raises(DownloadError) as caught:
        fetch(FILE, mirrors[:-1])
    message = str(caught.value)
    received = hashlib.md5(CONTENT[:-1] + b"x", usedforsecurity=False).hexdigest()
    for part in (
        "404/file.gz: HTTP status 404",
        f"other/file.gz: md5 must be {FILE.md5}; got {received}",
        "short/file.gz: size must be 256000 bytes; got 255999",
        "long/file.gz: size must be 256000 bytes; got more",
        "none/file.gz: size must be 256000 bytes; got 0",
    ):
        assert part in message


def test_sha256_is_checked_too(server: Server) -> None:
    server.files["/file.gz"] = CONTENT
    forged = Published(FILE.name, FILE.size, FILE.md5, "0" * 64)
    with pytest.raises(DownloadError, match=f"sha256 must be {'0' * 64}; got {FILE.sha256}"):
        fetch(forged, (server.url,))


def test_refused_connection_ends_the_attempt(server: Server, closed_port: str) -> None:
    server.files["/file.gz"] = CONTENT
    with pytest.raises(DownloadError, match=r"file\.gz: .*refused"):
        fetch(FILE, (closed_port, server.url))
    assert server.asked == []


def test_unknown_host_ends_the_attempt(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    server.files["/file.gz"] = CONTENT
    with pytest.raises(DownloadError, match=r"invalid/file\.gz: .*Name or service not known"):
        fetch(FILE, ("http://tinynet.invalid/", server.url))
    assert server.asked == []
    settle()


@pytest.mark.usefixtures("short")
def test_silence_ends_the_attempt(server: Server, silent_port: str) -> None:
    server.files["/file.gz"] = CONTENT
    with pytest.raises(DownloadError, match=r"file\.gz: .*(timed out|no answer for 0\.3 s)"):
        fetch(FILE, (silent_port, server.url))
    assert server.asked == []
    settle()


@pytest.mark.usefixtures("short")
def test_silence_in_the_middle_ends_the_attempt(server: Server) -> None:
    server.files["/file.gz"] = server.files["/b/file.gz"] = CONTENT
    server.handler.stall_after = 100_000  # type: ignore[attr-defined]
    with pytest.raises(DownloadError, match=r"file\.gz: .*(timed out|no answer for 0\.3 s)"):
        fetch(FILE, (server.url, server.url + "b/"))
    assert server.asked == ["/file.gz"]
    settle()


def test_a_name_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, short: None) -> None:
    """Name resolution has no timeout of its own."""
    release = threading.Event()

    def hang(*args: object, **kwargs: object) -> None:
        release.wait(60)
        raise OSError("released")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(DownloadError, match=r"no answer for 0\.3 s"):
        fetch(FILE, ("http://tinynet.invalid/", "http://second.invalid/"))
    assert any(thread.name.endswith("(_worker)") for thread in threading.enumerate())  # still hanging
    assert not release.is_set()
    release.set()
    settle()


class Line:
    """Stands in for the queue and the clock: pieces that come a fixed number of seconds apart."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, piece: int, seconds: float) -> None:
        self.time, self.left = 0.0, CONTENT
        self.piece, self.seconds = piece, seconds
        monkeypatch.setattr(download.queue, "SimpleQueue", lambda: self)
        monkeypatch.setattr(download, "monotonic", lambda: self.time)
        monkeypatch.setattr(download, "_worker", lambda *args: None)

    def get(self, timeout: float) -> bytes | None:
        self.time += self.seconds
        piece, self.left = self.left[: self.piece], self.left[self.piece :]
        return piece or None


def test_a_slow_line_is_shown_every_five_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(download, "SLOWEST", 0)
    Line(monkeypatch, piece=2560, seconds=0.9)  # 100 pieces of 1 %
    assert fetch(FILE, ("http://slow.invalid/",)) == CONTENT
    shown = [int(line.split()[1]) for line in capsys.readouterr().err.splitlines()[1:]]
    # every tenth, and 6 pieces (5.4 s) after the last line
    assert shown == sorted({*range(10, 101, 10), *range(6, 100, 10)})


def test_a_line_that_is_too_slow_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, piece=2000, seconds=0.5)
    with pytest.raises(
        DownloadError, match=r"file\.gz: given up after 10 s: 4 kB/s, below 100 kB/s$"
    ) as caught:
        fetch(FILE, ("http://slow.invalid/", "http://second.invalid/"))
    assert line.time == 10
    assert "second" not in str(caught.value)
    fast = Line(monkeypatch, piece=1100, seconds=0.01)  # 110 kB/s
    monkeypatch.setattr(download, "PATIENCE", 0.1)
    assert fetch(FILE, ("http://fast.invalid/",)) == CONTENT
    assert fast.time > 2


@pytest.mark.usefixtures("short")
def test_ctrl_c_while_waiting(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    server.files["/file.gz"] = CONTENT

    class Pieces:
        def put(self, piece: object) -> None:
            pass

        def get(self, timeout: float) -> bytes:
            raise KeyboardInterrupt

    monkeypatch.setattr(download.queue, "SimpleQueue", Pieces)
    with pytest.raises(KeyboardInterrupt):
        fetch(FILE, (server.url,))
    settle()


# ---- MNIST with the server as its mirror


def idx_files() -> dict[str, bytes]:
    files = {}
    for part, count in (("train", 4), ("t10k", 2)):
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(images_bytes(count), mtime=0)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(labels_bytes(tuple(range(count))), mtime=0)
    return files


@pytest.fixture
def mirror(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.delenv("TINYNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = idx_files()
    server.files.update({f"/{name}": content for name, content in files.items()})
    monkeypatch.setattr(MNIST, "MIRRORS", (server.url,))
    monkeypatch.setattr(
        MNIST, "PUBLISHED", tuple(published(name, content) for name, content in files.items())
    )
    return server


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_download_goes_to_the_first_folder_and_is_found_again(mirror: Server, tmp_path: Path) -> None:
    assert MNIST(train=False).labels.tolist() == [0, 1]
    assert everything(tmp_path) == [
        "cache/tinynet/mnist/t10k-images-idx3-ubyte.gz",
        "cache/tinynet/mnist/t10k-labels-idx1-ubyte.gz",
    ]
    assert len(MNIST(tmp_path / "root")) == 4
    assert len(everything(tmp_path / "root" / "mnist")) == 2
    asked = len(mirror.asked)
    assert asked == 4
    assert len(MNIST(tmp_path / "root")) == 4
    assert len(mirror.asked) == asked


def test_only_what_is_missing_is_downloaded(mirror: Server, tmp_path: Path) -> None:
    (tmp_path / "root" / "mnist").mkdir(parents=True)
    images = gzip.decompress(mirror.files["/train-images-idx3-ubyte.gz"])
    (tmp_path / "root" / "mnist" / "train-images-idx3-ubyte").write_bytes(images)
    assert len(MNIST(tmp_path / "root")) == 4
    assert mirror.asked == ["/train-labels-idx1-ubyte.gz"]


def test_download_false_never_asks(mirror: Server, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="the network was not asked"):
        MNIST(tmp_path / "root", download=False)
    assert mirror.asked == []
    assert everything(tmp_path) == []


def test_failed_download_leaves_nothing_and_says_what_to_do(mirror: Server, tmp_path: Path) -> None:
    mirror.files["/train-images-idx3-ubyte.gz"] = b"something else"
    with pytest.raises(MissingDataError) as caught:
        MNIST(tmp_path / "root")
    message = str(caught.value)
    assert "and the download failed: " in message
    assert "train-images-idx3-ubyte.gz: size must be " in message
    assert f"Put both files into {tmp_path}/root/mnist" in message
    assert everything(tmp_path) == []


def test_folder_that_cannot_be_made(mirror: Server, tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(MissingDataError, match="root must be a folder that can be written to"):
        MNIST(tmp_path / "root")
    assert mirror.asked == []


def test_disk_full(mirror: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(MissingDataError, match=r"could not be written to .*: No space left on device"):
        MNIST(tmp_path / "root")
    assert everything(tmp_path) == []
