# Setup hook of a compiler: its programs by their variables, and the headers and libraries of every
# input made known to it.
export CC=gcc CXX=g++ CPP=cpp LD=ld AR=ar NM=nm RANLIB=ranlib STRIP=strip
ccAddInput() {                    # INPUT
    if [ -d "$1/include" ]; then
        export NIX_CFLAGS_COMPILE="$NIX_CFLAGS_COMPILE -isystem $1/include"
    fi
    if [ -d "$1/lib" ]; then
        export NIX_LDFLAGS="$NIX_LDFLAGS -L$1/lib -rpath $1/lib"
    fi
    addToSearchPath PKG_CONFIG_PATH "$1/lib/pkgconfig"
    addToSearchPath PKG_CONFIG_PATH "$1/share/pkgconfig"
}
# The compiler's own tree is known to it already.
ccOnInput() { [ "$1" = @out@ ] || ccAddInput "$1"; }
addEnvHook ccOnInput
