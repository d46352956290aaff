"""What another site, another user of the machine, or a broken file may try: nothing happens, and nothing is left."""

import http.client
import json
import math
import random
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from studio_server import StudioServer, sample_bytes


def ask(server: StudioServer, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """A request by hand: clients would tidy the path up."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Host": f"127.0.0.1:{server.port}"} | headers).items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, body


def there(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_the_address_needs_its_token(server):
    wrong = "x" * len(server.token)
    for path in ("/", "/api/v1/state", f"/{wrong}/", f"/{wrong}/api/v1/state", f"/{server.token[:-1]}/", "//"):
        status, body = ask(server, path)
        assert status == 403 and "token" in json.loads(body)["error"], path
    assert server.token not in body
    assert ask(server, f"/{server.token}/")[0] == 200
    assert (server.folder / "address").stat().st_mode & 0o077 == 0


def test_the_host_must_be_this_machine(server):
    for host in ("evil.example", "evil.example:80", f"127.0.0.1.evil.example:{server.port}", "127.0.0.1", ""):
        status, _ = ask(server, f"/{server.token}/", Host=host)
        assert status == 421, host
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert ask(server, f"/{server.token}/", Host=f"{host}:{server.port}")[0] == 200


def test_no_other_site_may_ask(server):
    path = f"/{server.token}/api/v1/jobs"
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{server.port}", "http://127.0.0.1:1"):
        assert ask(server, path, "POST", Origin=origin)[0] == 403, origin
    assert ask(server, path, "POST", Sec_Fetch_Site="cross-site")[0] == 403
    own = f"http://127.0.0.1:{server.port}"
    assert ask(server, path, "POST", Origin=own, Content_Length="0")[0] == 400
    answer = httpx.options(f"{server.address}api/v1/jobs", headers={"origin": own}, trust_env=False)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_every_answer_has_its_headers(server):
    for path in ("", "main.js", "api/v1/state", "nothing"):
        answer = httpx.get(server.address + path, trust_env=False)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src 'self'" in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_names_nothing_outside(server):
    page = Path(__file__).parents[2] / "videostyle" / "studio" / "page"
    if not page.is_dir():
        pytest.skip("an installed package has its page elsewhere")
    for file in page.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and "//cdn" not in text, file.name
        assert " style=" not in text and " onclick=" not in text, file.name


@pytest.mark.parametrize(
    "path",
    [
        *("../app.py", "..%2fapp.py", "%2e%2e/app.py", "....//app.py", "../../etc/passwd"),
        *("api/v1/media/../../address/file", "api/v1/media/..%2f..%2faddress/file", "api/v1/media/%00/file"),
        *(
            "api/v1/media//etc/passwd/file",
            "api/v1/jobs/..%2fx/output",
            "api/v1/jobs/0123456789abcdef/..%2f..%2faddress",
        ),
    ],
)
def test_no_path_leads_out(server, path):
    status, body = ask(server, f"/{server.token}/{path}")
    assert status in (403, 404) and "root:" not in body and "import" not in body


def test_names_are_never_paths(server):
    before = there(server.folder.parent)
    picture = sample_bytes("styles/woodcut.jpg")
    for name in ("../../../escape.jpg", "/tmp/escape.jpg", "a\x00b.jpg", "..\\..\\escape.jpg", "x" * 5000, "con.jpg"):
        answer = server.client.post("media", params={"role": "painting", "name": name}, content=picture)
        assert answer.status_code == 201
        entry = answer.json()
        assert "/" not in entry["name"] and len(entry["name"]) <= 120
    left = there(server.folder.parent) - before
    made = {f"work/media/{entry['id']}{end}" for end in (entry["ending"], ".json")}
    assert left <= made | {"work/worker.log"}, left
    assert server.client.delete(f"media/{entry['id']}").status_code == 200
    assert not there(server.folder / "media") & {f"{entry['id']}.jpg", f"{entry['id']}.json"}


@pytest.mark.parametrize("name", ["/etc/passwd", "http://127.0.0.1/x.jpg", "../x", "", "0" * 16])
def test_no_path_or_address_is_taken_from_a_request(server, name):
    clip, style = server.named("clip.mp4"), server.named("styles/brush.jpg")
    for look in (
        {"style": [{"picture": name}]},
        {"style": [{"picture": style}], "region": [{"mask": name or "x"}]},
        {"style": [{"picture": style}], "colours": f"{name or '/'}"},
        {"style": [{"picture": style}], "first_init": name},
        {"style": [{"picture": style}], "weights": name},
        {"style": [{"picture": style}], "network": name},
    ):
        for path in ("previews", "jobs", "command"):
            answer = server.client.post(path, json={"source": clip, "look": look})
            assert answer.status_code in (400, 404), (path, look, answer.text)
    assert server.client.post("jobs", json={"source": name, "look": {}}).status_code == 404
    media = {"overwrite": True}
    look = {"style": [{"picture": style}]}
    assert server.client.post("jobs", json={"source": clip, "look": look, "media": media}).status_code == 400
    asked = {"source": clip, "look": look, "ending": "/../../x.mp4"}
    assert server.client.post("jobs", json=asked).status_code == 400
    assert server.client.get("state").json()["jobs"] == []


def test_an_upload_has_a_limit(server):
    before = there(server.folder / "media")

    def endless():
        while True:
            yield bytes(1 << 20)

    try:
        answer = server.client.post("media?name=large.mp4", content=endless())
        assert answer.status_code == 413 and "limit" in answer.json()["error"]
    except httpx.TransportError:
        pass  # the server answered and hung up before all was sent
    assert there(server.folder / "media") == before
    assert server.client.post("previews", content=b" " * (2 << 20)).status_code == 413


def peak_bytes(process: int) -> int:
    """The most memory that a process has had so far."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak of another process is read from /proc")
@pytest.mark.parametrize("clip", [True, False], ids=["clip", "junk"])
def test_two_gigabytes_are_streamed(own, clip):
    """A clip of 2 GiB, most of it an empty box, is taken in and forgotten; as much that is no clip leaves nothing."""
    begin = sample_bytes("clip.mp4") if clip else b"no clip" * 1000
    padding = 2**31 - len(begin)

    def body():
        yield begin + struct.pack(">I4sQ", 1, b"free", padding)
        sent = 16
        while sent < padding:
            yield bytes(min(1 << 20, padding - sent))
            sent += min(1 << 20, padding - sent)

    own.client.get(f"media/{own.named('clip.mp4')}")  # what it does by itself when it begins is done then
    before, peak = there(own.folder / "media"), peak_bytes(own.process.pid)
    answer = own.client.post("media?name=large.mp4", content=body(), timeout=900)
    assert peak_bytes(own.process.pid) - peak < 64 << 20
    if clip:
        entry = answer.json()
        assert answer.status_code == 201 and entry["kind"] == "clip" and len(entry["times"]) == 96
        assert (own.folder / "media" / f"{entry['id']}.mp4").stat().st_size == 2**31
        assert own.client.delete(f"media/{entry['id']}").status_code == 200
    else:
        assert answer.status_code in (400, 422) and "large.mp4" in answer.json()["error"]
    assert there(own.folder / "media") == before


def test_what_is_no_clip_is_refused(server):
    before = there(server.folder / "media")
    for content in (b"", b"this is no clip" * 100, sample_bytes("clip.mp4")[:3000], b"#EXTM3U\nhttp://127.0.0.1/x\n"):
        answer = server.client.post("media?name=odd%20name.mp4", content=content)
        assert answer.status_code in (400, 422), answer.text
        assert "odd name.mp4" in answer.json()["error"] and str(server.folder) not in answer.text
    answer = server.client.post("media?name=clip.mp4&role=painting", content=sample_bytes("clip.mp4"))
    assert answer.status_code == 400 and "expected a picture" in answer.text
    assert there(server.folder / "media") == before


def test_an_upload_that_breaks_off_leaves_nothing(server):
    before = there(server.folder / "media")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"POST /{server.token}/api/v1/media?name=x.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + b"x" * 5000)
    for _ in range(100):
        if there(server.folder / "media") == before:
            break
        server.client.get("state")
    assert there(server.folder / "media") == before


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_flood_is_answered(server, count):
    for _ in range(count):
        assert server.client.get("media/0/file").status_code == 404
    assert server.client.get("state").status_code == 200


def test_listeners_are_bounded(server):
    streams = []
    try:
        for _ in range(70):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            connection.request("GET", f"/{server.token}/api/v1/events")
            streams.append((connection, connection.getresponse()))
        statuses = [answer.status for _, answer in streams]
        assert statuses.count(200) == 64 and set(statuses[64:]) == {400}
    finally:
        for connection, answer in streams:
            answer.close()
            connection.close()


@pytest.mark.parametrize("odd", ["NaN", "Infinity", "1e999", '"\\ud800"'])
def test_what_json_cannot_say_again_is_refused(server, odd):
    """Else every later `GET state` would fail, after a new start too."""
    clip, style = server.named("clip.mp4"), server.named("styles/brush.jpg")
    before = server.client.get("state").json()
    look = f'{{"style": [{{"picture": "{style}"}}]}}'
    bodies = {
        "PUT": f'{{"at": [{odd}]}}',
        "POST": f'{{"source": "{clip}", "look": {look}, "media": {{"codec": {odd}}}}}',
    }
    for (method, body), path in zip(bodies.items(), ("draft", "jobs"), strict=True):
        answer = server.client.request(method, path, content=body)
        assert answer.status_code == 400 and "not JSON" in answer.json()["error"], answer.text
    assert server.client.get("state").json() == before
    answer = server.client.post("looks", content=f"sharpen = nan\n[[style]]\npicture = '{style}'\nweight = inf")
    assert answer.status_code == 400


def test_hosts_are_compared_as_browsers_say_them():
    from videostyle.studio.serve import allowed_hosts

    assert {"box.local:8000", "127.0.0.1:8000", "localhost:8000"} <= allowed_hosts("Box.local", 8000)
    assert "box.local" not in allowed_hosts("Box.local", 8000)
    assert {"box.local", "box.local:80", "127.0.0.1", "[::1]"} <= allowed_hosts("Box.local", 80)


def mutated(draw: random.Random, server: StudioServer, clip: str, style: str) -> tuple[str, str, bytes]:
    """A request that is nearly right: (method, path, body)."""
    odd = [
        None,
        True,
        -1,
        1e308,
        "",
        "x" * 3000,
        [],
        [[]],
        {},
        {"a": {}},
        "\x00",
        "nan",
        "../..",
        10**400,
        math.nan,
        math.inf,
        "\ud800",
    ]
    look = {"style": [{"picture": style, "weight": 1}], "strength": 0.5, "region": [], "colours": "source:0.5"}
    body = {"source": clip, "look": look, "at": 0.5, "size": 32, "media": {"size": 32}, "ending": ".mp4", "quick": True}
    target = draw.choice([body, look, look["style"][0], body["media"]])
    for _ in range(draw.randint(1, 3)):
        key = draw.choice([*target, "init", "keyframes", "style_layers", "x"])
        target[key] = draw.choice(odd)
    text = json.dumps(body).encode()
    if draw.random() < 0.3:
        cut = draw.randrange(len(text))
        text = text[:cut] + bytes(draw.randrange(256) for _ in range(8)) + text[cut + draw.randrange(9) :]
    paths = ["previews", "jobs", "command", "looks", "looks/file", "media?role=mask", "jobs/0/pause", "draft"]
    paths += [
        f"media/{clip}/frame?at={draw.choice(odd[:-1])}&size={draw.choice(odd[:-1])}"[:900],
        "previews/99999999999999999999",
    ]
    return draw.choice(["POST", "POST", "POST", "GET", "PUT", "DELETE"]), draw.choice(paths), text


@pytest.mark.parametrize(("count", "seed"), [(250, 1), pytest.param(500, 2, marks=pytest.mark.slow)])
def test_mutated_requests_do_no_harm(server, count, seed):
    outside = there(server.folder.parent) - {f"work/{name}" for name in there(server.folder)}
    draw, clip, style = random.Random(seed), server.named("clip.mp4"), server.named("styles/brush.jpg")
    made = []
    for _ in range(count):
        method, path, body = mutated(draw, server, clip, style)
        answer = server.client.request(method, path.replace("\x00", "%00"), content=body)
        assert answer.status_code < 500, (method, path, body[:500], answer.text)
        assert "Traceback" not in answer.text
        if b"NaN" in body or b"Infinity" in body or b"ud800" in body:
            assert answer.status_code >= 400 or method == "GET", (method, path, body)
            assert server.client.get("state").status_code == 200
        if method == "POST" and path == "jobs" and answer.status_code == 201:
            made.append(answer.json()["id"])
            server.client.post(f"jobs/{made[-1]}/cancel")
    for name in made:  # one that runs goes after its frame
        for _ in range(600):
            if server.client.get(f"jobs/{name}").status_code == 404:
                break
            server.client.post(f"jobs/{name}/cancel")
            time.sleep(0.1)
    assert server.client.get("state").json()["jobs"] == []
    assert there(server.folder.parent) - {f"work/{name}" for name in there(server.folder)} == outside
    assert not list(server.folder.rglob("*.part")) and not list((server.folder / "jobs").iterdir())
    assert not list((server.folder / "made").iterdir())


def test_a_second_server_on_the_folder_is_refused(server):
    command = [sys.executable, "-m", "videostyle", "studio", str(server.folder), "--no-browser", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and "another studio works in" in ended.stderr and ended.stderr.count("\n") == 1
    taken = [*command[:4], str(server.folder.parent / "other"), "--no-browser", "--port", str(server.port)]
    ended = subprocess.run(taken, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and "--port" in ended.stderr
