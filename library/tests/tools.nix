# The commands that finish a tree, outside of a build of layer 5: on a directory of a user's.
{ packages, support }:
let
  inherit (packages) stdenvNoCC stdenv stage0 fixupTools;
in
{
  patch-shebangs = stdenvNoCC.runCommand {
    name = "patch-shebangs";
    buildInputs = [ fixupTools support.assertions ];
    buildCommand = ''
      mkdir tree
      printf '#!/bin/sh\necho sh\n' > tree/plain
      printf '#! /usr/bin/env bash\necho bash\n' > tree/env
      printf '#!/usr/bin/env -S sed -f\ns/a/b/\n' > tree/split
      printf '#!/usr/bin/no-such-program\n' > tree/unknown
      printf '#!%s\n' $SHELL > tree/patched
      printf '#!/bin/sh\n' > tree/no-program
      printf '\0\1#!/bin/sh\n' > tree/binary
      printf '#!/bin/sh' > tree/no-newline
      : > tree/empty
      chmod +x tree/*
      chmod -x tree/no-program
      chmod a-w tree/plain
      touch -d @1000000000 tree/plain
      cp -a tree before
      patch-shebangs tree 2> messages
      [ "$(head -n 1 tree/plain)" = "#!$(type -P sh)" ]
      [ "$(stat -c '%Y %A' tree/plain)" = "1000000000 -r-xr-xr-x" ]
      [ "$(head -n 1 tree/env)" = "#!$(type -P bash)" ]
      [ "$(head -n 1 tree/split)" = "#!$(type -P sed) -f" ]
      [ "$(tree/plain)" = sh ]
      [ "$(tree/env)" = bash ]
      [ "$(echo a | tree/split)" = b ]
      for file in unknown patched no-program binary empty; do cmp before/$file tree/$file; done
      grep -q 'no no-such-program on PATH' messages
      cp -a tree again
      patch-shebangs again
      diff -r tree again
      # what cannot be said in a first line is refused
      mkdir odd
      printf '#!/usr/bin/env -i sh\n' > odd/script
      chmod +x odd/script
      not patch-shebangs odd
      touch $out
    '';
  };

  compress-man = stdenvNoCC.runCommand {
    name = "compress-man";
    buildInputs = [ fixupTools support.assertions ];
    buildCommand = ''
      mkdir -p tree/share/man/man{1,3} other
      cp ${./project/page.1} tree/share/man/man1/page.1
      ln -s page.1 tree/share/man/man1/alias.1
      ln -s ../man1/page.1 tree/share/man/man3/far.3
      ln -s nowhere.1 tree/share/man/man1/dangling.1
      compress-man tree other
      [ "$(cd tree/share/man; echo */*)" = "man1/alias.1.gz man1/dangling.1 man1/page.1.gz man3/far.3.gz" ]
      for page in man1/alias.1 man1/page.1 man3/far.3; do gzip -dc tree/share/man/$page.gz | cmp - ${./project/page.1}; done
      cp -a tree again
      compress-man again
      diff -r --no-dereference tree again
      # the same page gives the same bytes, whenever it was made
      mkdir -p later/share/man/man1
      cp ${./project/page.1} later/share/man/man1/page.1
      touch -d @2000000000 later/share/man/man1/page.1
      compress-man later
      cmp later/share/man/man1/page.1.gz tree/share/man/man1/page.1.gz
      touch $out
    '';
  };

  strip-and-shrink = stdenv.runPhases {
    name = "strip-and-shrink";
    layerPackages = [ stdenv.cc fixupTools support.assertions ];
    phases = "build";
    buildPhase = ''
      mkdir -p tree/{bin,lib,share} unused
      echo 'int main(void) { return 0; }' > main.c
      $CC -g main.c -o tree/bin/program -Wl,-rpath,$PWD/unused
      $CC -g -static main.c -o tree/bin/static
      $CC -g -shared -fPIC main.c -o tree/lib/library.so
      $CC -g -c main.c -o tree/lib/object.o
      ar rc tree/lib/archive.a tree/lib/object.o
      echo text > tree/bin/text; chmod +x tree/bin/text
      cp tree/bin/program tree/share/program
      strip-tree tree
      shrink-rpath tree
      for file in tree/bin/program tree/bin/static tree/lib/*; do
          readelf -S --wide $file > sections
          not grep -q debug_info sections
      done
      readelf -S --wide tree/share/program > sections
      grep -q debug_info sections
      readelf -d tree/bin/program > dynamic
      grep -q ${stage0.glibc} dynamic
      not grep -q unused dynamic
      tree/bin/program
      tree/bin/static
      [ "$(cat tree/bin/text)" = text ]
      cp -a tree again
      strip-tree again
      shrink-rpath again
      diff -r tree again
      touch $out
    '';
  };
}
