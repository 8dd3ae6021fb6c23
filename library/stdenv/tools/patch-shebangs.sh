#!@tools@/bin/bash
# patch-shebangs PATH...: in every executable script at or below PATH, the first line names the
# program that the caller's PATH has under that name. A script that names a program of the store is
# left as it is, and so is one whose program PATH does not have. Times of files are kept.
set -eo pipefail
tools=@tools@/bin
store=${NIX_STORE:-/nix/store}

patchOne() {                      # FILE, which begins with #!
    local file=$1 line program rest found writable=1
    IFS= read -r line < "$file" || true
    read -r program rest <<< "${line#'#!'}"
    case $program in "$store"/*) return 0 ;; esac
    if [ "${program##*/}" = env ]; then
        read -r program rest <<< "$rest"
        if [ "$program" = -S ]; then read -r program rest <<< "$rest"; fi
        case $program in
            -*|*=*) echo "$file: cannot patch the interpreter line: $line" >&2; return 1 ;;
        esac
    fi
    if ! found=$(type -P "${program##*/}"); then
        echo "$file: no ${program##*/} on PATH, left alone" >&2
        return 0
    fi
    if [ "$line" = "#!$found${rest:+ $rest}" ]; then return 0; fi
    if [ ! -w "$file" ]; then
        "$tools/chmod" u+w "$file"
        writable=
    fi
    "$tools/touch" -r "$file" "$file.times"
    { printf '%s\n' "#!$found${rest:+ $rest}"; "$tools/tail" -n +2 "$file"; } > "$file.patched"
    "$tools/cat" "$file.patched" > "$file"
    "$tools/touch" -r "$file.times" "$file"
    "$tools/rm" "$file.times" "$file.patched"
    [ -n "$writable" ] || "$tools/chmod" u-w "$file"
    echo "$file: $line -> #!$found${rest:+ $rest}"
}

status=0
for path; do
    while IFS= read -r -d '' file; do
        start=
        LC_ALL=C IFS= read -r -N 2 start 2> /dev/null < "$file" || true
        if [ "$start" = '#!' ]; then patchOne "$file" || status=1; fi
    done < <("$tools/find" "$path" -type f -perm -0100 -print0)
done
exit $status
