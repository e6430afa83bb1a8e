"""Downloads that survive: resumed where they stopped, verified, and there whole or not at all.

pooch keeps the contract (a temporary file, the checksum, then the final name); what it lacks, going on
with half a download, is the downloader here. Half a file waits as `NAME.part`, with the server's
version of it in `NAME.part.version`, so that two versions are never spliced together.
"""

import errno
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seqdiff.errors import DataError

log = logging.getLogger("seqdiff")

ATTEMPTS = 5
"""How often a download is tried without getting one byte further before it is given up."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes there will be (None: the server does not say)."""


def download(
    url: str, destination: Path, *, checksum: str | None, progress: Progress | None = None, wait: float = 1.0
) -> Path:
    """`destination`, downloaded from `url` unless it is there already and matches `checksum`.

    `checksum` is `ALGORITHM:HEX`, or None where none is known. A connection that breaks is taken up
    again after `wait`, `2 wait`, `4 wait` ... seconds. A second process that wants the same file waits
    for the first one.

    Raises DataError: no connection, no such file on the server, wrong checksum, disk full, folder not
    writable. What was downloaded is kept for the next call, except when its checksum was wrong.
    """
    import pooch  # here, because importing it costs a third of a second that no other command needs

    pooch.get_logger().setLevel("WARNING")
    by_hand = f"or download {url} by hand and put it at {destination}"
    part = destination.with_name(destination.name + ".part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _alone(destination):
            path = pooch.retrieve(
                url,
                known_hash=checksum,
                fname=destination.name,
                path=destination.parent,
                downloader=_Resuming(part, by_hand, checksum is not None, progress, wait),
            )
        return Path(path)
    except ValueError as error:  # pooch's word for a wrong checksum; it has removed the file
        raise DataError(
            f"{url}: what arrived has the wrong checksum (expected {checksum}), so it was removed. Fetch again; "
            f"if it happens twice, the file on the server has changed or something on the way alters it"
        ) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kept = f"; {part.stat().st_size:,} bytes are kept in {part}" if part.exists() else ""
        cure = "make room" if full else "make the folder writable (SEQDIFF_GENOMES chooses another)"
        raise DataError(
            f"{destination}: cannot write the download: {error.strerror or error}{kept}. "
            f"To do: {cure} and fetch again, {by_hand}"
        ) from error


class _Resuming:
    """A pooch downloader: appends to `part` over as many connections as it takes, then hands it over."""

    def __init__(self, part: Path, by_hand: str, verified: bool, progress: Progress | None, wait: float):
        self.part, self.by_hand, self.verified, self.wait = part, by_hand, verified, wait
        self.version = part.with_name(part.name + ".version")
        self.progress = progress or (lambda done, total: None)

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        import requests
        import urllib3

        failures = 0
        while True:
            before = self._size()
            try:
                self._transfer(url)
                break
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                failures = 1 if self._size() > before else failures + 1
                if failures >= ATTEMPTS:
                    have = self._size()
                    kept = f"{have:,} bytes are kept in {self.part}: fetch again to go on" if have else "Fetch again"
                    raise DataError(
                        f"{url}: the connection failed {ATTEMPTS} times ({_reason(error)}). Is there a "
                        f"network? {kept}, {self.by_hand}"
                    ) from error
                delay = self.wait * 2 ** (failures - 1)
                log.warning("%s: %s; trying again in %.3g s", url, _reason(error), delay)
                time.sleep(delay)
        os.replace(self.part, output_file)
        self.version.unlink(missing_ok=True)

    def _transfer(self, url: str) -> None:
        """One connection: from where `part` ends to the end of the file, or an exception on the way."""
        import requests

        have = self._size()
        known = self.version.read_text() if self.version.exists() else ""
        headers = {"Accept-Encoding": "identity"}
        if have and (known or self.verified):
            headers |= {"Range": f"bytes={have}-"} | ({"If-Range": known} if known else {})
        with requests.get(url, headers=headers, stream=True, timeout=(15, 60)) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                if answer.headers.get("Content-Range") == f"bytes */{have}":
                    return
                self._forget()
                raise requests.ConnectionError("the file on the server is shorter than the part here")
            if answer.status_code == 429 or answer.status_code >= 500:
                raise requests.HTTPError(f"the server answered {answer.status_code} {answer.reason}")
            if not answer.ok:
                raise DataError(
                    f"{url}: the server answered {answer.status_code} {answer.reason}. The address may have "
                    f"changed: look for the file there, {self.by_hand}"
                )
            resumed = answer.status_code == requests.codes.partial_content
            if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                self._forget()
                raise requests.ConnectionError("the server sent another part of the file than was asked for")
            have = have if resumed else 0
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            self._check_room(total, have)
            version = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            with self.part.open("ab" if resumed else "wb") as out:
                self.version.write_text("" if version.startswith("W/") else version)
                self.progress(have, total)
                # raw: some servers label a .gz file "Content-Encoding: gzip", which would be undone here
                for block in answer.raw.stream(1 << 20, decode_content=False):
                    out.write(block)
                    have += len(block)
                    self.progress(have, total)
            if total is not None and have != total:
                raise requests.ConnectionError(f"the connection closed at {have:,} of {total:,} bytes")

    def _check_room(self, total: int | None, have: int) -> None:
        room = shutil.disk_usage(self.part.parent).free
        if total is not None and total - have > room:
            raise OSError(errno.ENOSPC, f"{total - have:,} bytes are to come and the disk has {room:,} left")

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """The innermost cause, without the wrappings: `[Errno 111] Connection refused`."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error).split(": ", 1)[-1] if "object at 0x" in str(error) else str(error)


@contextmanager
def _alone(destination: Path) -> Iterator[None]:
    """One process at a time downloads `destination`; the others wait here."""
    with destination.with_name(f".{destination.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("another process is downloading %s: waiting for it", destination)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
