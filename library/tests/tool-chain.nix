# What the compilers and the C library of stage 0 can do.
{ packages, support }:
let
  inherit (packages) stdenv stage0;

  # Commands with the compiler at hand.
  compiling = name: commands: stdenv.runPhases {
    inherit name;
    layerPackages = [ stdenv.cc support.assertions ];
    phases = "build";
    buildPhase = commands + "\ntouch $out";
  };
in
{
  c-plus-plus = compiling "c-plus-plus" ''
    cat > main.cc <<'END'
    #include <iostream>
    #include <stdexcept>
    #include <vector>
    #include <cmath>
    int main() {
        std::vector<double> v{1, 4, 9};
        try { v.at(3) = 1; } catch (const std::out_of_range &) { std::cout << std::sqrt(v[2]) << std::endl; }
    }
    END
    $CXX -O2 -Wall -Werror main.cc -o program
    [ "$(./program)" = 3 ]
    grep -q 'NEEDED.*libstdc++.so.6' <(readelf -d program)
    $CXX -flto -O2 main.cc -o program-lto
    [ "$(./program-lto)" = 3 ]
    $CXX -static main.cc -o program-static
    [ "$(./program-static)" = 3 ]
  '';

  # Nothing of the host: neither headers nor libraries nor the dynamic linker.
  store-paths-only = compiling "store-paths-only" ''
    echo '#include <stdio.h>' | $CC -E -v - 2>&1 | sed -n '/search starts here/,/End of search/p' | grep '^ /' > directories
    [ -s directories ]
    not grep -v "^ $NIX_STORE/" directories
    echo 'int main(void) { return 0; }' > main.c
    $CC main.c -o program
    grep -q 'interpreter: ${stage0.glibc}/lib/ld-linux-x86-64.so.2' <(readelf -l program)
    # a library that does not exist is looked for in the store only
    LD_DEBUG=libs LD_PRELOAD=libno-such-library.so ./program 2>&1 | sed -n 's/.*trying file=//p' > tried
    [ -s tried ]
    not grep -v -e "^$NIX_STORE/" -e '^/nix/' tried
  '';

  # The driver without anything to link, and with nothing but options.
  driver-queries = compiling "driver-queries" ''
    grep -q 12.2.0 <($CC --version)
    $CC -v 2> verbose
    [ "$($CC -dumpmachine)" = x86_64-linux-gnu ]
    [ -e "$($CC -print-file-name=crt1.o)" ]
    echo 'int f(void) { return 1; }' | $CC -x c -c - -o f.o
    echo 'int main(void) { return 0; }' | $CC -x c - -o from-standard-input
    ./from-standard-input
    $CC -r -o joined.o f.o
  '';

  # Flags of inputs reach the compiler and the linker.
  flags-of-inputs = stdenv.runPhases {
    name = "flags-of-inputs";
    layerPackages = [ stdenv.cc ];
    phases = "build";
    buildInputs = [
      (compiling "library" ''
        mkdir -p $out/include $out/lib
        echo 'int answer(void);' > $out/include/answer.h
        echo 'int answer(void) { return 42; }' > answer.c
        $CC -shared -fPIC answer.c -o $out/lib/libanswer.so
      '')
    ];
    buildPhase = ''
      printf '#include <answer.h>\nint main(void) { return answer() != 42; }\n' > main.c
      $CC main.c -lanswer -o $out
      $out
    '';
  };

  # libc loads libgcc_s by itself here.
  thread-cancellation = compiling "thread-cancellation" ''
    cat > main.c <<'END'
    #include <pthread.h>
    #include <unistd.h>
    static void *sleeper(void *unused) { for (;;) sleep(1); return unused; }
    int main(void) {
        pthread_t thread;
        void *result;
        if (pthread_create(&thread, 0, sleeper, 0)) return 1;
        if (pthread_cancel(thread)) return 2;
        if (pthread_join(thread, &result)) return 3;
        return result != PTHREAD_CANCELED;
    }
    END
    $CC main.c -o program
    ./program
  '';

  # Character sets are modules of the C library; C.UTF-8 is a locale of the store.
  character-sets = compiling "character-sets" ''
    cat > main.c <<'END'
    #include <iconv.h>
    #include <locale.h>
    #include <stdlib.h>
    #include <string.h>
    int main(void) {
        char text[] = "\xe9", out[8], *in = text, *to = out;
        size_t left = 1, room = sizeof out;
        iconv_t latin = iconv_open("UTF-8", "LATIN1"), greek = iconv_open("UTF-8", "ISO-8859-7");
        if (latin == (iconv_t)-1 || greek == (iconv_t)-1) return 1;
        if (iconv(latin, &in, &left, &to, &room) || memcmp(out, "\xc3\xa9", 2)) return 2;
        if (!setlocale(LC_ALL, "C.UTF-8")) return 3;
        return mblen(out, 2) == 2 ? 0 : 4;
    }
    END
    $CC main.c -o program
    ./program
    [ "$(printf '\303\251' | LC_ALL=C.UTF-8 wc -m)" = 1 ]
  '';

  # A program's closure is it and its libraries, whatever was linked with it.
  closure-of-hello = stdenv.runCommand {
    name = "closure-of-hello";
    buildInputs = [ support.assertions ];
    inherit (packages) hello;
    exportReferencesGraph = [ "graph" packages.hello ];
    buildCommand = ''
      [ "$($hello/bin/hello)" = "Hello, world!" ]
      grep "^$NIX_STORE/" graph | sort -u > closure
      printf '%s\n' $hello ${stage0.glibc} | sort | cmp - closure
      # without the directory that it was built in
      not grep -r -q /build/ $hello
      [ "$(du -s --apparent-size --block-size=1 -c $(< closure) | sed -n 's/\ttotal//p')" -lt 20000000 ]
      touch $out
    '';
  };
}
