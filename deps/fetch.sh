#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetch the libraries that this Debian release is too old for into .deps/{include,lib,lib/pkgconfig}.
#
#   deps/fetch.sh            fetch what deps.lock names, unless .deps is already made from this lock
#   deps/fetch.sh --relock   print deps.lock lines for what the mirror holds today, change nothing
#
# The packages come from the next Debian release through a private apt configuration: the address is the one the system
# itself uses, the signature is checked with the system's Debian keyring, and then each file's sha256 with deps.lock.
# Nothing of the system's apt state is changed; root is not needed. Environment: GYRE_DEPS (default .deps).
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
LOCK=$ROOT/deps/deps.lock
DEPS=${GYRE_DEPS:-$ROOT/.deps}
NEXT=trixie
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

die() {
    printf 'deps/fetch.sh: %s\n' "$*" >&2
    exit 1
}

relock=no
case "${1:-}" in
'') ;;
--relock) relock=yes ;;
-h | --help)
    sed -n '3,10s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*) die "unknown argument '$1' (try -h)" ;;
esac

for tool in apt-get dpkg dpkg-deb sha256sum; do
    command -v "$tool" >/dev/null 2>&1 || die "needs the tool '$tool', which is not here (Debian 12 has it)"
done

stamp=$(cat "$LOCK" "$0" | sha256sum | cut -c1-64)
if [ "$relock" = no ] && [ "$(cat "$DEPS/.stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

arch=$(dpkg --print-architecture)
packages=$(awk '$1 == "deb" { print $2 }' "$LOCK" | sort -u)
if [ "$relock" = no ]; then
    for p in $packages; do
        awk -v p="$p" -v a="$arch" '$1 == "deb" && $2 == p && $4 == a { found = 1 } END { exit !found }' "$LOCK" ||
            die "deps.lock accepts no file of package '$p' for the architecture $arch"
    done
fi

codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' \
    "Codename: $codename" 2>/dev/null | head -n1)
[ -n "$mirror" ] || die "apt has no package lists for Debian '$codename': run 'apt-get update' once, then again"
[ -r "$KEYRING" ] || die "the package debian-archive-keyring is missing (its keys check the signature)"

mkdir -p "$DEPS"
DEPS=$(cd "$DEPS" && pwd -P)
W=$DEPS/.fetch
trap 'rm -rf "$W"' EXIT
trap 'exit 130' INT TERM
rm -rf "$W"
mkdir -p "$W/lists/partial" "$W/cache/archives/partial" "$W/debs" "$W/x" "$W/out/include" "$W/out/lib/pkgconfig"
: >"$W/status"
cat >"$W/next.sources" <<SOURCES
Types: deb
URIs: $mirror
Suites: $NEXT
Components: main
Architectures: $arch
Signed-By: $KEYRING
SOURCES

# The system's apt.conf.d stays in force (proxy settings live there) and wins over APT_CONFIG, hence options on the command line.
next_apt() {
    LC_ALL=C apt-get -q -o Dir::Etc::sourcelist="$W/next.sources" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State::Lists="$W/lists" -o Dir::State::status="$W/status" -o Dir::Cache="$W/cache" \
        -o Acquire::Languages=none -o Acquire::Check-Valid-Until=true -o Acquire::Check-Date=true \
        -o APT::Update::Error-Mode=any -o APT::Get::AllowUnauthenticated=false \
        -o APT::Update::Post-Invoke-Success= -o Acquire::Retries=2 -o APT::Sandbox::User=root "$@"
}

LOG=$DEPS/.fetch.log
next_apt update >"$LOG" 2>&1 ||
    die "the Debian package mirror gave no valid index of Debian $NEXT (log: $LOG)"
# shellcheck disable=SC2086
(cd "$W/debs" && next_apt download $packages) >>"$LOG" 2>&1 ||
    die "the Debian package mirror did not give all of:" $packages "(log: $LOG)"

bad=0
for p in $packages; do
    f=$(find "$W/debs" -name "${p}_*.deb")
    [ -n "$f" ] || die "the package mirror did not give '$p'"
    sum=$(sha256sum "$f" | cut -c1-64)
    version=$(dpkg-deb -f "$f" Version)
    if [ "$relock" = yes ]; then
        echo "deb $p $version $arch $sum"
    elif ! grep -q "^deb $p [^ ]* $arch $sum\$" "$LOCK"; then
        printf 'deps/fetch.sh: deps.lock does not accept: deb %s %s %s %s\n' "$p" "$version" "$arch" "$sum" >&2
        bad=1
    else
        dpkg-deb -x "$f" "$W/x"
    fi
done
[ "$relock" = no ] || exit 0
[ "$bad" = 0 ] || die "refused; if upstream made a new build, look at it and add the lines of 'deps/fetch.sh --relock'"

# Flat and relocatable: the .pc files hard-code /usr, and --define-prefix does not help because libdir is absolute too.
cp -R "$W/x/usr/include/." "$W/out/include/"
find "$W/x/usr/lib" -maxdepth 2 \( -name 'lib*.so*' -o -name 'lib*.a' \) -exec cp -P {} "$W/out/lib/" \;
for pc in $(find "$W/x/usr/lib" "$W/x/usr/share" -name '*.pc'); do
    sed -e 's|^prefix=.*|prefix=${pcfiledir}/../..|' -e 's|^libdir=.*|libdir=${prefix}/lib|' \
        -e 's|^includedir=.*|includedir=${prefix}/include|' "$pc" >"$W/out/lib/pkgconfig/${pc##*/}"
done
rm -rf "$DEPS/include" "$DEPS/lib" "$DEPS/.stamp"
mv "$W/out/include" "$W/out/lib" "$DEPS/"
# What went over the wire, in kB, for setup.sh to add up.
awk '/^Fetched / { kb += $2 * ($3 == "MB" ? 1000 : $3 == "B" ? 0.001 : 1) } END { printf "%d\n", kb }' \
    "$LOG" >"$DEPS/.kilobytes"
echo "$stamp" >"$DEPS/.stamp"
