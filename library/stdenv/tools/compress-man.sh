#!@tools@/bin/bash
# compress-man TREE...: the manual pages below TREE/share/man, compressed so that the same page gives
# the same bytes. A link to a page that was compressed becomes one to the compressed page.
set -eo pipefail
tools=@tools@/bin
for tree; do
    manual=$tree/share/man
    [ -d "$manual" ] && [ ! -L "$manual" ] || continue
    "$tools/find" "$manual" -type f ! -name '*.gz' ! -name '*.bz2' ! -name '*.xz' ! -name '*.zst' -print0 |
        PATH=$tools "$tools/xargs" -0 -r "$tools/gzip" -n -9 -f
    while IFS= read -r -d '' link; do
        target=$("$tools/readlink" "$link")
        if [ ! -e "$link" ] && [ -e "${link%/*}/$target.gz" ]; then
            "$tools/ln" -sfn "$target.gz" "${link%.gz}.gz"
            "$tools/rm" "$link"
        fi
    done < <("$tools/find" "$manual" -type l ! -name '*.gz' -print0)
done
