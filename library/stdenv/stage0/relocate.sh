# Making a tree of Debian's binaries run from the store, for busybox's shell.
#
# One process per kind of change and hundred files, not one per file.

# patchelfProgram ARGUMENT...: patchelf under its own dynamic linker, before anything is relocated.
# env: patchelf, a directory with lib/ and bin/patchelf
patchelfProgram() {
    "$patchelf/lib/ld-linux-x86-64.so.2" --library-path "$patchelf/lib" "$patchelf/bin/patchelf" "$@"
}
onEach() {                        # onEach LIST ARGUMENT...: patchelf on the files that LIST names
    local list=$1
    shift
    xargs -r -n 100 "$patchelf/lib/ld-linux-x86-64.so.2" --library-path "$patchelf/lib" "$patchelf/bin/patchelf" "$@" < "$list"
}

# sortElfFiles DIRECTORY...: the ELF files that a dynamic linker will see, by kind, into
# $NIX_BUILD_TOP/{programs,libraries}. Names decide what is a library. The dynamic linker itself is
# left out: it must not be touched.
sortElfFiles() {
    local file magic elf
    elf=$(printf '\177ELF')
    : > "$NIX_BUILD_TOP/programs"
    : > "$NIX_BUILD_TOP/libraries"
    find "$@" -type f '(' -perm -0100 -o -name '*.so' -o -name '*.so.*' ')' ! -name '*.o' ! -name 'ld-linux*.so.*' |
    while read -r file; do
        magic=
        IFS= read -r -n 4 magic < "$file" || true
        [ "$magic" = "$elf" ] || continue
        case ${file##*/} in
            *.so|*.so.*) echo "$file" >> "$NIX_BUILD_TOP/libraries" ;;
            *) echo "$file" >> "$NIX_BUILD_TOP/programs" ;;
        esac
    done
}

# relocate DIRECTORY...: every program gets the dynamic linker $interpreter, programs and libraries
# the search path $rpath (directories joined by colons). Then every library that one of them needs
# must be found in that path.
relocate() {
    sortElfFiles "$@"
    onEach "$NIX_BUILD_TOP/programs" --set-interpreter "$interpreter" --set-rpath "$rpath"
    onEach "$NIX_BUILD_TOP/libraries" --set-rpath "$rpath"
    cat "$NIX_BUILD_TOP/programs" "$NIX_BUILD_TOP/libraries" > "$NIX_BUILD_TOP/relocated"
    echo "relocated $(wc -l < "$NIX_BUILD_TOP/programs") programs and $(wc -l < "$NIX_BUILD_TOP/libraries") libraries"
    checkNeeded
}

# inSearchPath LIBRARY: whether a directory of $rpath holds it.
inSearchPath() {
    local directory
    for directory in $(echo "$rpath" | tr : ' '); do
        [ ! -e "$directory/$1" ] || return 0
    done
    return 1
}

# checkNeeded: every library that a file of $NIX_BUILD_TOP/relocated names is in the search path;
# where one is not, say of which file.
checkNeeded() {
    local library file missing=
    for library in $(onEach "$NIX_BUILD_TOP/relocated" --print-needed | sort -u); do
        case $library in ld-linux*) continue ;; esac
        inSearchPath "$library" || missing="$missing $library"
    done
    [ -n "$missing" ] || return 0
    while read -r file; do
        for library in $(patchelfProgram --print-needed "$file"); do
            case " $missing " in *" $library "*) echo "missing library $library, needed by $file" >&2 ;; esac
        done
    done < "$NIX_BUILD_TOP/relocated"
    return 1
}

# relativeLinks TREE: absolute symbolic links, which mean a place of Debian's root, made to point
# inside the tree.
relativeLinks() {
    local tree=$1 link target inside up
    find "$tree" -type l | while read -r link; do
        target=$(readlink "$link")
        case $target in
            "$NIX_STORE"/*) continue ;;
            /*) ;;
            *) continue ;;
        esac
        target=${target#/usr}
        target=${target#/}
        inside=${link#"$tree"/}
        up=
        while [ "${inside#*/}" != "$inside" ]; do
            up=../$up
            inside=${inside#*/}
        done
        ln -sfn "$up$target" "$link"
    done
}

# shebangs DIRECTORY PROGRAMS: scripts below DIRECTORY are run by the interpreter of the same name
# in PROGRAMS, where it has one.
shebangs() {
    local directory=$1 programs=$2 script start line program
    find "$directory" -type f -perm -0100 | while read -r script; do
        # The shell reads byte by byte: never a line of what may be a binary.
        start=
        IFS= read -r -n 2 start < "$script" || true
        [ "$start" = '#!' ] || continue
        IFS= read -r line < "$script" || true
        set -- ${line#'#!'}
        program=${1##*/}
        shift
        if [ "$program" = env ]; then program=$1; shift; fi
        [ -e "$programs/$program" ] || { echo "left alone: $script ($line)"; continue; }
        sed -i "1s|.*|#!$programs/$program${*:+ $*}|" "$script"
    done
}
