# A package with two programs, which tell their name and their words and end with the first of these.
name:
derivation {
  inherit name;
  system = builtins.currentSystem;
  builder = "/bin/sh";
  PATH = "/bin:/usr/bin";
  program = ''
    #!/bin/sh
    echo "''${0##*/} ran with $*"
    exit "''${1-0}"
  '';
  args = [ "-e" "-c" ''
    mkdir -p $out/bin
    printf %s "$program" > $out/bin/tool
    chmod +x $out/bin/tool
    cp $out/bin/tool $out/bin/other
  '' ];
}
