#!@tools@/bin/bash
# shrink-rpath TREE...: the search paths of the ELF files below TREE without the directories in which
# they find nothing. What a program does not use is then not part of its closure.
set -eo pipefail
tools=@tools@/bin
magic=$'\177ELF'
for tree; do
    while IFS= read -r -d '' file; do
        start=
        LC_ALL=C IFS= read -r -N 4 start 2> /dev/null < "$file" || true
        [ "$start" = "$magic" ] || continue
        # A file without a dynamic section (a static program, an object file) has no search path.
        "$tools/patchelf" --print-rpath "$file" > /dev/null 2>&1 || continue
        "$tools/patchelf" --shrink-rpath "$file"
    done < <("$tools/find" "$tree" -type f '(' -perm -0100 -o -name '*.so' -o -name '*.so.*' ')' -print0)
done
