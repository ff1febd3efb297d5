"""Write clients that a team publishes in registries of its own.

    python scripts/packages.py --out build/packages \\
        --go-module git.example.com/team/majordomo --java-group com.example.team \\
        --npm-scope @team --crate team-majordomo

What is named is written, into the folders go, java, npm and crate, which must not be
there yet: the clients of clients/ under the team's names, each with its stubs, the
licence and a README. Anyone who uses one needs neither buf nor a plugin; to write one,
the tools of its language are needed. docs/stubs.md shows how they are published and
used.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import yaml

ROOT = Path(__file__).parents[1]
CLIENTS = ROOT / "clients"
PROTOS = ROOT / "protos"

_FOR_CONTRIBUTORS = {"From an empty folder", "To work on it"}
"""Sections of the clients' READMEs that are about this repository."""


def write_go(module: str, out: Path) -> None:
    """The Go module `module`, with the stubs where the client has them."""
    client = CLIENTS / "go"
    sources = {*client.glob("*.go"), *client.glob("cmd/**/*.go")}
    _copy(client, out, sources - {*client.glob("*_test.go")})
    shutil.copy(client / "go.sum", out)
    manifest = (client / "go.mod").read_text()
    ours = manifest.split()[1]
    (out / "go.mod").write_text(manifest.replace(ours, module, 1))
    for path in out.rglob("*.go"):
        path.write_text(imported_from(module, path.read_text(), ours))
    [stubs] = {path.parent.relative_to(client) for path in client.rglob("*.pb.go")}
    package = f"{module}/{stubs.as_posix()};majordomov1"
    protos = [path.relative_to(PROTOS) for path in sorted(PROTOS.rglob("*.proto"))]
    options = [f"module={module}", *(f"M{proto}={package}" for proto in protos)]
    plugins = yaml.safe_load((client / "buf.gen.yaml").read_text())["plugins"]
    template = {
        "version": "v2",
        "plugins": [{**plugin, "opt": options} for plugin in plugins],
    }
    generate = ["buf", "generate", "--template", json.dumps(template)]
    _run([*generate, "--output", str(out), str(ROOT)], client)
    _write_readme(client, out, f"go get {module}")


def imported_from(module: str, source: str, ours: str) -> str:
    """The Go file `source`, with what it imports of the module `ours` from `module`."""
    return re.sub(rf'"{re.escape(ours)}(?=["/])', f'"{module}', source)


def write_java(group: str, out: Path) -> None:
    """A Maven project of the group `group`; its Java packages keep their names."""
    client = CLIENTS / "java"
    _run(["mvn", "--batch-mode", "--quiet", "generate-sources"], client)
    for sources in ("src/main/java", "target/generated-sources/buf"):
        shutil.copytree(client / sources, out / "src/main/java", dirs_exist_ok=True)
    pom = (client / "pom.xml").read_text()
    tag = f"<groupId>{group}</groupId>"
    pom = re.sub(r"<groupId>.*</groupId>", tag, pom, count=1)
    (out / "pom.xml").write_text(pom)
    artifact = re.findall(r"<(?:artifactId|version)>.*?</.*?>", pom)[:2]
    lines = "\n  ".join(["<dependency>", tag, *artifact])
    _write_readme(client, out, f"{lines}\n</dependency>")


def write_npm(scope: str, out: Path) -> None:
    """The npm package @scope/majordomo-client, compiled."""
    client = CLIENTS / "typescript"
    _run(["npm", "ci", "--no-audit", "--no-fund"], client)
    shutil.rmtree(client / "build", ignore_errors=True)
    _run(["npm", "run", "build"], client)
    _copy(client, out, (client / "build/src").rglob("*.*s"))
    manifest = json.loads((client / "package.json").read_text())
    name = f"@{scope.removeprefix('@')}/{manifest['name'].rpartition('/')[2]}"
    for key in ("private", "scripts", "devDependencies"):
        manifest.pop(key, None)
    (out / "package.json").write_text(
        json.dumps({**manifest, "name": name}, indent=2) + "\n"
    )
    _write_readme(client, out, f"npm install {name}")
    readme = out / "README.md"
    readme.write_text(readme.read_text().replace(f'"{manifest["name"]}"', f'"{name}"'))


def write_crate(name: str, out: Path) -> None:
    """The crate `name`; its library keeps the name that code uses."""
    client = CLIENTS / "rust"
    _copy(client, out, [*client.glob("src/**/*.rs"), *client.glob("examples/*.rs")])
    manifest = (client / "Cargo.toml").read_text()
    manifest = re.sub(r"^publish = false\n", "", manifest, flags=re.MULTILINE)
    package, ours, rest = re.split(
        r'^name = "(.*)"$', manifest, flags=re.MULTILINE, maxsplit=1
    )
    if "\n[lib]\n" not in rest:
        library = f'[lib]\nname = "{ours.replace("-", "_")}"'
        rest = rest.replace("\n[dependencies]", f"\n{library}\n\n[dependencies]", 1)
    (out / "Cargo.toml").write_text(f'{package}name = "{name}"{rest}')
    _write_readme(client, out, f"cargo add {name}")


WRITERS: dict[str, tuple[Callable[[str, Path], None], str]] = {
    "go_module": (write_go, r"[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)*"),
    "java_group": (write_java, r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*"),
    "npm_scope": (write_npm, r"@?[a-z0-9][a-z0-9._-]*"),
    "crate": (write_crate, r"[A-Za-z][A-Za-z0-9_-]{0,63}"),
}
"""What writes each package, and how its name is written."""


def _copy(client: Path, out: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        copied = out / path.relative_to(client)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise click.ClickException(f"install {command[0]}; it is needed here")
    if subprocess.run(command, cwd=folder, check=False).returncode:
        raise click.ClickException(f"{' '.join(command[:3])} failed in {folder}")


def _write_readme(client: Path, out: Path, depend: str) -> None:
    """The client's README for its users, and the licence."""
    intro, *sections = re.split(
        r"^## ", (client / "README.md").read_text(), flags=re.MULTILINE
    )
    kept = [s for s in sections if s.partition("\n")[0] not in _FOR_CONTRIBUTORS]
    text = "## ".join([intro, f"To depend on it\n\n```\n{depend}\n```\n\n", *kept])
    (out / "README.md").write_text(without_dead_links(text.rstrip() + "\n", out))
    shutil.copy(ROOT / "LICENSE", out)


def without_dead_links(text: str, folder: Path) -> str:
    """The Markdown `text`, with links to files that `folder` lacks as plain words."""

    def linked(match: re.Match[str]) -> str:
        words, target = match.groups()
        there = "://" in target or (folder / target).exists()
        return match.group() if there else words

    return re.sub(r"\[([^]]+)\]\(([^)]+)\)", linked, text)


def _checked(_: click.Context, option: click.Parameter, name: str | None) -> str | None:
    pattern = WRITERS[option.name or ""][1]
    if name and not re.fullmatch(pattern, name):
        raise click.BadParameter(f"{name!r} does not match {pattern}")
    return name or None


@click.command()
@click.option("--go-module", envvar="GO_MODULE", callback=_checked)
@click.option("--java-group", envvar="JAVA_GROUP", callback=_checked)
@click.option("--npm-scope", envvar="NPM_SCOPE", callback=_checked)
@click.option("--crate", envvar="CRATE", callback=_checked)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(out: Path, **names: str | None) -> None:
    """Write clients that a team publishes in registries of its own, into OUT."""
    asked = {option: name for option, name in names.items() if name}
    if not asked:
        raise click.UsageError(
            "name at least one of GO_MODULE, JAVA_GROUP, NPM_SCOPE and CRATE"
        )
    for option, name in asked.items():
        write, _ = WRITERS[option]
        folder = out.absolute() / write.__name__.removeprefix("write_")
        if folder.exists():
            raise click.ClickException(f"{folder} is there; remove it first")
        folder.mkdir(parents=True)
        write(name, folder)
        print(f"{folder.relative_to(out.absolute())}: {name}")


if __name__ == "__main__":
    main()
