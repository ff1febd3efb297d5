#!/usr/bin/env bash
# Builds the image where there is no container engine, starts it, and uses it.
#
# Debian's buildah builds it over a base made by debootstrap. What an engine does to run
# a container is done by util-linux: the server is process 1, on a read-only root, in a
# network of its own that has a loopback and nothing else. The Debian mirror, and how
# pip finds packages, are what this machine is set to.
#
# Leaves the base in the cache directory (remove it to have a newer one) and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

cannot() {
    if [ "${CI:-}" = true ]; then
        echo "image-check: $1" >&2
        exit 1
    fi
    echo "image-check: SKIPPED, nothing was checked: $1"
    exit 0
}

# shellcheck source=/dev/null
. /etc/os-release 2>/dev/null || true
[ "${ID:-}" = debian ] || cannot "it needs Debian, for debootstrap"
[ "$(id -u)" = 0 ] || cannot "it needs root, to change roots and mount"

work=$(mktemp -d)
container=
finish() {
    # With its process 1 ends all that it started.
    [ -z "$container" ] || { pkill -KILL --parent "$container" && wait "$container"; } 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

say() { printf '%4ds  %s\n' "$SECONDS" "$*"; }
fail() {
    echo "image-check: $*" >&2
    [ ! -s "$work/log" ] || sed 's/^/    /' "$work/log" >&2
    exit 1
}
_buildah() {
    buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"
}
image() { _buildah inspect --type image --format "{{with .Docker.Config}}$1{{end}}" majordomo; }

tools=()
command -v buildah >/dev/null || tools+=(buildah)
command -v debootstrap >/dev/null || tools+=(debootstrap)
command -v ip >/dev/null || tools+=(iproute2)
command -v pgrep >/dev/null || tools+=(procps)
if [ ${#tools[@]} -gt 0 ]; then
    say "installing ${tools[*]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install \
        --yes --no-install-recommends "${tools[@]}" >"$work/log" 2>&1 || fail "apt-get failed"
fi

base="${XDG_CACHE_HOME:-$HOME/.cache}/majordomo-image/$VERSION_CODENAME.tar"
if [ ! -f "$base" ]; then
    say "making a base of $VERSION_CODENAME"
    # shellcheck disable=SC2016 # apt-get expands them
    mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(SITE)' 'Created-By: Packages' |
        awk -v release="$VERSION_CODENAME" '$1 == release && $2 == "main" { print $3; exit }')
    [ -n "$mirror" ] || fail "apt knows no mirror of $VERSION_CODENAME"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
        "$VERSION_CODENAME" "$work/base" "$mirror" >"$work/log" 2>&1 || fail "debootstrap failed"
    mkdir -p "$(dirname "$base")"
    tar --create --directory "$work/base" --file "$base.$$" --exclude './dev/*' \
        --exclude './var/cache/apt/*' --exclude './var/lib/apt/lists/*' .
    mv "$base.$$" "$base"
    rm -rf "$work/base"
fi

say "building the image"
scratch=$(_buildah from scratch)
_buildah add --quiet "$scratch" "$base" / >/dev/null
_buildah commit --quiet --rm "$scratch" localhost/base >/dev/null
# The environment's settings come first, and are over those of pip's files.
{
    echo '[global]'
    python -m pip config list | sed -nE "s/^(:env:|global)\.([a-z-]+)='(.*)'\$/\2 = \3/p" |
        awk '!seen[$1]++'
} >"$work/pip.conf"
volumes=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
while read -r path; do
    case "$path" in
        /etc/ssl/certs*) ;;
        /*) [ ! -e "$path" ] || volumes+=(--volume "$path:$path:ro") ;;
    esac
done < <(sed -nE 's/^(cert|client-cert|find-links) = //p' "$work/pip.conf")
_buildah build --isolation chroot --format docker --pull-never --tag majordomo \
    --build-arg BASE=localhost/base --secret "id=pip.conf,src=$work/pip.conf" \
    "${volumes[@]}" . >"$work/log" 2>&1 || fail "the image does not build"

user=$(image '{{.User}}')
mapfile -t environment < <(image '{{range .Env}}{{println .}}{{end}}' | sed '/^$/d')
mapfile -t command < <(image '{{range .Entrypoint}}{{println .}}{{end}}{{range .Cmd}}{{println .}}{{end}}' | sed '/^$/d')
mapfile -t healthcheck < <(image '{{range .Healthcheck.Test}}{{println .}}{{end}}' | sed '/^$/d')
[ "${healthcheck[0]}" = CMD ] || fail "HEALTHCHECK is not in exec form: ${healthcheck[*]}"
root=$(_buildah mount "$(_buildah from --pull-never majordomo)")

# Set up as root, then the image's command, as the image's user.
read -r -d '' start <<'START' || true
set -e
root=$1 user=$2 models=$3
shift 3
mount --bind "$root" "$root"
mount --options remount,bind,ro "$root"
mount --types proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount --types tmpfs tmpfs "$root/tmp"
[ ! -d "$models" ] || mount --bind --options ro "$models" "$root/var/cache/majordomo"
ip link set lo up
exec chroot --userspec="$user" --groups= "$root" "$@"
START
models="${XDG_CACHE_HOME:-$HOME/.cache}/majordomo"
mkfifo "$work/stdout"
began=$(date +%s%N)
unshare --mount --pid --net --ipc --uts --fork \
    bash -c "$start" start "$root" "$user" "$models" \
    env -i "${environment[@]}" MAJORDOMO_PROVIDERS__ACME__KIND=scripted \
    "${command[@]}" >"$work/stdout" 2>"$work/log" &
container=$!
exec 3<"$work/stdout"
read -r -t 60 line <&3 || fail "the server did not start"
[ "$line" = "majordomo is listening on 0.0.0.0:50051" ] || fail "the server says: $line"
startup=$((($(date +%s%N) - began) / 1000000))
say "the server takes calls"

first=$(pgrep --parent "$container")
identity=$(awk '/^(Uid|Gid|Groups|CapEff):/ { $1 = ""; print }' "/proc/$first/status" | xargs)
[ "$identity" = "10001 10001 10001 10001 10001 10001 10001 10001 0000000000000000" ] ||
    fail "it runs with more than it needs: $identity"
inside() {
    timeout 60 env -i "${environment[@]}" "$(command -v nsenter)" --target "$first" \
        --all --root --wd --setuid "${user%:*}" --setgid "${user#*:}" "$@" 2>"$work/stderr" ||
        { cat "$work/stderr" >&2 && fail "in the container, \`$*\` failed"; }
}
inside "${healthcheck[@]:1}" >/dev/null
memory=$(awk '/^VmRSS:/ { print int($2 / 1000) }' "/proc/$first/status")
answer=$(inside majordomo generate --chain acme/echo 'Hello from the image.')
[ "$answer" = 'Hello from the image.' ] || fail "the scripted provider answered: $answer"
if [ -d "$models" ]; then
    answer=$(inside majordomo generate --max-tokens 8 'What is a butler?')
    [ -n "$answer" ] || fail "the embedded model said nothing"
    say "the embedded model answers: $answer"
else
    say "the embedded model is not fetched here, so it was not asked"
fi

kill -TERM "$first"
status=0
wait "$container" || status=$?
container=
[ "$status" = 0 ] || fail "after SIGTERM it ended with $status"

size=$(du --summarize --bytes --one-file-system "$root" | cut -f1)
ours=$(du --summarize --bytes "$root/opt/majordomo" | cut -f1)
compressed=$(tar --create --directory "$root/opt/majordomo" . | gzip | wc --bytes)
echo "image-check: builds, answers, ends. $((size / 1000000)) MB, of them over the base" \
    "$((ours / 1000000)) MB ($((compressed / 1000000)) MB compressed);" \
    "takes calls ${startup} ms after its start, and ${memory} MB of memory; all in ${SECONDS} s."
