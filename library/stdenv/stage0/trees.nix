# The trees that run on our glibc: run-time libraries of compiled programs, shell tools, binutils,
# compilers. Each is some of Debian's packages, merged and relocated.
#
# No tree names another one: what a program of a tree needs beside glibc lies in its own tree. So
# they build side by side, and the closure of the tools holds no compiler. The libraries that a
# *compiled* program may need are alone in gccLibs.
{ seedDerivation, debsOf, glibc, patchelf }:
let
  tree = { name, debs, script ? "", ... }@arguments: seedDerivation ({
    script = ./tree.sh;
    treeScript = script;
    debs = debsOf debs;
    inherit glibc patchelf;
  } // removeAttrs arguments [ "script" "debs" ]);
in
{
  gccLibs = tree {
    name = "gcc-libs-12.2.0";
    debs = [ "libgcc-s1" "libstdc++6" "libgomp1" "libatomic1" "libquadmath0" "libitm1" ];
    # The names by which the linker looks for them; the compiler has one of its own for libgcc_s.
    script = ''
      for library in $out/lib/*.so.?; do
          name=''${library##*/}
          case $name in libgcc_s.*) continue ;; esac
          ln -s "$name" "''${library%.*}"
      done
    '';
  };

  tools = tree {
    name = "bootstrap-tools";
    debs = [
      "bash" "dash" "coreutils" "findutils" "diffutils" "sed" "grep" "gzip" "bzip2" "xz-utils" "tar" "patch" "gawk" "make" "patchelf"
      "libacl1" "libattr1" "libselinux1" "libpcre2-8-0" "libbz2-1.0" "liblzma5" "libreadline8" "libtinfo6" "libsigsegv2" "libgmp10"
      "libmpfr6" "libcrypt1" "libstdc++6" "libgcc-s1"
    ];
    # What Debian's installation scripts would have made.
    script = ''
      ln -sfn bash $out/bin/sh
      ln -sfn gawk $out/bin/awk
    '';
    exclude = [ "share/awk" "share/pixmaps" "share/menu" "share/debianutils" "lib/bash" "lib/mime" "include" "bin/make-first-existing-target" ];
    scriptInterpreters = "out";
  };

  binutils = tree {
    name = "binutils-2.40";
    debs = [
      "binutils" "binutils-common" "binutils-x86-64-linux-gnu" "libbinutils" "libctf0" "libctf-nobfd0" "libgprofng0" "libjansson4"
      "libzstd1" "zlib1g" "libstdc++6" "libgcc-s1"
    ];
  };

  gcc = tree {
    name = "gcc-unwrapped-12.2.0";
    debs = [
      "gcc-12" "cpp-12" "g++-12" "libgcc-12-dev" "libstdc++-12-dev" "libisl23" "libmpc3" "libmpfr6" "libgmp10" "libzstd1" "zlib1g"
    ];
    # Sanitizers, plug-ins and the debugger's helper lack their run-time libraries in our choice of
    # packages; lto-dump is a tool for gcc's own developers; the links to run-time libraries point
    # to those of gccLibs, where the wrapper finds them.
    exclude = map (name: "lib/gcc/x86_64-linux-gnu/12/${name}") [
      "libasan*" "liblsan*" "libtsan*" "libubsan*" "libhwasan*" "libcc1*" "plugin"
      "libstdc++.so" "libgomp.so" "libatomic.so" "libquadmath.so" "libitm.so"
    ] ++ [ "bin/*lto-dump-12" ];
    # The libraries of the compilers stay where Debian has them: the driver finds its parts, and its
    # headers, relative to itself.
    keepTriple = true;
    script = ''
      for program in gcc g++ cpp gcc-ar gcc-nm gcc-ranlib gcov; do
          ln -sfn $triple-$program-12 $out/bin/$program
      done
    '';
  };
}
