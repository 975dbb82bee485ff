#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Remove all that setup.sh, the build and the demo made in this folder.
#
#   ./cleanup.sh              builds, fetched libraries, the tests' Python environment, demo folders, logs
#   ./cleanup.sh --packages   also the Debian packages that setup.sh installed and nothing else needs (root or sudo)
#   ./cleanup.sh -h           this text
set -euo pipefail
cd "$(dirname "$0")"

packages=no
case "${1:-}" in
'') ;;
--packages) packages=yes ;;
-h | --help)
    sed -n '3,7s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*)
    echo "cleanup: unknown argument '$1' (try -h)" >&2
    exit 2
    ;;
esac

installed=() # the list outlives a clean-up that leaves the packages
[ ! -s .setup/installed-packages ] || mapfile -t installed < <(sort -u .setup/installed-packages)

if [ "$packages" = yes ] && [ ${#installed[@]} -gt 0 ]; then
    run=()
    [ "$(id -u)" = 0 ] || run=(sudo)
    # Marked as automatic, they go with what they pulled in; what something else needs stays.
    "${run[@]}" apt-mark auto "${installed[@]}" >/dev/null
    "${run[@]}" env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q -y autoremove </dev/null
    installed=()
fi

# A .deps, .venv or .venv-serving that is a link to a shared one: only the link goes.
for path in build build-* gyre-demo-* .deps .venv .venv-serving .setup .pytest_cache; do
    if [ -L "$path" ]; then
        rm -f "$path"
    elif [ -e "$path" ]; then
        rm -rf "$path"
    fi
done
find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

if [ ${#installed[@]} -gt 0 ]; then
    mkdir -p .setup
    printf '%s\n' "${installed[@]}" >.setup/installed-packages
    echo "cleanup: these Debian packages were installed by setup.sh and stay (--packages removes them):"
    printf '  %s\n' "${installed[@]}"
fi
