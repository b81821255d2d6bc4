"""Fetching a published file: checked, bounded, and never silent for long.

A mirror that cannot be reached, falls silent or is too slow ends the attempt, because the network is then
missing rather than the mirror; a mirror that answers with an error or with other bytes is passed over for the
next one.
The transfer runs in a thread of its own, since name resolution has no timeout and cannot be interrupted by
Ctrl-C otherwise.
"""

from __future__ import annotations

import hashlib
import queue
import sys
import threading
from dataclasses import dataclass
from time import monotonic

from tinynet.errors import DataError

TIMEOUT = 3.0  # seconds to wait for a connection, and for every further piece
PIECE = 1 << 16  # bytes; a line that does not bring this much in TIMEOUT counts as silent
SHOW_EVERY = 5.0  # seconds after which progress is printed, even if less than a tenth has come
PATIENCE = 10.0  # seconds after which a transfer is given up if it is slower than
SLOWEST = 100_000  # bytes per second, on average since it began: MNIST would take two minutes
_USER_AGENT = "tinynet"


class DownloadError(DataError):
    """A file that no mirror gave."""


@dataclass(frozen=True)
class Published:
    """A file as its publisher distributes it.

    Attributes
    ----------
    name : str
        File name, the last part of its address.
    size : int
        Bytes.
    md5, sha256 : str
        Checksums in hexadecimal: MD5 as printed by the publisher and other libraries, SHA-256 because MD5
        can be forged.
    """

    name: str
    size: int
    md5: str
    sha256: str


def fetch(file: Published, mirrors: tuple[str, ...]) -> bytes:
    """Return the content of a published file from the first mirror that has it.

    Parameters
    ----------
    file : Published
        What to fetch.
    mirrors : tuple of str
        Addresses that end with a slash, tried in this order.

    Returns
    -------
    bytes
        ``file.size`` bytes with the checksums of `file`.

    Raises
    ------
    DownloadError
        If no mirror gave the file; the message says why for each that was tried.
    """
    reasons = []
    for mirror in mirrors:
        url = mirror + file.name
        print(f"tinynet: downloading {url} ({file.size / 1e6:.1f} MB)", file=sys.stderr, flush=True)
        try:
            content = _transfer(url, file.size)
        except _RefusedError as error:
            reasons.append(f"{url}: {error}")
            continue
        except OSError as error:  # no network, no such host, no answer, connection lost
            reasons.append(f"{url}: {error}")
            break
        if (problem := mismatch(content, file)) is None:
            return content
        reasons.append(f"{url}: {problem}")
    raise DownloadError("; ".join(reasons))


class _RefusedError(Exception):
    """The mirror is there and does not give the file."""


def _transfer(url: str, size: int) -> bytes:
    """Read at most size + 1 bytes from `url`, with progress on stderr.  Raises OSError, _RefusedError."""
    pieces: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
    stop = threading.Event()
    threading.Thread(target=_worker, args=(url, size, pieces, stop), daemon=True).start()
    content = bytearray()
    tenths = 0
    start = printed = monotonic()
    try:
        while True:
            try:
                piece = pieces.get(timeout=TIMEOUT)
            except queue.Empty:
                raise TimeoutError(f"no answer for {TIMEOUT:g} s") from None
            if isinstance(piece, Exception):
                raise piece
            if piece is None:
                return bytes(content)
            content += piece
            now, before, tenths = monotonic(), tenths, 10 * len(content) // size
            if (tenths > before and size > PIECE) or now - printed >= SHOW_EVERY:
                printed = now
                print(f"tinynet: {100 * len(content) // size} %", file=sys.stderr, flush=True)
            if now - start >= PATIENCE and len(content) < SLOWEST * (now - start):
                rate = len(content) / (now - start) / 1000
                raise TimeoutError(
                    f"given up after {now - start:.0f} s: {rate:.0f} kB/s, below {SLOWEST / 1000:g} kB/s"
                )
    finally:
        stop.set()


def _worker(
    url: str, size: int, pieces: queue.SimpleQueue[bytes | Exception | None], stop: threading.Event
) -> None:
    import http.client
    import urllib.error
    import urllib.request

    try:
        request = urllib.request.Request(url, headers={"User-Agent": _USER_AGENT})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            pieces.put(b"")  # connected: the next piece has its own TIMEOUT
            left = size + 1
            while left > 0 and not stop.is_set() and (piece := response.read(min(PIECE, left))):
                left -= len(piece)
                pieces.put(piece)
            pieces.put(None)  # the end
    except urllib.error.HTTPError as error:
        error.close()
        pieces.put(_RefusedError(f"HTTP status {error.code}"))
    except urllib.error.URLError as error:
        pieces.put(OSError(str(error.reason)))
    except http.client.HTTPException as error:
        pieces.put(_RefusedError(f"{type(error).__name__}: {error}"))
    except OSError as error:
        pieces.put(error)
    except Exception as error:  # a thread must not die silently: the main thread would wait for nothing
        pieces.put(_RefusedError(f"{type(error).__name__}: {error}"))


def mismatch(content: bytes, file: Published) -> str | None:
    """Say how `content` differs from the published file, or None."""
    if len(content) != file.size:
        return f"size must be {file.size} bytes; got {'more' if len(content) > file.size else len(content)}"
    for name, expected in (("md5", file.md5), ("sha256", file.sha256)):
        received = hashlib.new(name, content, usedforsecurity=False).hexdigest()
        if received != expected:
            return f"{name} must be {expected}; got {received}"
    return None
