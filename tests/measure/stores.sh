# Throw-away stores and clocks for the scripts of this folder, which source it. Not a program.
#
# Both programs work on stores of their own below $place, under the same settings and with an empty
# home; nothing of the machine's own Nix is read or written. $place is removed at the end, unless
# KEEP is set.
#
#   FIRN          the firn binary (target/release/firn)
#   NIX_ORACLE    a folder of C++ Nix's commands
#   SOURCES       a folder that holds the sources (see gatherSources); without it they are fetched once
#   PLACE         where to make $place (TMPDIR, /tmp)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
library=$root/library
FIRN=${FIRN:-$root/target/release/firn}
[ -x "$FIRN" ] || { echo "there is no $FIRN: cargo build --release, or FIRN=..." >&2; exit 1; }
[ -n "${WITHOUT_ORACLE:-}" ] || [ -x "${NIX_ORACLE:-}/nix-store" ] || { echo "NIX_ORACLE must name a folder of C++ Nix's commands" >&2; exit 1; }

place=$(mktemp -d "${PLACE:-${TMPDIR:-/tmp}}/firn-measure.XXXXXX")
removePlace() {
    if [ -n "${KEEP:-}" ]; then echo "kept: $place" >&2; return; fi
    chmod -R u+w "$place" 2> /dev/null || true
    rm -rf "$place"
}
trap removePlace EXIT

mkdir "$place/home" "$place/etc"
NIX_CONFIG="
sandbox = true
sandbox-paths =
substituters =
build-users-group =
max-jobs = ${JOBS:-2}
cores = ${CORES:-2}
experimental-features = nix-command
${EXTRA_CONFIG:-}"
export NIX_CONFIG NIX_CONF_DIR="$place/etc" NIX_PATH=
export HOME="$place/home" XDG_CACHE_HOME="$place/home/.cache" XDG_DATA_HOME="$place/home/.local/share"

# firn STORE PROGRAM ARGUMENT..., oracle STORE PROGRAM ARGUMENT...: a program on a store of $place.
firn() { local store=$1; shift; NIX_REMOTE="local?root=$place/$store" "$FIRN" "$@"; }
oracle() { local store=$1 program=$2; shift 2; NIX_REMOTE="local?root=$place/$store" "$NIX_ORACLE/$program" "$@"; }

# timed LOG COMMAND...: runs it; sets wall and cpu (user and system, of all its processes), in seconds.
timed() {
    local log=$1 user system
    shift
    local TIMEFORMAT='%R %U %S'
    { time "$@" > "$log" 2> "$log.errors" || { cat "$log.errors" >&2; return 1; } ; } 2> "$place/clock" || {
        cat "$place/clock" >&2
        echo "failed: $*" >&2
        exit 1
    }
    read -r wall user system < <(tail -n 1 "$place/clock")
    cpu=$(awk -v a="$user" -v b="$system" 'BEGIN { print a + b }')
}

# row NAME: of what `timed` measured last.
row() { printf '%-34s %8.2f s wall %8.2f s CPU\n' "$1" "$wall" "$cpu"; }

# listSources: "NAME STORE-PATH" of every source that hello needs, the seed left out.
listSources() {
    oracle listing nix-instantiate --eval --raw -E "
        let
          release = import $library/release.nix { };
          names = builtins.filter (name: builtins.substring 0 7 name == \"source-\") (builtins.attrNames release);
          line = name: \"\${release.\${name}.name} \${builtins.unsafeDiscardStringContext release.\${name}.outPath}\n\";
        in builtins.concatStringsSep \"\" (map line names)"
}
seedName=busybox-static-1.35.0

# gatherSources: the sources under their names in $sources/files, the seed in $sources/seed. Taken
# from SOURCES if that is given, else out of STORE, which must hold them.
gatherSources() {                 # STORE
    local name path
    sources=${SOURCES:-$place/sources}
    [ -z "${SOURCES:-}" ] || return 0
    mkdir -p "$sources/files" "$sources/seed"
    while read -r name path; do cp "$place/$1$path" "$sources/files/$name"; done < <(listSources)
    cp -r "$place/$1"/nix/store/*-"$seedName" "$sources/seed/$seedName"
}

# addSources STORE: what a user without the network adds, by C++ Nix.
addSources() {
    oracle "$1" nix-store --add-fixed sha256 "$sources"/files/* > /dev/null
    oracle "$1" nix-store --add-fixed --recursive sha256 "$sources/seed/$seedName" > /dev/null
}
