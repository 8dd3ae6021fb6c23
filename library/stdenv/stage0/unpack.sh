# Unpacking Debian packages, for busybox's shell.

# unpackDeb DEB DIRECTORY [MEMBER...]: the files of one package, or only those named.
unpackDeb() {
    local deb=$1 directory=$2
    shift 2
    ar p "$deb" data.tar.xz | tar x -J -C "$directory" "$@" ||
        { echo "cannot unpack $deb" >&2; return 1; }
}

# unpackDebs TREE DEB...: packages merged into one tree without `usr`: what Debian calls /bin,
# /usr/bin or /sbin, /lib or /usr/lib or /lib64, is one place each. What no build reads goes.
# Two at a time, as decompression is nearly all of the work; packages do not share files, so the
# order does not matter.
# env: exclude, patterns of more names below TREE that go
unpackDebs() {
    local tree=$1 deb running=
    shift
    mkdir -p "$tree/bin" "$tree/lib"
    ln -s . "$tree/usr"
    ln -s bin "$tree/sbin"
    ln -s lib "$tree/lib64"
    for deb; do
        unpackDeb "$deb" "$tree" &
        [ -z "$running" ] || wait "$running"
        running=$!
    done
    wait "$running"
    cd "$tree"
    rm -rf usr sbin lib64 etc var lib/.build-id share/doc share/doc-base share/man share/info share/lintian \
        share/locale share/bug share/gcc share/gdb share/bash-completion $exclude
    cd /
}
set -o pipefail
