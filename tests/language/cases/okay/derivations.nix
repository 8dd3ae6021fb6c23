let
  plain = derivation {
    name = "plain";
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" "echo" ];
    flag = true;
    nothing = null;
    list = [ 1 "two" [ ] ];
  };
  fixed = derivation {
    name = "fixed";
    system = "x86_64-linux";
    builder = "builtin:fetchurl";
    outputHash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    outputHashMode = "recursive";
  };
  many = derivation {
    name = "many";
    system = "x86_64-linux";
    builder = "${plain}/bin/build";
    outputs = [ "out" "dev" ];
    source = fixed;
  };
in
[
  plain.drvPath
  plain.outPath
  plain.type
  plain.name
  fixed.outPath
  many.drvPath
  many.out.outPath
  many.dev.outPath
  many.outputName
  (map (output: output.outputName) many.all)
  (builtins.toFile "text" "contents")
]
