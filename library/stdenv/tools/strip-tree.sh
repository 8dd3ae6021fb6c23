#!@tools@/bin/bash
# strip-tree TREE...: debug information out of the ELF files and archives below the directories where
# programs and libraries lie. It names the places of headers and compilers, so that without this a
# program's closure would hold its compiler.
# env: STRIP (strip), stripDirectories (bin sbin lib lib64 libexec), stripFlags (--strip-debug)
set -eo pipefail
tools=@tools@/bin
magic=$'\177ELF'
for tree; do
    directories=()
    for directory in ${stripDirectories:-bin sbin lib lib64 libexec}; do
        if [ -d "$tree/$directory" ] && [ ! -L "$tree/$directory" ]; then directories+=("$tree/$directory"); fi
    done
    [ ${#directories[@]} -gt 0 ] || continue
    while IFS= read -r -d '' file; do
        start=
        LC_ALL=C IFS= read -r -N 8 start 2> /dev/null < "$file" || true
        case $start in "$magic"*|'!<arch>'*) printf '%s\0' "$file" ;; esac
    done < <("$tools/find" "${directories[@]}" -type f '(' -perm -0100 -o -name '*.so' -o -name '*.so.*' -o -name '*.a' -o -name '*.o' ')' -print0) |
        "$tools/xargs" -0 -r "${STRIP:-strip}" ${stripFlags:---strip-debug} --enable-deterministic-archives
done
