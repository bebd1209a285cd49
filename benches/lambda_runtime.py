"""Plays Lambda for a process: the Runtime API, https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""

import json
import os
import queue
import subprocess
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Function:
    """A running function. `first_poll_ms` is the time from exec to its first poll."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        # None closes the connection instead.
        self.events: queue.Queue[bytes | None] = queue.Queue()
        self.answers: queue.Queue[dict] = queue.Queue()
        polled = threading.Event()
        function = self

        class Runtime(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                if not polled.is_set():
                    function.polled_at = time.perf_counter()
                    polled.set()
                event = function.events.get()
                if event is None:
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", str(uuid.uuid4()))
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60_000))
                self.send_header(
                    "Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f"
                )
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(event)))
                self.end_headers()
                self.wfile.write(event)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if not self.headers.get("Content-Length"):
                    body = self.read_chunks()
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                function.answers.put({"path": self.path, "body": body})

            def read_chunks(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *_) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{self.server.server_port}"
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            env=environment | {"AWS_LAMBDA_RUNTIME_API": address},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        if not polled.wait(60):
            raise SystemExit(f"{command} does not poll")
        self.first_poll_ms = (self.polled_at - began) * 1000
        self.resident_mb = self.resident()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.close()

    def end(self) -> None:
        """Lets the process end by itself, as a killed one writes no profile: its poll is not answered, which it calls an
        error."""
        self.events.put(None)
        self.process.wait(60)
        self.close()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def invoke(self, event: dict) -> dict:
        self.events.put(json.dumps(event).encode())
        answer = self.answers.get(timeout=60)
        if not answer["path"].endswith("/response"):
            raise SystemExit(f"The function failed: {answer['body'][:500]}")
        answer = json.loads(answer["body"])
        if not 200 <= answer["statusCode"] < 400:
            raise SystemExit(f"The function answered {answer}")
        return answer

    def processor_ms(self) -> float:
        """What its threads have used so far."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e6

    def resident(self) -> float:
        """MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
