# One relocated tree out of Debian's packages: see trees.nix.
# env: debs, glibc, patchelf, triple; exclude; keepTriple: leave lib/<triple> where it is;
#      treeScript: what is to be done at the end; scriptInterpreters: the scripts of the tree are run
#      by programs of the tree itself
. "$unpackFunctions"
. "$relocateFunctions"

unpackDebs "$out" $debs
libraries=$out/lib/$triple
if [ -z "$keepTriple" ]; then
    # One directory for all libraries: a short search path.
    mv "$libraries"/* "$out/lib/"
    rmdir "$libraries"
    libraries=$out/lib
fi
relativeLinks "$out"
# glibc first: every program asks for libc, few for anything else.
interpreter=$glibc/lib/ld-linux-x86-64.so.2 rpath=$glibc/lib:$libraries
relocate "$out"
eval "$treeScript"
rmdir "$out/bin" "$out/share" 2> /dev/null || true       # where a tree has none
[ -z "$scriptInterpreters" ] || shebangs "$out/bin" "$out/bin"

dangling=$(find "$out" -type l ! -exec test -e {} ';' -print)
[ -z "$dangling" ] || { echo "dangling links:" $dangling >&2; exit 1; }
