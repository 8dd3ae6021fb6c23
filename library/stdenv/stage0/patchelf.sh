# The bootstrap patchelf: Debian's program with the libraries that it needs, as they are. It is run
# by naming its dynamic linker (see relocate.sh).
# env: debs (patchelf first), triple
. "$unpackFunctions"
mkdir -p "$out/bin" "$out/lib"
tree=$NIX_BUILD_TOP/tree
mkdir "$tree"
set -- $debs
unpackDeb "$1" "$tree" ./usr/bin/patchelf
shift
for deb; do unpackDeb "$deb" "$tree"; done
cp "$tree/usr/bin/patchelf" "$out/bin/"
for library in ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libgcc_s.so.1; do
    cp -L "$tree/lib/$triple/$library" "$out/lib/$library"
done
cp -L "$tree/usr/lib/$triple/libstdc++.so.6" "$out/lib/libstdc++.so.6"
