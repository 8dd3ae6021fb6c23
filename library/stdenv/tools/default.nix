# The commands that layer 5 runs over a finished tree, as programs: they work on any directory, in a
# build or outside of one, and a second run changes nothing.
#
#   patch-shebangs PATH...   scripts are run by the programs that PATH has now
#   compress-man TREE...     manual pages compressed by gzip, links to them following
#   strip-tree TREE...       debug information out of programs and libraries (needs strip on PATH)
#   shrink-rpath TREE...     search paths of ELF files reduced to what they use
{ stdenv, tools }:
stdenv.simpleDerivation {
  name = "fixup-tools";
  inherit tools;
  scripts = [ ./patch-shebangs.sh ./compress-man.sh ./strip-tree.sh ./shrink-rpath.sh ];
  buildScript = ''
    mkdir -p $out/bin
    for script in $scripts; do
        program=''${script##*/????????????????????????????????-}
        program=$out/bin/''${program%.sh}
        while IFS= read -r line; do
            printf '%s\n' "''${line//@tools@/$tools}"
        done < $script > $program
        chmod +x $out/bin/*
    done
  '';
  meta.description = "Commands that make a finished tree fit for the store";
}
