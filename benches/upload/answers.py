"""A server that only answers: it reads what is sent and stores nothing. The time of an upload to it is the client's own.

It has the routes of Tintype's API and of S3 that the programs of bench.py call. The argument is for how many milliseconds
the answer to each PUT is delayed, as if the bucket were far away. `GET /-/requests` counts the requests since the last
such request, by method.
"""

import asyncio
import base64
import json
import os
import re
import sys
import time
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone

ALPHABET = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")
# No MD5, so that nobody compares it.
STORED = b'HTTP/1.1 200 OK\r\netag: "00000000000000000000000000000000-1"\r\ncontent-length: 0\r\n\r\n'
LISTING = (
    b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>'
)
TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif"]
DELAY = float(sys.argv[1]) / 1000 if len(sys.argv) > 1 else 0
OWNER = uuid.uuid4().bytes
requests: Counter = Counter()
sizes: dict[str, int] = {}


def encoded(number: bytes) -> str:
    return base64.b32encode(number).rstrip(b"=").translate(ALPHABET).decode()


def new_id() -> str:
    """Of a UUIDv7."""
    key = int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10)
    return encoded(OWNER + key[:6] + bytes([0x70 | key[6] & 15, key[7], 0x80 | key[8] & 63]) + key[9:])


def batch(body: bytes, host: str) -> dict:
    until = (datetime.now(timezone.utc) + timedelta(minutes=15)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    results = []
    for index, image in enumerate(json.loads(body)["images"]):
        image_id = new_id()
        checksum = base64.b64encode(bytes.fromhex(image["sha256"])).decode()
        # As long as a URL and headers of the service are.
        query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={'c' * 60}&X-Amz-Signature={'5' * 64}"
        url = f"http://{host}/originals/{image_id}?{query}"
        headers = {"content-type": image["content_type"], "if-none-match": "*", "x-amz-checksum-sha256": checksum}
        upload = {"method": "PUT", "url": url, "headers": headers, "expires_at": until}
        results.append({"index": index, "status": 201, "id": image_id, "upload": upload})
    return {"results": results}


def api(path: str, body: bytes, host: str) -> dict:
    match path.split("?")[0]:
        case "/api/auth/login":
            return {"access_token": "t", "refresh_token": "t", "token_type": "Bearer", "expires_in": 3600}
        case "/api/me":
            usage = {"images": 0, "bytes": 0}
            return {
                "id": encoded(OWNER),
                "email": "a@example.org",
                "name": "A",
                "plan": "Enterprise",
                "is_admin": False,
                "usage": usage,
                "created_at": "2030-01-02T03:04:05.678Z",
            }
        case "/api/plans":
            plan = {"name": "Enterprise", "thumbnail_heights": [200], "original_link": True, "expiring_links": True}
            plan |= {"max_image_bytes": 1 << 26, "max_images": 1_000_000}
            return {"results": [plan], "next_cursor": None, "content_types": TYPES}
        case "/api/images/batch":
            return batch(body, host)
    raise LookupError(path)


class Connection(asyncio.BufferedProtocol):
    """HTTP/1.1, with a length for each body."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(1 << 18))
        self.head = b""
        self.left = 0
        self.kept: list[bytes] | None = None
        self.request = ("", "", "")

    def connection_made(self, transport) -> None:
        self.transport = transport

    def get_buffer(self, _size: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, count: int) -> None:
        data = self.buffer[:count]
        while True:
            if self.left:
                taken = min(self.left, len(data))
                if self.kept is not None:
                    self.kept.append(bytes(data[:taken]))
                self.left -= taken
                data = data[taken:]
                if self.left:
                    return
                self.answer()
                continue
            self.head += data
            head, end, rest = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            self.head, data = b"", memoryview(rest)
            self.begin(head.decode("latin-1"))
            if not self.left:
                self.answer()
            if not data:
                return

    def begin(self, head: str) -> None:
        method, path, _ = head.split("\r\n", 1)[0].split(" ", 2)
        length = re.search(r"(?im)^content-length: *(\d+)", head)
        host = re.search(r"(?im)^host: *(\S+)", head)
        self.left = int(length[1]) if length else 0
        self.request = (method, path, host[1] if host else "")
        self.kept = [] if path.startswith("/api/") else None
        if method == "PUT":
            sizes[path.split("?")[0]] = self.left
        if re.search(r"(?im)^expect: *100-continue", head):
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def answer(self) -> None:
        method, path, host = self.request
        kind, status, body = b"application/json", b"200 OK", b""
        if path == "/-/requests":
            body = json.dumps(requests).encode()
            requests.clear()
        else:
            requests[method] += 1
            if path.startswith("/api/"):
                body = json.dumps(api(path, b"".join(self.kept or []), host)).encode()
            elif method == "PUT":
                if DELAY:
                    asyncio.get_running_loop().call_later(DELAY, self.transport.write, STORED)
                else:
                    self.transport.write(STORED)
                return
            elif method == "HEAD":
                size = sizes.get(path.split("?")[0])
                status = b"404 Not Found" if size is None else b"200 OK"
                tag = b'etag: "00000000000000000000000000000000-1"\r\nlast-modified: Wed, 21 Oct 2026 07:28:00 GMT\r\n'
                self.transport.write(b"HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n" % (status, tag, size or 0))
                return
            else:
                kind, body = b"application/xml", LISTING
        self.transport.write(
            b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (status, kind, len(body)) + body
        )


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Ends with the program that started it.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
