# glibc out of Debian's packages: see glibc.nix.
# env: debs, patchelfDebs, triple, outputs out and dev
. "$unpackFunctions"
. "$relocateFunctions"

tree=$NIX_BUILD_TOP/tree
exclude='bin share'
unpackDebs "$tree" $debs
mkdir -p "$out/lib" "$dev/lib"

# Headers: Debian keeps those that depend on the machine in a directory of their own.
cp -a "$tree/include" "$dev/include"
cp -a "$dev/include/$triple/." "$dev/include/"
rm -rf "$dev/include/$triple" "$dev/include/c++"

# Libraries, by what they are for.
cd "$tree/lib/$triple"
for file in *; do
    case $file in
        gconv|audit) mv "$file" "$out/lib/" ;;
        pkgconfig) mv "$file" "$dev/lib/" ;;
        perl) ;;
        *.so.*|libthread_db*|libmemusage.so|libpcprofile.so) mv "$file" "$out/lib/" ;;
        *.a|*.o|*.so) mv "$file" "$dev/lib/" ;;
        *) echo "left out: $file" ;;
    esac
done
mkdir -p "$out/lib/locale"
mv "$tree/lib/locale/C.utf8" "$out/lib/locale/"

cd "$dev/lib"
for file in *.so *.a; do
    if [ -L "$file" ]; then
        # Links to the run-time library, absolute in Debian.
        target=$(readlink "$file")
        ln -sfn "$out/lib/${target##*/}" "$file"
        [ -e "$file" ] || { echo "dangling: $file -> $target" >&2; exit 1; }
    else
        # Link scripts (they begin with a comment) name absolute files. Bare names are found by -L,
        # and not looked up below --sysroot.
        IFS= read -r -n 4 start < "$file" || true
        case $start in '/* G')
            sed -i -e "s|/usr/lib/$triple/||g" -e "s|/lib/$triple/||g" -e 's|/lib64/||g' "$file" ;;
        esac
    fi
done
sed -i -e "s|^prefix=.*|prefix=$dev|" -e "s|/lib/$triple|/lib|" pkgconfig/*.pc

# The dynamic linker has places of the host built in, and would look there for a library that it
# does not find. Names of the same length that do not exist are put in their stead.
loader=$out/lib/ld-linux-x86-64.so.2
chmod u+w "$loader"
strings -t d "$loader" > "$NIX_BUILD_TOP/strings"
replaceString() {                 # OLD NEW, of one length: every string that is exactly OLD
    local offset n=0
    [ ${#1} = ${#2} ] || { echo "$1 and $2 differ in length" >&2; return 1; }
    for offset in $(awk -v old="$1" '$2 == old { print $1 }' "$NIX_BUILD_TOP/strings"); do
        printf %s "$2" | dd of="$loader" bs=1 seek="$offset" conv=notrunc 2> /dev/null
        n=$((n + 1))
    done
    [ $n -gt 0 ] || { echo "the dynamic linker does not hold $1" >&2; return 1; }
}
replaceString "/lib/$triple/" "/nix/$triple/"
replaceString "/usr/lib/$triple/" "/nix/lib/$triple/"
replaceString /lib/ /nix/
replaceString /usr/lib/ /nix/lib/
replaceString /etc/ld.so.cache /nix/ld.so.cache
replaceString /etc/ld.so.preload /nix/ld.so.preload

# The cache of character sets names places of the host; the plain list serves without it.
rm -f "$out/lib/gconv/gconv-modules.cache"

# patchelf for this build only.
patchelf=$NIX_BUILD_TOP/patchelf
mkdir -p "$patchelf/tree"
set -- $patchelfDebs
unpackDeb "$1" "$patchelf/tree" ./usr/bin
unpackDeb "$2" "$patchelf/tree" ./usr/lib
mv "$patchelf/tree/usr/bin" "$patchelf/bin"
mkdir "$patchelf/lib"
for library in ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libgcc_s.so.1; do
    cp -L "$out/lib/$library" "$patchelf/lib/$library"
done
cp -L "$patchelf/tree/usr/lib/$triple/libstdc++.so.6" "$patchelf/lib/"

# The modules of gconv need libraries of their own directory. libc.so.6 has to find libgcc_s.so.1,
# which pthread_exit and pthread_cancel load: hence the copy here.
interpreter=$loader rpath=$out/lib:$out/lib/gconv
relocate "$out/lib"
[ -e "$out/lib/libgcc_s.so.1" ]
patchelfProgram --set-interpreter "$loader" --set-rpath "$out/lib" "$out/lib/libc.so.6"
