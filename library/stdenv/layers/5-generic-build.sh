# Layer 5: unpack and patch before, strip, shrinkRpath, patchShebangs and compressManPages after.

unpackHooks=()                    # functions: unpack FILE here, or fail and leave no trace
uncompressHooks=()                # functions: write FILE uncompressed to standard output, or fail and write nothing

# packageName PATH: the last part of a path, without the hash of a store path.
packageName() {
    local name=${1##*/}
    if [[ $name =~ ^[0-9a-z]{32}- ]]; then name=${name:33}; fi
    echo "$name"
}

# unpackFile FILE: by the first hook that can; a directory is copied.
unpackFile() {
    local hook
    echo "unpacking $1"
    if [ -d "$1" ]; then
        cp -r --no-preserve=ownership --preserve=timestamps,links "$1" "$(packageName "$1")"
        return 0
    fi
    for hook in "${unpackHooks[@]}"; do
        if "$hook" "$1"; then return 0; fi
    done
    echo "nothing knows how to unpack $1" >&2
    return 1
}

# unpackPhase: every source; then into the one directory that appeared, or into sourceRoot.
unpackPhase() {
    local file directory found=() before=" "
    [ -n "$srcs$src" ] || { echo "there is neither src nor srcs to unpack" >&2; return 1; }
    for directory in */; do before+="$directory "; done
    for file in ${srcs:-$src}; do unpackFile "$file"; done
    if [ -z "$sourceRoot" ]; then
        for directory in */; do
            case $before in *" $directory "*) ;; *) found+=("${directory%/}") ;; esac
        done
        [ ${#found[@]} = 1 ] || { echo "unpacking gave ${#found[@]} directories (${found[*]}); sourceRoot must name one" >&2; return 1; }
        sourceRoot=${found[0]}
    fi
    chmod -R u+w -- "$sourceRoot"
    cd -- "$sourceRoot"
}

# uncompressFile FILE: its contents by the first hook that can; a file that no suffix marks as compressed as it is.
uncompressFile() {
    local hook
    for hook in "${uncompressHooks[@]}"; do
        if "$hook" "$1"; then return 0; fi
    done
    case $1 in
        *.gz|*.bz2|*.xz|*.lzma|*.zst) echo "nothing among the inputs knows how to uncompress $1" >&2; return 1 ;;
        *) cat "$1" ;;
    esac
}
patchPhase() {
    local file
    for file in $patches; do
        echo "applying $file"
        uncompressFile "$file" > "$NIX_BUILD_TOP/patch-to-apply"
        patch ${patchFlags:--p1} < "$NIX_BUILD_TOP/patch-to-apply"
    done
}

# onOutputs COMMAND...: the command on every output that exists.
onOutputs() {
    local output
    for output in ${outputs:-out}; do
        if [ -e "${!output}" ]; then "$@" "${!output}"; fi
    done
}
# Where there are no binary tools there is no binary file to treat.
stripPhase() { if type -P "${STRIP:-strip}" > /dev/null; then onOutputs strip-tree; fi; }
shrinkRpathPhase() { onOutputs shrink-rpath; }
patchShebangsPhase() { onOutputs patch-shebangs; }
compressManPagesPhase() { onOutputs compress-man; }

phasesBefore="unpack patch"
phasesAfter="strip shrinkRpath patchShebangs compressManPages"
defaultPhases="$phasesBefore buildCommand $phasesAfter"
