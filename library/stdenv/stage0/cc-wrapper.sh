# Writes the wrapped compiler: see cc-wrapper.nix.
# env: cc, binutils, gccLibs, libc, libcDev, cxxDirectories, seed, driver, setupHook
mkdir -p "$out/bin" "$out/nix-support" "$out/no-sysroot"

cxxFlags=
for directory in $cxxDirectories; do
    [ -d "$directory" ] || { echo "no directory $directory" >&2; exit 1; }
    cxxFlags="$cxxFlags -isystem $directory"
done
linkFlags="-L$libcDev/lib -L$libc/lib"
rpathFlags="-Wl,--dynamic-linker=$libc/lib/ld-linux-x86-64.so.2 -Wl,-rpath,$libc/lib"
if [ -n "$gccLibs" ]; then
    linkFlags="$linkFlags -L$gccLibs/lib"
    rpathFlags="$rpathFlags -Wl,-rpath,$gccLibs/lib"
fi

writeDriver() {                   # NAME EXTRA-COMPILE-FLAGS
    local program=$cc/bin/$1
    [ -x "$program" ] || { echo "no compiler $program" >&2; exit 1; }
    sed -e "s|@busybox@|$seed/bin/busybox|g" -e "s|@program@|$program|g" -e "s|@noSysroot@|$out/no-sysroot|g" \
        -e "s|@binutils@|$binutils|g" -e "s|@libcDev@|$libcDev|g" -e "s|@languageFlags@|$2|g" \
        -e "s|@linkFlags@|$linkFlags|g" -e "s|@rpathFlags@|$rpathFlags|g" "$driver" > "$out/bin/$1"
    chmod +x "$out/bin/$1"
}
writeDriver gcc ''
writeDriver cpp ''
writeDriver g++ "$cxxFlags"
ln -s gcc "$out/bin/cc"
ln -s g++ "$out/bin/c++"

for tool in ar as nm ld objcopy objdump ranlib readelf size strings strip addr2line c++filt elfedit gprof; do
    [ -e "$binutils/bin/$tool" ] || { echo "binutils have no $tool" >&2; exit 1; }
    ln -s "$binutils/bin/$tool" "$out/bin/$tool"
done
for tool in gcc-ar gcc-nm gcc-ranlib gcov; do
    [ -e "$cc/bin/$tool" ] || { echo "the compiler has no $tool" >&2; exit 1; }
    ln -s "$cc/bin/$tool" "$out/bin/$tool"
done
sed "s|@out@|$out|g" "$setupHook" > "$out/nix-support/setup-hook"
