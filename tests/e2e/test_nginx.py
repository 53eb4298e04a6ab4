"""The reverse proxy of the operator's page, word for word: nginx with TLS before the services apart."""

import asyncio
import datetime as dt
import os
import re
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.system import apart
from tests.patience import PATIENCE
from tests.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"
PORTS = {
    "portal": 8101, "discovery": 8102, "consent": 8103, "scheduling": 8104, "archive": 8105, "webhooks": 8106
}  # fmt: skip # as on the page
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine (Debian: nginx-light)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What nginx reads, with a certificate of `localhost` that signs itself."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    unsealed = serialization.NoEncryption()
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "firsthand.pem").write_bytes(made.public_bytes(pem))
    (folder / "firsthand.key").write_bytes(key.private_bytes(pem, private, unsealed))
    return folder


def configuration(folder: Path, port: int, routes: dict[str, list[int]]) -> str:
    """Take the server of the page and put this test's ports, name and certificate into it."""
    (server,) = re.findall(r"```\n(server \{.*?\n\})\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    here = {"listen 443": f"listen 127.0.0.1:{port}", "firsthand.example.edu": "localhost", "/etc/ssl/": f"{folder}/"}
    here |= {f"127.0.0.1:{PORTS[service]}": f"127.0.0.1:{ports[0]}" for service, ports in routes.items()}
    for there, ours in here.items():
        assert there in server
        server = server.replace(there, ours)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""  # its workers must reach a folder that is this test's alone
    return (
        f"{user}daemon off; pid {folder}/nginx.pid; error_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}{server}\n}}\n"
    )


@asynccontextmanager
async def nginx(folder: Path, routes: dict[str, list[int]]) -> AsyncIterator[str]:
    port = free_port()
    (folder / "nginx.conf").write_text(configuration(folder, port, routes))
    assert NGINX
    with (folder / "nginx.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            NGINX, "-p", str(folder), "-e", "stderr", "-c", "nginx.conf", stderr=log
        )
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                assert process.returncode is None, (folder / "nginx.log").read_text()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break
        yield f"https://localhost:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def protocol_of(url: str, trusted: Path) -> str | None:
    """Tell what the server chooses to speak with a browser of today."""
    tls = ssl.create_default_context(cafile=trusted)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    address = httpx.URL(url)
    _, writer = await asyncio.open_connection(address.host, address.port, ssl=tls)
    chosen: str | None = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    writer.close()
    return chosen


async def test_the_demo_completes_the_chain_through_the_nginx_of_the_operators_page(
    tmp_path: Path, folder: Path
) -> None:
    trusted = folder / "firsthand.pem"
    async with apart(tmp_path, joined_by=lambda routes: nginx(folder, routes)) as system:
        environment = os.environ | {"FIRSTHAND_DATA": str(system.data), "SSL_CERT_FILE": str(trusted)}
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "firsthand.services", "demo", "--url", system.url,
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, complained = await demo.communicate()
        assert demo.returncode == 0, (said + complained).decode()
        assert b"The chain completed" in said
        async with httpx.AsyncClient(base_url=system.url, verify=ssl.create_default_context(cafile=trusted)) as http:
            assert (await http.get("/")).headers["location"].endswith("/portal/today")
            for service in PORTS:
                assert (await http.get(f"/{service}/readyz")).status_code == 200
                assert (await http.get(f"/{service}/metrics")).status_code == 403
            assert (
                await protocol_of(system.url, trusted) == "h2"
            )  # HTTP/1.1 has six connections for all of a browser's tabs
            too_much = await http.post("/portal/sign-in", content=b"x" * 2_000_000)
            assert too_much.status_code == 413
    assert "[emerg]" not in (folder / "nginx.log").read_text()
