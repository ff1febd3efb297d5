"""The packages that a team publishes: each is used from outside of the repository.

A program of its own, the client's `ask`, depends on the package that was written, is
built by its language's own tools, and asks a real server.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from scripts.packages import imported_from, without_dead_links
from testkit.clients.languages import CLIENTS
from testkit.servers import running

ROOT = CLIENTS.parent
GO_PLUGINS = CLIENTS / "go/buf.gen.yaml"
ANSWER = "hello from outside"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def run(command: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in `folder`; no shell does."""
    return subprocess.run(
        shlex.split(command),
        cwd=folder,
        env={**os.environ, "PATH": PATH, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def done(command: str, folder: Path, **environ: str) -> None:
    """Run a command that must succeed."""
    it = run(command, folder, **environ)
    assert it.returncode == 0, f"{command}\n{it.stdout}{it.stderr}"


def build_go(name: str, package: Path, folder: Path) -> str:
    """A module that requires the package's, as if it were published."""
    source = (CLIENTS / "go/cmd/ask/main.go").read_text()
    ours = (CLIENTS / "go/go.mod").read_text().split()[1]
    (folder / "main.go").write_text(imported_from(name, source, ours))
    done("go mod init consumer", folder)
    done(f"go mod edit -require {name}@v0.0.0 -replace {name}={package}", folder)
    done("go mod tidy", folder)
    done("go build -o ask .", folder)
    return "./ask --address {address} --chain {chain} {question}"


def build_java(name: str, package: Path, folder: Path) -> str:
    """A project with a dependency; Maven is informed of both, so nothing is
    installed."""
    shutil.copytree(CLIENTS / "java/ask/src", folder / "src")
    pom = (CLIENTS / "java/ask/pom.xml").read_text()
    ours = re.findall(r"<groupId>.*</groupId>", pom)[0]
    (folder / "pom.xml").write_text(pom.replace(ours, f"<groupId>{name}</groupId>"))
    (folder.parent / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0">\n'
        "<modelVersion>4.0.0</modelVersion><groupId>both</groupId>"
        "<artifactId>both</artifactId><version>1</version><packaging>pom</packaging>"
        f"<modules><module>{package.relative_to(folder.parent)}</module>"
        f"<module>{folder.name}</module></modules></project>\n"
    )
    done("mvn --batch-mode --quiet package", folder.parent)
    return "java -jar target/ask.jar --address {address} --chain {chain} {question}"


def build_npm(name: str, package: Path, folder: Path) -> str:
    """A package with a dependency on what `npm publish` would send."""
    done(f"npm pack --pack-destination {folder}", package)
    [packed] = folder.glob("*.tgz")
    client = json.loads((CLIENTS / "typescript/package.json").read_text())
    versions = {**client["dependencies"], **client["devDependencies"]}
    wanted = ("@grpc/grpc-js", "@types/node", "typescript")
    manifest = {
        "type": "module",
        "dependencies": {
            f"{name}/majordomo-client": f"file:{packed.name}",
            **{each: versions[each] for each in wanted},
        },
    }
    (folder / "package.json").write_text(json.dumps(manifest))
    source = (CLIENTS / "typescript/src/ask.ts").read_text()
    (folder / "ask.ts").write_text(
        source.replace('"./index.js"', f'"{name}/majordomo-client"')
    )
    options = json.loads((CLIENTS / "typescript/tsconfig.json").read_text())
    (folder / "tsconfig.json").write_text(
        json.dumps({**options, "include": ["ask.ts"]})
    )
    done("npm install --no-audit --no-fund", folder)
    done("npx tsc", folder)
    return "node build/ask.js --address {address} --chain {chain} {question}"


def build_crate(name: str, package: Path, folder: Path) -> str:
    """A crate with a dependency by its path; what is compiled already is not again."""
    client = tomllib.loads((CLIENTS / "rust/Cargo.toml").read_text())
    helpers = client["dev-dependencies"]
    tokio = f"tokio@{helpers['tokio']['version']}"
    done("cargo init --name consumer --vcs none", folder)
    done(f"cargo add --path {package} {name}", folder)
    done(f"cargo add lexopt@{helpers['lexopt']}", folder)
    done(f"cargo add {tokio} --features macros,rt", folder)
    shutil.copy(CLIENTS / "rust/examples/ask.rs", folder / "src/main.rs")
    target = CLIENTS / "rust/target"
    done("cargo build", folder, CARGO_TARGET_DIR=str(target))
    ask = target / "debug/consumer"
    return f"{ask} --address http://{{address}} --chain {{chain}} {{question}}"


@dataclass(frozen=True)
class Package:
    """One that scripts/packages.py writes."""

    option: str
    name: str
    tool: str
    build: Callable[[str, Path, Path], str]
    """Build a program that uses the package, in a folder; returns the command."""

    @property
    def folder(self) -> str:
        return self.build.__name__.removeprefix("build_")


PACKAGES = [
    Package("--go-module", "git.example.com/team/answers", "go", build_go),
    Package("--java-group", "com.example.team", "mvn", build_java),
    Package("--npm-scope", "@team", "npm", build_npm),
    Package("--crate", "team-answers", "cargo", build_crate),
]


@pytest.mark.languages
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("it", PACKAGES, ids=lambda package: package.folder)
async def test_a_package_outside_of_the_repository(it: Package, tmp_path: Path) -> None:
    """A program that depends on it compiles, and is answered; the licence is there."""
    if shutil.which(it.tool, path=PATH) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"it needs {it.tool}")
    program = ROOT / "scripts/packages.py"
    written = tmp_path / "packages"
    done(f"python {program} --out {written} {it.option} {it.name}", tmp_path)
    package = written / it.folder
    folder = tmp_path / "consumer"
    folder.mkdir()

    command = it.build(it.name, package, folder)
    async with running() as server:
        asked = command.format(
            address=server.server.address, chain="acme/echo", question=f"'{ANSWER}'"
        )
        ended = await asyncio.to_thread(run, asked, folder)

    assert (0, f"{ANSWER}\n") == (ended.returncode, ended.stdout), ended.stderr
    assert (ROOT / "LICENSE").read_text() == (package / "LICENSE").read_text()
    assert it.name in (package / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        ("", "name at least one of GO_MODULE, JAVA_GROUP, NPM_SCOPE and CRATE"),
        ("--crate '9 lives'", "Invalid value for '--crate': '9 lives'"),
        ("--go-module no_domain", "Invalid value for '--go-module': 'no_domain'"),
        ("--java-group '<b>'", "Invalid value for '--java-group': '<b>'"),
        ("--npm-scope A/b", "Invalid value for '--npm-scope': 'A/b'"),
    ],
)
def test_a_name_that_cannot_be(words: str, reported: str, tmp_path: Path) -> None:
    """It is reported, and nothing is written."""
    out = tmp_path / "packages"
    ended = run(f"python {ROOT / 'scripts/packages.py'} --out {out} {words}", tmp_path)

    assert ended.returncode == 2
    assert reported in ended.stderr
    assert not out.exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """It may be something else."""
    (tmp_path / "crate").mkdir()
    program = ROOT / "scripts/packages.py"
    ended = run(f"python {program} --out {tmp_path} --crate team-answers", tmp_path)

    assert (1, []) == (ended.returncode, [*(tmp_path / "crate").iterdir()])
    assert f"{tmp_path / 'crate'} is there; remove it first" in ended.stderr


def test_links_to_what_is_not_in_a_package(tmp_path: Path) -> None:
    """They become words; others stay."""
    (tmp_path / "v1").mkdir()
    text = "[`v1`](v1), [tests](tests/a.go), [site](https://example.com/)"

    assert "[`v1`](v1), tests, [site](https://example.com/)" == without_dead_links(
        text, tmp_path
    )


@pytest.mark.languages
@pytest.mark.timeout(600)
def test_stubs_by_buf_and_by_protoc(tmp_path: Path) -> None:
    """What docs/stubs.md shows writes Go by both, under the import path it names."""
    if shutil.which("go", path=PATH) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("it needs go")
    page = (ROOT / "docs/stubs.md").read_text()
    [template] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    by_protoc = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[1:]
    tools = tmp_path / "bin"
    tools.mkdir()
    for plugin in yaml.safe_load(GO_PLUGINS.read_text())["plugins"]:
        done(f"go install {plugin['local'][-1]}", CLIENTS / "go", GOBIN=str(tools))
    protoc = shutil.which("python-grpc-tools-protoc", path=PATH)
    assert protoc is not None
    (tools / "protoc").symlink_to(protoc)
    path = os.pathsep.join([str(tools), PATH])
    written = []
    for name, commands in (("buf", ["buf generate"]), ("protoc", by_protoc)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "majordomo").symlink_to(ROOT)
        (folder / "buf.gen.yaml").write_text(template)
        for command in commands:
            done(f"sh -euc {shlex.quote(command)}", folder, PATH=path)
        stubs = folder / "answers/v1"
        written.append({file.name for file in stubs.iterdir()})
        assert "package majordomov1\n" in (stubs / "content.pb.go").read_text()

    assert written[0] == written[1]
    assert (tmp_path / "protoc/majordomo.binpb").stat().st_size > 0
